/* handle.h - what call_soon, call_later and add_reader return.
 *
 * A handle is 64 bytes (up to two arguments) or 96 (a timer, or more
 * arguments), cut from the slabs of its loop, and not tracked by the
 * collector: a tracked one would cost 16 bytes and hasten every collection.
 * Two rules follow. A handle drops its callback and arguments as soon as it
 * has run or is cancelled, so that `self.h = loop.call_later(1, self.f)` is
 * no cycle afterwards; and what a queued handle holds is the loop's, which
 * visits it for the collector and drops it when it dies: a handle that
 * outlives its loop is empty. So no handle may be in two queues at once.
 *
 * isinstance(h, asyncio.Handle) is true by the `__class__` attribute.
 *
 * Threads: under the GIL; the pool belongs to one loop.
 */
#ifndef AL_HANDLES_HANDLE_H
#define AL_HANDLES_HANDLE_H

#include "base/heap.h"
#include "base/slab.h"
#include "py/state.h"

enum {
    AL_HANDLE_CANCELLED = 1 << 0,
    AL_HANDLE_RUNNING = 1 << 1,     /* its callback is on the stack */
    AL_HANDLE_PERSISTENT = 1 << 2,  /* a reader's or signal's: runs often */
    AL_HANDLE_QUEUED = 1 << 3,      /* persistent, and in the ready ring */
    AL_HANDLE_ARGS_TUPLE = 1 << 4,  /* args[0] is a tuple of all arguments */
    AL_HANDLE_TRACED = 1 << 5,      /* debug: args[1] is a traceback */
    AL_HANDLE_HAS_REPR = 1 << 6,    /* debug: cancelled, args[0] is its repr */
    AL_HANDLE_LARGE = 1 << 7,       /* the cell is of the large size */
    AL_HANDLE_ODD_CONTEXT = 1 << 8, /* `context` is no Context: call run() */
    AL_HANDLE_THREADSAFE = 1 << 9,  /* call_soon_threadsafe's, from 3.14 on */
};

#define AL_HANDLE_SMALL_ARGS 2
#define AL_HANDLE_LARGE_ARGS 6
#define AL_TIMER_HANDLE_ARGS 3

typedef struct {
    PyObject_HEAD
    PyObject *callback; /* strong; NULL when it has run or is cancelled */
    PyObject *context;  /* strong; NULL means the empty context */
    PyObject *weakrefs;
    uint16_t flags;
    uint8_t nargs;
    PyObject *args[]; /* strong, `nargs` of them */
} HandleObject;

typedef struct {
    HandleObject base;
    PyObject *args[AL_TIMER_HANDLE_ARGS]; /* base.args */
    double when;                          /* as the user gave it, seconds */
    al_heap_node node;
} TimerHandleObject;

/* The memory of a loop's handles. It outlives the loop while somebody still
 * holds a handle. */
typedef struct al_handle_pool {
    al_slab_pool small;
    al_slab_pool large;
    struct al_state *st;
    PyObject *module; /* strong: keeps `st` alive to the end */
    PyObject *loop;   /* borrowed; NULL once the loop is gone */
    /* The loop's: take a timer that was cancelled out of the heap, dropping
     * the heap's reference. */
    void (*on_timer_cancel)(PyObject *loop, TimerHandleObject *timer);
    bool debug;           /* the loop's debug flag, mirrored */
    unsigned long runner; /* the thread that runs the loop, or 0; mirrored */
    unsigned depth;       /* nested deallocations, see handle_tp_dealloc */
    HandleObject *doomed; /* deallocations put off, linked by `weakrefs` */
} al_handle_pool;

/* A pool for `loop`, or NULL with MemoryError set. */
al_handle_pool *al_handle_pool_new(struct al_state *st, PyObject *loop);

/* The loop is gone: free the pool, now or with its last handle. */
void al_handle_pool_abandon(al_handle_pool *pool);

/* A handle, new reference, or NULL with an exception set. `context` may be
 * NULL for the empty context and is stolen even on failure; `traceback`,
 * borrowed, is NULL but in debug mode. */
HandleObject *al_handle_new(al_handle_pool *pool, PyObject *callback,
                            PyObject *const *args, size_t nargs,
                            PyObject *context_steal, PyObject *traceback);
TimerHandleObject *al_timer_handle_new(al_handle_pool *pool,
                                       PyObject *callback,
                                       PyObject *const *args, size_t nargs,
                                       PyObject *context_steal,
                                       PyObject *traceback, double when);

/* Call the callback with its arguments, in whatever context is current.
 * The result, new reference, or NULL with an exception set. The caller holds
 * a reference to the handle and marks it running meanwhile. */
PyObject *al_handle_call(HandleObject *self);

/* From 3.14 on, cancelling the handle of call_soon_threadsafe from another
 * thread waits until a callback that has begun is through. Releases the GIL
 * meanwhile. */
void al_handle_wait_while_running(HandleObject *self);

/* Mark as cancelled and drop callback and arguments (a running handle drops
 * them when its callback returns). May run foreign code. */
void al_handle_cancel(HandleObject *self);

/* Drop callback, arguments and context. May run foreign code. */
void al_handle_drop(HandleObject *self);

/* The arguments as a new tuple; NULL with an exception set. */
PyObject *al_handle_args_tuple(HandleObject *self);

/* The context, new reference: makes an empty one where `context` is NULL. */
PyObject *al_handle_context(HandleObject *self);

/* For the loop's traverse: visit what the handle holds. */
int al_handle_visit(HandleObject *self, visitproc visit, void *arg);

static inline al_handle_pool *
al_handle_pool_of(const void *handle)
{
    return al_slab_owner(handle);
}

static inline TimerHandleObject *
al_timer_of_node(al_heap_node *node)
{
    return (TimerHandleObject *)((char *)node -
                                 offsetof(TimerHandleObject, node));
}

static inline bool
al_handle_is_timer(const HandleObject *self, const struct al_state *st)
{
    return Py_IS_TYPE((PyObject *)self, st->timer_handle_type);
}

int al_handle_setup(PyObject *module, struct al_state *st);

#endif
