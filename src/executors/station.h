/* station.h - where one worker thread waits for work.
 *
 * A worker that waits is in one of two ways. It *searches*: it yields the
 * processor a few times, then dozes for a moment, and looks at the queue by
 * itself in the end; so whoever tells it may do so late. Or it *sleeps* until
 * it is told.
 *
 * A signal may come late, and reach a worker that has gone on meanwhile: it
 * only ever means "look again".
 *
 * Ownership: of the queue, from the first use to the queue's end; a late
 * signal must find it.
 * Threads: any; no function here needs the GIL.
 */
#ifndef AL_EXECUTORS_STATION_H
#define AL_EXECUTORS_STATION_H

#include "base/uvcompat.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct al_station {
    struct al_station *next;     /* the queue's: in a list of those asleep */
    struct al_station *next_own; /* the queue's: in the list of all */
    bool in_use;                 /* the queue's: a thread has it */
    atomic_bool told;
    atomic_bool blocked; /* inside the condition, or about to be */
    uv_mutex_t lock;
    uv_cond_t changed;
} al_station;

/* NULL when memory is short. */
al_station *al_station_new(void);
void al_station_free(al_station *self);

/* Before a wait, while nobody can have a reason to tell. */
static inline void
al_station_reset(al_station *self)
{
    atomic_store(&self->told, false);
}

/* Yield until told, for some microseconds. Was it? */
bool al_station_spin(al_station *self);

/* Block until told, for some milliseconds at most. */
void al_station_doze(al_station *self);

/* Block until told. */
void al_station_sleep(al_station *self);

void al_station_tell(al_station *self);

#endif
