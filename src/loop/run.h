/* run.h - what the rest of loop/ needs of the turn. */
#ifndef AL_LOOP_RUN_H
#define AL_LOOP_RUN_H

#include "loop/loop.h"

/* Leave the context of the last callback, before code runs that is not a
 * callback. No exception may be set. */
void al_run_leave_context(LoopObject *self);

/* Make `context` (NULL: the empty one) current, unless it is already.
 * The loop runs. 0, or -1 with an exception set and no context entered. */
int al_run_enter_context(LoopObject *self, PyObject *context);

/* Around a uv callback that runs foreign code, after al_loop_enter. Before it:
 * no task is current any more; returns what al_run_end_event wants. After it:
 * what was written is sent, and debug mode tells of a slow one by `owner`. */
int64_t al_run_begin_event(LoopObject *self);
void al_run_end_event(LoopObject *self, PyObject *owner, int64_t start);

/* The exception that is set shall leave run_forever, from where no code of
 * the turn's can return it: a uv callback, or the sending of what was written. The
 * first one wins, a second is printed. */
void al_run_leave_with_error(LoopObject *self);

#endif
