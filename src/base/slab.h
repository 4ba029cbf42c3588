/* slab.h - cells of one size, cut from aligned slabs.
 *
 * A slab is SLAB_SIZE bytes at a multiple of SLAB_SIZE, so the slab of a cell
 * and through it the owner are found by masking the cell's address: a cell
 * need not spend eight bytes on a pointer to its owner.
 *
 * Why not the general allocator: taking and giving back a cell is four
 * instructions, cells of a burst lie side by side (300 000 queued callbacks
 * run at memory speed), and pages of a large burst arrive in one system call
 * per slab in place of one fault per page.
 *
 * Ownership: the owner pointer is the caller's. A slab lives until trimmed
 * or until the allocator is freed, and then no cell may be in use.
 * Threads: the caller serialises (for handles: the GIL).
 */
#ifndef AL_BASE_SLAB_H
#define AL_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define AL_SLAB_SIZE ((size_t)256 * 1024)

typedef struct al_slab_cell {
    struct al_slab_cell *next;
} al_slab_cell;

typedef struct al_slab {
    void *owner;
    struct al_slab *next;
    size_t idle; /* scratch of al_slab_trim: cells on the free list */
} al_slab;

typedef struct {
    al_slab_cell *free; /* cells that were given back, newest first */
    char *fresh;        /* the part of the newest slab never handed out */
    char *fresh_end;
    al_slab *slabs; /* newest first */
    void *owner;
    size_t cell_size;
    size_t live;  /* cells in use */
    size_t count; /* slabs */
} al_slab_pool;

void al_slab_pool_init(al_slab_pool *pool, size_t cell_size, void *owner);

/* Unmap everything. No cell may be in use. */
void al_slab_pool_free(al_slab_pool *pool);

/* A cell when the free list is empty; NULL when memory is short. */
void *al_slab_alloc_slow(al_slab_pool *pool);

/* Unmap the slabs in which no cell is in use, but for the oldest. Walks the
 * free list, so it is for idle moments. */
void al_slab_trim(al_slab_pool *pool);

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define AL_SLAB_HIDE(cell, size)                                              \
    ASAN_POISON_MEMORY_REGION((char *)(cell) + sizeof(al_slab_cell),          \
                              (size) - sizeof(al_slab_cell))
#define AL_SLAB_SHOW(cell, size) ASAN_UNPOISON_MEMORY_REGION(cell, size)
#else
#define AL_SLAB_HIDE(cell, size) ((void)0)
#define AL_SLAB_SHOW(cell, size) ((void)0)
#endif

static inline void *
al_slab_alloc(al_slab_pool *pool)
{
    al_slab_cell *cell = pool->free;

    if (cell == NULL) {
        return al_slab_alloc_slow(pool);
    }
    pool->free = cell->next;
    pool->live++;
    AL_SLAB_SHOW(cell, pool->cell_size);
    return cell;
}

static inline void
al_slab_give_back(al_slab_pool *pool, void *memory)
{
    al_slab_cell *cell = memory;

    cell->next = pool->free;
    pool->free = cell;
    pool->live--;
    AL_SLAB_HIDE(cell, pool->cell_size);
}

static inline al_slab *
al_slab_of(const void *cell)
{
    return (al_slab *)((uintptr_t)cell & ~(uintptr_t)(AL_SLAB_SIZE - 1));
}

/* The owner that the pool of this cell was made with. */
static inline void *
al_slab_owner(const void *cell)
{
    return al_slab_of(cell)->owner;
}

#endif
