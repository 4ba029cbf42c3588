/* heap.c - sifting, and the memory of the heap. */

#include "base/heap.h"

#include <stdbool.h>
#include <stdlib.h>

#define HEAP_START 64
#define HEAP_WAYS 4

static inline bool
entry_before(const al_heap_entry *a, const al_heap_entry *b)
{
    if (a->key != b->key) {
        return a->key < b->key;
    }
    return (int32_t)(a->node->order - b->node->order) < 0;
}

static inline void
entry_put(al_heap *heap, size_t place, al_heap_entry entry)
{
    heap->entries[place] = entry;
    entry.node->place = (uint32_t)place;
}

static void
sift_up(al_heap *heap, size_t place, al_heap_entry entry)
{
    while (place > 0) {
        size_t parent = (place - 1) / HEAP_WAYS;
        if (!entry_before(&entry, &heap->entries[parent])) {
            break;
        }
        entry_put(heap, place, heap->entries[parent]);
        place = parent;
    }
    entry_put(heap, place, entry);
}

/* The earliest child of `place`, or `len` when it has none. */
static inline size_t
earliest_child(const al_heap *heap, size_t place)
{
    size_t child = place * HEAP_WAYS + 1;

    if (child >= heap->len) {
        return heap->len;
    }
    size_t end = child + HEAP_WAYS;
    if (end > heap->len) {
        end = heap->len;
    }
    size_t best = child;
    for (size_t at = child + 1; at < end; at++) {
        if (entry_before(&heap->entries[at], &heap->entries[best])) {
            best = at;
        }
    }
    return best;
}

static void
sift_down(al_heap *heap, size_t place, al_heap_entry entry)
{
    for (;;) {
        size_t child = earliest_child(heap, place);
        if (child == heap->len ||
            !entry_before(&heap->entries[child], &entry)) {
            break;
        }
        entry_put(heap, place, heap->entries[child]);
        place = child;
    }
    entry_put(heap, place, entry);
}

void
al_heap_init(al_heap *heap)
{
    *heap = (al_heap){0};
}

void
al_heap_free(al_heap *heap)
{
    free(heap->entries);
    al_heap_init(heap);
}

int
al_heap_push(al_heap *heap, al_heap_node *node)
{
    if (heap->len == heap->capacity) {
        size_t wanted = heap->capacity ? 2 * heap->capacity : HEAP_START;
        al_heap_entry *entries =
            realloc(heap->entries, wanted * sizeof(*entries));
        if (entries == NULL) {
            return -1;
        }
        heap->entries = entries;
        heap->capacity = wanted;
    }
    node->order = heap->next_order++;
    al_heap_entry entry = {.key = node->key, .node = node};
    sift_up(heap, heap->len++, entry);
    return 0;
}

void
al_heap_remove(al_heap *heap, al_heap_node *node)
{
    size_t place = node->place;
    al_heap_entry last = heap->entries[--heap->len];

    node->place = AL_HEAP_NOWHERE;
    if (place == heap->len) {
        return;
    }
    if (place > 0 &&
        entry_before(&last, &heap->entries[(place - 1) / HEAP_WAYS])) {
        sift_up(heap, place, last);
    }
    else {
        sift_down(heap, place, last);
    }
}

/* Popping sends the hole to the bottom along the earliest children and lets
 * the last entry rise from there: it belongs near the bottom, so comparing
 * it on the way down would be wasted. */
al_heap_node *
al_heap_pop(al_heap *heap)
{
    al_heap_node *node = heap->entries[0].node;
    al_heap_entry last = heap->entries[--heap->len];
    size_t hole = 0;

    node->place = AL_HEAP_NOWHERE;
    if (heap->len == 0) {
        return node;
    }
    for (;;) {
        size_t child = earliest_child(heap, hole);
        if (child == heap->len) {
            break;
        }
        entry_put(heap, hole, heap->entries[child]);
        hole = child;
    }
    sift_up(heap, hole, last);
    return node;
}

void
al_heap_shrink(al_heap *heap)
{
    if (heap->capacity <= HEAP_START || heap->len * 4 > heap->capacity) {
        return;
    }
    size_t wanted = heap->len * 2 < HEAP_START ? HEAP_START : heap->len * 2;
    al_heap_entry *entries = realloc(heap->entries, wanted * sizeof(*entries));
    if (entries != NULL) {
        heap->entries = entries;
        heap->capacity = wanted;
    }
}
