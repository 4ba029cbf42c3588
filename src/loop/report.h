/* report.h - telling the exception handler and the log. */
#ifndef AL_LOOP_REPORT_H
#define AL_LOOP_REPORT_H

#include "loop/loop.h"

/* Hand the exception that is set, raised by this handle's callback, to
 * loop.call_exception_handler. 0 with no exception set, or -1 with the one
 * that the handler raised. */
int al_report_callback_error(LoopObject *self, HandleObject *handle);

/* asyncio's warning about a slow callback. 0, or -1 with an exception. */
int al_report_slow_callback(LoopObject *self, HandleObject *handle,
                            double seconds);

/* The same about an event that `owner` handled. */
int al_report_slow_event(LoopObject *self, PyObject *owner, double seconds);

#endif
