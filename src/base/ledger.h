/* ledger.h - debug builds count what is made and what is freed, by kind.
 *
 * The tests compare the two after each test (tests/support/leakcheck.py), so
 * that an object that is lost is seen where it was lost. A new kind of object
 * is one line in AL_LEDGER_KINDS, AL_LEDGER_MADE where one is made and
 * AL_LEDGER_FREED where its memory goes, or goes back to a free list. Other
 * builds have neither the table nor the counting.
 *
 * Threads: the caller serialises (everything so far: the GIL).
 */
#ifndef AL_BASE_LEDGER_H
#define AL_BASE_LEDGER_H

#include <stdint.h>

/* setup.py says so; a bare compile (the header lint) is a release. */
#ifndef AL_DEBUG
#define AL_DEBUG 0
#endif

#define AL_LEDGER_KINDS(AL_KIND)                                              \
    AL_KIND(loop)                                                             \
    AL_KIND(handle)                                                           \
    AL_KIND(timer_handle)                                                     \
    AL_KIND(handle_pool)                                                      \
    AL_KIND(watch)                                                            \
    AL_KIND(wake)                                                             \
    AL_KIND(transport)                                                        \
    AL_KIND(listener)                                                         \
    AL_KIND(op)                                                               \
    AL_KIND(connector)                                                        \
    AL_KIND(tls)                                                              \
    AL_KIND(process)                                                          \
    AL_KIND(pipe_end)                                                         \
    AL_KIND(reader)                                                           \
    AL_KIND(writer)

#if AL_DEBUG

typedef struct {
    uint64_t made;
    uint64_t freed;
} al_ledger_line;

typedef struct {
#define AL_KIND(kind) al_ledger_line kind;
    AL_LEDGER_KINDS(AL_KIND)
#undef AL_KIND
} al_ledger;

/* `st` is the module state, or what else has a field `ledger`. */
#define AL_LEDGER_MADE(st, kind) ((void)(st)->ledger.kind.made++)
#define AL_LEDGER_FREED(st, kind) ((void)(st)->ledger.kind.freed++)

#else

#define AL_LEDGER_MADE(st, kind) ((void)0)
#define AL_LEDGER_FREED(st, kind) ((void)0)

#endif

#endif
