/* run.h - what the rest of loop/ needs of the turn. */
#ifndef AL_LOOP_RUN_H
#define AL_LOOP_RUN_H

#include "loop/loop.h"

/* Leave the context of the last callback, before code runs that is not a
 * callback. No exception may be set. */
void al_run_leave_context(LoopObject *self);

/* Make `context` (NULL: the empty one) current, unless it is already.
 * 0, or -1 with an exception set and no context entered. */
int al_run_enter_context(LoopObject *self, PyObject *context);

#endif
