/* native.h - stepping tasks in C, on asyncio's own objects.
 *
 * create_future and create_task allocate real _asyncio.Future and Task
 * objects and fill them; the ready ring holds a task itself where asyncio
 * queues a handle, and al_native_run steps it. All state is in the fields of
 * the task (layout.h), so asyncio's code and ours take turns on one object
 * without knowing of each other, and nothing that looks at a task can tell.
 *
 * What asyncio schedules itself is recognised while native tasks are on: its
 * step objects and wake-ups in call_soon become ring entries too
 * (al_native_take).
 *
 * Rules:
 *   1. a task is stepped only while it is pending, has an exact type and an
 *      exact Context; anything else goes asyncio's way;
 *   2. fut_waiter keeps the future until the step, which takes the outcome
 *      from it;
 *   3. while user code runs, the task is the current task and nothing of it
 *      is cached in C: re-read everything after.
 *
 * Threads: the loop's.
 */
#ifndef AL_FUTURES_NATIVE_H
#define AL_FUTURES_NATIVE_H

#include "futures/layout.h"
#include "loop/loop.h"

/* Make a pending future of this loop. New reference or NULL. */
PyObject *al_native_new_future(LoopObject *self);

/* Make a task and queue its first step. `name` and `context` may be NULL.
 * New reference or NULL with an exception set. */
PyObject *al_native_new_task(LoopObject *self, PyObject *coro, PyObject *name,
                             PyObject *context);

/* Step a task now, as a callback does, in the context that is current; when a
 * task is being stepped already, queue it. Steals `error`, which may be NULL.
 * 0, or -1 with an exception set. */
int al_native_wake(LoopObject *self, PyObject *task, PyObject *error_steal);

/* Throw an exception into a task in its next step. Steals the error.
 * 0, or -1 with an exception set. */
int al_native_throw_soon_steal(LoopObject *self, al_task *task,
                               PyObject *error);

/* Give a pending future of asyncio's exact type its result, and queue its
 * callbacks. Steals the result. 0, or -1 with an exception set. Only while
 * al_loop_is_native. */
int al_native_set_result_steal(LoopObject *self, PyObject *future,
                               PyObject *result);

/* The members of al_task_ops. */
int al_native_run_steal(LoopObject *self, PyObject *task);
int al_native_take(LoopObject *self, PyObject *callback, PyObject *const *args,
                   size_t nargs);
void al_native_leave_task(LoopObject *self);
PyObject *al_native_as_handle_steal(LoopObject *self, PyObject *task);

/* Give a new loop its task_ops. */
void al_native_setup_loop(LoopObject *self);

int al_native_setup(PyObject *module, struct al_state *st);

#endif
