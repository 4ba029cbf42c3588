/* step.h - one step of a task. */
#ifndef AL_FUTURES_STEP_H
#define AL_FUTURES_STEP_H

#include "futures/layout.h"
#include "loop/loop.h"

/* Resume the coroutine of a pending task, whose context is current, and do
 * what follows. `error`, stolen, is thrown into it if it is not NULL. The
 * caller holds a reference to the task; `tstate` is this thread's.
 * 0, or -1 with an exception set (KeyboardInterrupt, SystemExit, or a failure
 * of the machinery itself). */
int al_step(LoopObject *self, PyThreadState *tstate, al_task *task,
            PyObject *error_steal);

/* Queue the done callbacks of a future or task that is done. Only where
 * native tasks are on. 0, or -1 with an exception set. */
int al_step_queue_callbacks(LoopObject *self, al_future *future);

#endif
