/* registry.h - asyncio.current_task and asyncio.all_tasks, for native tasks.
 *
 * 3.14 and later keep both in the thread state; before, the current task is
 * in a dictionary and all tasks in a WeakSet.
 *
 * Threads: the loop's; `tstate` is its state.
 */
#ifndef AL_FUTURES_REGISTRY_H
#define AL_FUTURES_REGISTRY_H

#include "futures/layout.h"
#include "loop/loop.h"

/* Make `task` the current task. 0, or -1 with an exception set. */
int al_registry_enter(LoopObject *self, PyThreadState *tstate, PyObject *task);

/* Is a task of this loop (or thread) being stepped right now, by whomever? */
bool al_registry_is_busy(LoopObject *self);

/* The step is over. Up to 3.13 the entry may stay until al_registry_leave:
 * the next step replaces it. */
void al_registry_step_over(LoopObject *self, PyThreadState *tstate);

/* No task is current any more. */
void al_registry_leave(LoopObject *self);

/* A task was made, or is done. add: 0, or -1 with an exception set. */
int al_registry_add(struct al_state *st, al_task *task);
void al_registry_discard(struct al_state *st, al_task *task);

#endif
