/* wake.h - what a native task leaves with the future it waits for.
 *
 * A callable that stands among the future's callbacks; asyncio hands it to
 * call_soon when the future is done, which recognises it and queues the task
 * itself. Called directly, by whoever that may be, it queues the task too.
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
    PyObject_HEAD PyObject *task; /* strong */
} WakeObject;

/* New reference, or NULL with MemoryError set. */
PyObject *al_wake_new(struct al_state *st, PyObject *task);

int al_wake_setup(PyObject *module, struct al_state *st);

/* Free what the free list holds; when the module goes. */
void al_wake_free_list_clear(struct al_state *st);

#endif
