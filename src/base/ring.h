/* ring.h - a first-in first-out ring of pointers.
 *
 * The positions only grow; a slot is position & mask. A position therefore
 * names one entry for good, which the latency probe relies on.
 *
 * Ownership: of what the pointers mean, the ring knows nothing.
 * Threads: the caller serialises (for the ready ring: the GIL).
 */
#ifndef AL_BASE_RING_H
#define AL_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    void **slots;
    size_t mask; /* capacity - 1; the capacity is a power of two */
    size_t head; /* position of the oldest entry */
    size_t tail; /* position that the next entry gets */
} al_ring;

/* 0, or -1 when memory is short. */
int al_ring_init(al_ring *ring);
void al_ring_free(al_ring *ring);

/* Double the capacity. 0, or -1 when memory is short and nothing changed. */
int al_ring_grow(al_ring *ring);

/* Give memory back after a burst; only an empty ring shrinks. */
void al_ring_shrink(al_ring *ring);

static inline size_t
al_ring_len(const al_ring *ring)
{
    return ring->tail - ring->head;
}

/* Make room for one entry. 0, or -1 when memory is short. */
static inline int
al_ring_reserve(al_ring *ring)
{
    return al_ring_len(ring) > ring->mask ? al_ring_grow(ring) : 0;
}

/* Add an entry; room for it has been reserved. */
static inline void
al_ring_push(al_ring *ring, void *entry)
{
    ring->slots[ring->tail++ & ring->mask] = entry;
}

/* Take the oldest entry of a ring that is not empty. */
static inline void *
al_ring_pop(al_ring *ring)
{
    return ring->slots[ring->head++ & ring->mask];
}

static inline void *
al_ring_peek(const al_ring *ring, size_t position)
{
    return ring->slots[position & ring->mask];
}

#endif
