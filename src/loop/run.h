/* run.h - what the rest of loop/ needs of the turn. */
#ifndef AL_LOOP_RUN_H
#define AL_LOOP_RUN_H

#include "loop/loop.h"

/* Leave the context of the last callback, before code runs that is not a
 * callback. No exception may be set. */
void al_run_leave_context(LoopObject *self);

#endif
