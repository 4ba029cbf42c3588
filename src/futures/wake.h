/* wake.h - what a native task leaves with the future it waits for.
 *
 * A callable that stands among the future's callbacks; asyncio hands it to
 * call_soon when the future is done, which recognises it and queues the task
 * itself. Called (by a handle, in debug mode or where call_soon is not ours)
 * it steps the task at once, as asyncio's own does. With an error it also
 * serves as the callback of the step that throws it.
 * Tracked by the collector, since future and task form cycles, and kept on a
 * free list, since every wait needs one.
 *
 * Threads: the loop's.
 */
#ifndef AL_FUTURES_WAKE_H
#define AL_FUTURES_WAKE_H

#include "futures/layout.h"
#include "loop/loop.h"

typedef struct {
    PyObject_HEAD
    PyObject *task;  /* strong */
    PyObject *error; /* strong; to be thrown into the task, or NULL */
} WakeObject;

/* New reference, or NULL with MemoryError set; `error` may be NULL. */
PyObject *al_wake_new(struct al_state *st, PyObject *task, PyObject *error);

int al_wake_setup(PyObject *module, struct al_state *st);

/* Free what the free list holds and keep no more; when the module goes, but
 * before the type does, to which the free ones still point. */
void al_wake_close(struct al_state *st);

#endif
