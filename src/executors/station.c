/* station.c - spinning, dozing and sleeping of one worker. */

#include "executors/station.h"

#include "base/clock.h"

#include <sched.h>
#include <stdlib.h>

/* How long a worker yields before it blocks: what a thread that was told to
 * go on takes to come back, and little against blocking and being woken. */
#define SPIN_NS (10 * AL_NS_PER_US)

/* How long after that it looks by itself: the interval after which a thread
 * that wants the GIL gets it. */
#define DOZE_NS (5 * AL_NS_PER_MS)

al_station *
al_station_new(void)
{
    al_station *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    if (uv_mutex_init(&self->lock) != 0) {
        free(self);
        return NULL;
    }
    if (uv_cond_init(&self->changed) != 0) {
        uv_mutex_destroy(&self->lock);
        free(self);
        return NULL;
    }
    return self;
}

void
al_station_free(al_station *self)
{
    uv_cond_destroy(&self->changed);
    uv_mutex_destroy(&self->lock);
    free(self);
}

bool
al_station_spin(al_station *self)
{
    int64_t end = al_clock_ns() + SPIN_NS;

    do {
        if (atomic_load(&self->told)) {
            return true;
        }
        (void)sched_yield();
    } while (al_clock_ns() < end);
    return atomic_load(&self->told);
}

void
al_station_doze(al_station *self)
{
    int64_t now = al_clock_ns();
    int64_t end = now + DOZE_NS;

    uv_mutex_lock(&self->lock);
    atomic_store(&self->blocked, true);
    while (!atomic_load(&self->told) && now < end) {
        (void)uv_cond_timedwait(&self->changed, &self->lock,
                                (uint64_t)(end - now));
        now = al_clock_ns();
    }
    atomic_store(&self->blocked, false);
    uv_mutex_unlock(&self->lock);
}

void
al_station_sleep(al_station *self)
{
    uv_mutex_lock(&self->lock);
    atomic_store(&self->blocked, true);
    while (!atomic_load(&self->told)) {
        uv_cond_wait(&self->changed, &self->lock);
    }
    atomic_store(&self->blocked, false);
    uv_mutex_unlock(&self->lock);
}

void
al_station_tell(al_station *self)
{
    /* The station sets `blocked` and then looks at `told`, we do the reverse:
     * one of us sees the other. */
    atomic_store(&self->told, true);
    if (atomic_load(&self->blocked)) {
        uv_mutex_lock(&self->lock);
        uv_cond_signal(&self->changed);
        uv_mutex_unlock(&self->lock);
    }
}
