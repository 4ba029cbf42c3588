/* slab.c - the cold half of the slabs: mapping and giving back. */

#include "base/slab.h"

#include <stdbool.h>
#include <sys/mman.h>

/* Cells begin at the cache line after the header. */
#define SLAB_HEADER ((size_t)64)

_Static_assert(sizeof(al_slab) <= SLAB_HEADER, "the header has outgrown");

/* Map `AL_SLAB_SIZE` bytes aligned to their size, or NULL. The first slab of
 * a pool is touched page by page as it fills, since most loops never fill
 * it; later ones belong to a burst and are populated at once. */
static al_slab *
slab_map(bool populate)
{
    size_t span = 2 * AL_SLAB_SIZE;
    char *base = mmap(NULL, span, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    uintptr_t at = (uintptr_t)base;
    uintptr_t start = (at + AL_SLAB_SIZE - 1) & ~(AL_SLAB_SIZE - 1);
    size_t before = (size_t)(start - at);
    size_t after = span - AL_SLAB_SIZE - before;

    if (before != 0) {
        munmap(base, before);
    }
    if (after != 0) {
        munmap((char *)start + AL_SLAB_SIZE, after);
    }
#ifdef MADV_POPULATE_WRITE
    if (populate) {
        /* Only a hint: an old kernel says EINVAL and faults page by page. */
        (void)madvise((void *)start, AL_SLAB_SIZE, MADV_POPULATE_WRITE);
    }
#else
    (void)populate;
#endif
    return (al_slab *)start;
}

void
al_slab_pool_init(al_slab_pool *pool, size_t cell_size, void *owner)
{
    *pool = (al_slab_pool){.cell_size = cell_size, .owner = owner};
}

void
al_slab_pool_free(al_slab_pool *pool)
{
    al_slab *slab = pool->slabs;

    while (slab != NULL) {
        al_slab *next = slab->next;
        AL_SLAB_SHOW(slab, AL_SLAB_SIZE);
        munmap(slab, AL_SLAB_SIZE);
        slab = next;
    }
    al_slab_pool_init(pool, pool->cell_size, pool->owner);
}

void *
al_slab_alloc_slow(al_slab_pool *pool)
{
    if (pool->fresh == pool->fresh_end) {
        al_slab *slab = slab_map(pool->slabs != NULL);
        if (slab == NULL) {
            return NULL;
        }
        size_t cells = (AL_SLAB_SIZE - SLAB_HEADER) / pool->cell_size;
        slab->owner = pool->owner;
        slab->next = pool->slabs;
        slab->idle = 0;
        pool->slabs = slab;
        pool->count++;
        pool->fresh = (char *)slab + SLAB_HEADER;
        pool->fresh_end = pool->fresh + cells * pool->cell_size;
    }
    void *cell = pool->fresh;
    pool->fresh += pool->cell_size;
    pool->live++;
    return cell;
}

/* May this slab go: is every cell of it back on the free list? A slab with
 * fresh cells stays, since its free list is not the whole of it; and so does
 * the oldest slab, which the next callback would only map again. */
static bool
slab_is_idle(const al_slab_pool *pool, const al_slab *slab)
{
    size_t cells = (AL_SLAB_SIZE - SLAB_HEADER) / pool->cell_size;
    return slab->idle == cells && slab->next != NULL;
}

void
al_slab_trim(al_slab_pool *pool)
{
    if (pool->count <= 1) {
        return;
    }
    for (al_slab_cell *cell = pool->free; cell != NULL; cell = cell->next) {
        al_slab_of(cell)->idle++;
    }
    al_slab_cell **link = &pool->free;
    while (*link != NULL) {
        if (slab_is_idle(pool, al_slab_of(*link))) {
            *link = (*link)->next;
        }
        else {
            link = &(*link)->next;
        }
    }
    al_slab **at = &pool->slabs;
    while (*at != NULL) {
        al_slab *slab = *at;
        if (slab_is_idle(pool, slab)) {
            if (pool->fresh_end > (char *)slab &&
                pool->fresh_end <= (char *)slab + AL_SLAB_SIZE) {
                pool->fresh = pool->fresh_end = NULL;
            }
            *at = slab->next;
            pool->count--;
            AL_SLAB_SHOW(slab, AL_SLAB_SIZE);
            munmap(slab, AL_SLAB_SIZE);
        }
        else {
            slab->idle = 0;
            at = &slab->next;
        }
    }
}
