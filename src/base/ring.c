/* ring.c - the cold half of the ring: making, growing, shrinking. */

#include "base/ring.h"

#include <stdlib.h>
#include <string.h>

/* A burst of 1 000 callbacks fits without growing. */
#define RING_START 1024

int
al_ring_init(al_ring *ring)
{
    ring->slots = malloc(RING_START * sizeof(void *));
    ring->mask = RING_START - 1;
    ring->head = 0;
    ring->tail = 0;
    return ring->slots == NULL ? -1 : 0;
}

void
al_ring_free(al_ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
    ring->mask = 0;
    ring->head = ring->tail = 0;
}

int
al_ring_grow(al_ring *ring)
{
    size_t old = ring->mask + 1;
    void **slots = realloc(ring->slots, 2 * old * sizeof(void *));

    if (slots == NULL) {
        return -1;
    }
    /* Positions keep their meaning under the wider mask: an entry whose
     * position has the new bit set moves to the upper half. */
    for (size_t at = ring->head; at != ring->tail; at++) {
        if (at & old) {
            slots[at & (2 * old - 1)] = slots[at & (old - 1)];
        }
    }
    ring->slots = slots;
    ring->mask = 2 * old - 1;
    return 0;
}

void
al_ring_shrink(al_ring *ring)
{
    if (ring->mask < RING_START || al_ring_len(ring) != 0) {
        return;
    }
    void **slots = realloc(ring->slots, RING_START * sizeof(void *));
    if (slots != NULL) {
        ring->slots = slots;
        ring->mask = RING_START - 1;
    }
}
