/* item.h - a function on its way through an executor and back.
 *
 * Made by run_in_executor: the function, its arguments and the future that
 * gets the outcome. A worker runs it and puts it, the outcome inside, into
 * the ready ring of its loop, where it is an entry like a handle or a task:
 * so it keeps its place among what the function itself has queued by
 * call_soon_threadsafe. The loop's thread gives the outcome to the future.
 *
 * The methods `cancel` and `set_exception` and the attribute `future`, which
 * is the item itself, are what the standard library's executor does with the
 * work that it finds in its queue.
 *
 * Ownership: an item owns all it points to, its loop included; the queue, the
 * worker and the ring own the item, one after the other.
 * Threads: any, with the GIL; al_item_deliver_steal: the loop's.
 */
#ifndef AL_EXECUTORS_ITEM_H
#define AL_EXECUTORS_ITEM_H

#include "loop/loop.h"

enum al_outcome { AL_NO_OUTCOME, AL_RESULT, AL_ERROR, AL_CANCEL };

typedef struct {
    PyObject_VAR_HEAD LoopObject
        *loop;          /* strong; NULL once delivered or given up */
    PyObject *future;   /* strong, likewise */
    PyObject *function; /* strong; NULL when it has run or never will */
    PyObject *outcome;  /* strong: result or exception */
    uint64_t submitted; /* al_ticks() */
    enum al_outcome kind;
    PyObject *spare; /* for the callee, see PY_VECTORCALL_ARGUMENTS_OFFSET */
    PyObject *args[];
} WorkItemObject;

/* A new item, which counts as pending work of the loop, or NULL. */
WorkItemObject *al_item_new(LoopObject *loop, PyObject *future,
                            PyObject *function, PyObject *const *args,
                            size_t nargs);

/* Run the function and queue the item in its loop, without waking that. Gives
 * the loop, borrowed from the ring's entry, or NULL where nothing was queued:
 * nobody waits any more. Never fails. */
LoopObject *al_item_run(WorkItemObject *self);

/* The member of al_work_ops. */
int al_item_deliver_steal(LoopObject *loop, PyObject *item);

int al_item_setup(PyObject *module, struct al_state *st);

#endif
