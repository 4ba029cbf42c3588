/* queue.h - the work queue of a thread pool, and its workers.
 *
 * In asyncloop.ThreadPoolExecutor it stands where the standard library's
 * executor has its SimpleQueue, with the methods of that which the inherited
 * code calls. Entries are WorkItems, work items of the standard library (put
 * there by submit), and None: look whether to leave.
 *
 * Who is woken: at most one worker at a time is *the searcher*, one that
 * waits for work and will look soon, told or not; the others sleep. New work
 * is for the searcher; where there is none, one sleeper is woken and becomes
 * it. A worker that takes an entry while more wait wakes the next one.
 *
 * A loop that queues work tells a searcher late, when it gives up the GIL,
 * which the worker needs first of all. Sleepers are woken at once: a callback
 * that waits for the function without returning to its loop would wait for
 * ever.
 *
 * Ownership: the queue owns its entries and its stations.
 * Threads: any, with the GIL.
 */
#ifndef AL_EXECUTORS_QUEUE_H
#define AL_EXECUTORS_QUEUE_H

#include "base/ring.h"
#include "executors/station.h"
#include "loop/loop.h"

enum al_told { AL_NOT_TOLD, AL_TOLD_LATE, AL_TOLD };

typedef struct {
    PyObject_HEAD
    struct al_state *st;  /* borrowed; the type keeps the module alive */
    al_ring entries;      /* a reference each */
    al_station *stations; /* all there are, by next_own */
    al_station *sleepers; /* the last one first, by next */
    al_station *searcher; /* or NULL */
    enum al_told told;    /* the searcher */
    size_t sleeper_count;
    bool full;     /* no more threads will be started */
    bool refusing; /* shut down, broken or at exit */
    bool spin_is_useful;
    uint64_t fork_generation; /* of the process that made the queue */
} WorkQueueObject;

/* May this entry be put here without a look at the number of threads? */
static inline bool
al_queue_has_room(const WorkQueueObject *self)
{
    size_t idle = self->sleeper_count + (self->searcher != NULL);
    return self->full || al_ring_len(&self->entries) < idle;
}

/* Queue an entry and see to it that a worker comes. `loop` is NULL, or the
 * loop whose thread we are, which may tell it late. Steals the entry.
 * 0, or -1 with MemoryError set. */
int al_queue_put_steal(WorkQueueObject *self, PyObject *entry,
                       LoopObject *loop);

/* The member of al_work_ops. */
void al_queue_wake_worker(void *station);

int al_queue_setup(PyObject *module, struct al_state *st);

#endif
