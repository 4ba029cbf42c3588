/* heap.h - a heap of timers, keyed by (deadline, order of arrival).
 *
 * Four children per node: half the levels of a binary heap, and the four lie
 * in one cache line, because an entry carries its key. A node knows its
 * place, so a cancelled timer leaves at once and takes nothing with it.
 *
 * Ownership: nodes are embedded in what they time; the heap holds pointers.
 * Threads: the caller serialises.
 */
#ifndef AL_BASE_HEAP_H
#define AL_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define AL_HEAP_NOWHERE UINT32_MAX

typedef struct {
    int64_t key;    /* deadline, ns */
    uint32_t order; /* breaks ties; compared modulo 2^32 */
    uint32_t place; /* index in the heap, or AL_HEAP_NOWHERE */
} al_heap_node;

typedef struct {
    int64_t key;
    al_heap_node *node;
} al_heap_entry;

typedef struct {
    al_heap_entry *entries;
    size_t len;
    size_t capacity;
    uint32_t next_order;
} al_heap;

void al_heap_init(al_heap *heap);
void al_heap_free(al_heap *heap);

/* Insert; `node->key` is set. 0, or -1 when memory is short. */
int al_heap_push(al_heap *heap, al_heap_node *node);

/* Take out a node that is in the heap. */
void al_heap_remove(al_heap *heap, al_heap_node *node);

/* Take out the earliest node of a heap that is not empty. */
al_heap_node *al_heap_pop(al_heap *heap);

/* Give memory back when the heap has become much smaller. */
void al_heap_shrink(al_heap *heap);

#endif
