/* loop.h - the loop: its state, and the verbs that the layers above use.
 *
 * The Python type is assembled in api/loop_type.c, at the top; here is what
 * every subsystem needs to know of a loop.
 *
 * A turn (run.c):
 *   1. timers that are due go to the ready ring;
 *   2. as many entries as the ring held then are run; what they add waits for
 *      the next turn;
 *   3. with entries waiting: a poll without blocking, but only when the poll
 *      budget is used up or somebody asked for it;
 *      with none: arm the timer, poll once without blocking and the GIL held,
 *      and only when nothing came block in libuv with the GIL released.
 *
 * Ownership: LoopObject owns what it points to, unless it says borrowed. The
 * uv_loop_t and its handles are embedded; they are closed by al_loop_close,
 * which every loop passes before its memory goes.
 * Threads: the loop's thread, with the GIL; what other threads may call is in
 * inbox.h and says so. Without the GIL only the fields marked `poll` change.
 */
#ifndef AL_LOOP_LOOP_H
#define AL_LOOP_LOOP_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/ring.h"
#include "base/uvcompat.h"
#include "handles/handle.h"
#include "loop/counters.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Reads go to one buffer of the loop's, and become `bytes` of their size. */
#define AL_IO_BUFFER_SIZE ((size_t)256 * 1024)

struct al_watch;

/* A transport that has written and sends soon; when is said in run.c. */
typedef struct al_flush {
    struct al_flush *next; /* in the loop's list */
    PyObject *owner;       /* what this is embedded in */
    /* The list's reference to the owner is dropped by the caller. Reports its
     * exceptions itself. */
    void (*send)(struct al_flush *flush);
    bool queued;
} al_flush;

struct LoopObject;

/* What watch/, a layer above, does for the turn and the life of a loop. */
struct al_watch_ops {
    /* Before a poll, when `fresh_watches` is not empty. */
    void (*before_poll)(struct LoopObject *self);
    /* After a batch, when `held_first` is set: bring the events that were
     * held so that the batch could go first. */
    void (*bring_held)(struct LoopObject *self);
    /* The wake-up pipe has bytes. 0, or -1: an exception leaves the loop. */
    int (*on_signal)(struct LoopObject *self);
    /* Around run_forever: take and give back the process's wake-up
     * descriptor. enter: 0, or -1 with an exception set. */
    int (*signals_enter)(struct LoopObject *self);
    void (*signals_leave)(struct LoopObject *self);
    /* Close every uv handle of the layer and release what it holds. */
    void (*close)(struct LoopObject *self);
};

/* What futures/, a layer above, does with tasks in the ready ring and with
 * the callbacks that asyncio's tasks queue. */
struct al_task_ops {
    /* Step a task from the ring. Steals it. 0, or -1: an exception leaves
     * the loop. */
    int (*run_steal)(struct LoopObject *self, PyObject *task);
    /* Is this call of call_soon a task's? 1: taken, the task is queued; 0: it
     * is not; -1: an exception is set. */
    int (*take)(struct LoopObject *self, PyObject *callback,
                PyObject *const *args, size_t nargs);
    /* The same as a handle, for debug mode. Steals it; NULL with an exception
     * set. */
    PyObject *(*as_handle_steal)(struct LoopObject *self, PyObject *task);
    /* Something else than a task is about to run. */
    void (*leave_task)(struct LoopObject *self);
};

/* What executors/, a layer above, does with outcomes in the ready ring and
 * with the workers that the loop has given work. */
struct al_work_ops {
    /* Give a future its outcome. Steals the entry. 0, or -1: an exception
     * leaves the loop. */
    int (*deliver_steal)(struct LoopObject *self, PyObject *item);
    /* Tell a worker that there is work; with or without the GIL. */
    void (*wake_worker)(void *station);
};

typedef struct LoopObject {
    PyObject_HEAD
    struct al_state *st; /* borrowed; the type keeps the module alive */

    /* What is to be run: handles, tasks and outcomes of executors, a
     * reference to each. */
    al_ring ready;
    size_t ops_end; /* position in `ready`; see sockets/op_wait.c */
    al_heap timers; /* nodes of TimerHandleObjects, a reference each */
    al_handle_pool *handles;

    /* The turn. */
    PyObject *entered;       /* borrowed: the context that run.c is in */
    PyObject *empty_context; /* strong: for callbacks without variables */
    bool closed;
    bool stopping;
    bool running;
    bool debug;
    bool time_on_instance;         /* set on this loop, not on its class */
    bool short_cut_on_instance;    /* call_soon or get_debug, likewise */
    bool threadsafe_on_instance;   /* call_soon_threadsafe, likewise */
    bool time_is_overridden;       /* `time` is not ours: ask the attribute */
    bool no_short_cuts;            /* nor call_soon or get_debug: go by them */
    bool threadsafe_is_overridden; /* nor call_soon_threadsafe */
    bool poll_soon;                /* something new to watch: poll this turn */
    bool hold_events;              /* what is ready runs before they do */
    bool signal_arrived;           /* poll: the wake-up pipe has bytes */
    bool connect_on_instance;      /* a part of create_connection, likewise */
    bool connecting_is_replaced;   /* asyncio's code has to connect */
    bool got_event;           /* poll: the first event of this poll was seen */
    bool gil_released;        /* poll: by run.c, around a blocking poll */
    bool sleeping;            /* a blocking poll is about to be or is on */
    unsigned long thread_id;  /* threading.get_ident() of the runner, or 0 */
    PyThreadState *tstate;    /* of the runner while it runs, or NULL */
    bool parted;              /* al_loop_part_from_parent was here */
    uint64_t fork_generation; /* of the process that made the loop */
    size_t probe_position;    /* ring position whose delay is measured */
    int64_t probe_time;       /* when it was queued, ns; 0: no probe */
    uint64_t budget_ticks;    /* poll budget; see run.c */
    uint64_t last_poll_ticks;
    uint64_t rate_ticks; /* ticks and time when the rate was last learnt */
    int64_t rate_time;

    /* libuv. */
    uv_loop_t uv;
    union {
        uv_poll_t poll;   /* of an eventfd */
        uv_async_t async; /* where there is none */
    } wake;
    int wake_fd; /* the eventfd, or -1 */
    bool wake_open;
    uv_poll_t signal_poll;
    uv_poll_t timer_poll;
    bool signal_poll_open;
    bool timer_poll_open;
    bool uv_open;
    int timer_fd;            /* -1 where there is no timerfd */
    uv_timer_t timer_uv;     /* used where there is no timerfd */
    int64_t wanted_deadline; /* the first one, for which the timer is set */
    int64_t timer_lead;      /* poll: how much sooner a long sleep is set */
    bool timer_was_long;     /* it was set for a long sleep */
    int64_t armed_deadline;  /* poll: of the kernel timer, ns; 0: disarmed; -1:
                             * expired, still readable */
    int signal_pipe[2];      /* read end, write end; -1 until needed */
    int saved_wakeup_fd;     /* the process's, while we run */
    bool in_main_thread;     /* running there: signals are ours */

    /* Descriptors: watch/watch.c. */
    struct al_watch **watches; /* by descriptor, NULL where unused */
    size_t watches_len;
    struct al_watch *fresh_watches; /* to be looked at before a poll */
    struct al_watch *held_first;    /* have an event for a user in C */
    struct al_watch *held_last;

    /* Transports, for reading and for sending: transports/. */
    char *io_buffer;       /* of AL_IO_BUFFER_SIZE; NULL until needed */
    char *scratch;         /* the same, to be taken; NULL while it is */
    void *datagram_batch;  /* malloc's, of transports/recv_batch.c; or NULL */
    al_flush *flush_first; /* an owner's reference each */
    al_flush *flush_last;
    unsigned flush_count; /* those in the list */
    size_t flush_bytes;   /* what they have written since the last sending */
    uint64_t flush_ticks; /* when the first of them wrote */
    PyObject *leaving;    /* strong: an exception that is to leave the loop */

    const struct al_watch_ops *watch_ops; /* the layers above */
    const struct al_task_ops *task_ops;
    PyObject *current_task; /* borrowed; see futures/registry.h */
    bool stepping;          /* likewise */
    atomic_uint wakers;     /* threads that have claimed to send a wake-up */

    /* Handshakes of servers: tls/storm.c. */
    PyObject *handshakes;    /* strong: a list of those that wait, or NULL */
    uint64_t handshake_turn; /* the turn of which the next is told */
    int64_t handshake_ns;    /* what handshakes have taken in it */

    /* Functions in executors: executors/. */
    const struct al_work_ops *work_ops;
    size_t work_pending;  /* outcomes that have not come */
    bool work_is_quick;   /* the last ones came soon */
    void *late_station;   /* a worker to be told when the GIL is given up */
    PyObject *late_queue; /* strong: the queue that it is of */

    /* Sleeping without a poll: spin_for_calls in run.c. */
    bool was_called;      /* poll: it was ended by a call from a thread */
    bool calls_are_quick; /* the last one came soon */
    atomic_bool spinning;
    atomic_bool spin_is_over;

    al_counters counters;

    /* What asyncio's own methods and libraries read and write. */
    double slow_callback_duration;
    double clock_resolution;
    PyObject *current_handle; /* strong; in debug mode, while it runs */
    PyObject *exception_handler;
    PyObject *task_factory;
    PyObject *default_executor;
    PyObject *resolver;  /* its threads look up names; NULL until needed */
    PyObject *asyncgens; /* a WeakSet, made when first asked for */
    PyObject *asyncgen_on_death;   /* the callback of what is in it */
    PyObject *transports;          /* a WeakValueDictionary, likewise */
    PyObject *signal_handlers;     /* dict: signal number -> Handle */
    PyObject *unix_server_sockets; /* dict, for create_unix_server */
    PyObject *origin_tracking_saved_depth;
    char executor_shutdown_called;
    char asyncgens_shutdown_called;
    char origin_tracking_enabled;
} LoopObject;

/* Is this loop of another process (we are in a child made by fork)? */
bool al_loop_is_foreign(const LoopObject *self);

/* In a forked child, before anything is asked of libuv: part from the kernel
 * objects that are shared with the parent, so that it is not disturbed. */
void al_loop_part_from_parent(LoopObject *self);

/* 0, or -1 with RuntimeError('Event loop is closed') set. */
int al_loop_check_closed(LoopObject *self);

/* First in each libuv callback, before any Python object is touched: takes the
 * GIL when the poll released it, and keeps it for the rest of the batch; moves timers that are
 * due ahead of the events that follow. */
void al_loop_enter(LoopObject *self);

static inline LoopObject *
al_loop_of_uv(const uv_handle_t *handle)
{
    return handle->loop->data;
}

/* Does this loop step tasks in C now, and take them from call_soon? */
static inline bool
al_loop_is_native(const LoopObject *self)
{
    return self->st->native_tasks && !self->debug && !self->no_short_cuts;
}

/* Is this what a task of asyncio's own making queues? */
static inline bool
al_loop_is_stock_step(const struct al_state *st, PyObject *callback)
{
    return Py_IS_TYPE(callback, st->task_step_type) ||
           (Py_IS_TYPE(callback, &PyCFunction_Type) &&
            PyCFunction_GET_FUNCTION(callback) == st->task_wakeup);
}

/* Put an entry at the end of the ready ring. Steals the reference.
 * 0, or -1 with MemoryError set and the reference dropped. */
static inline int
al_loop_push_steal(LoopObject *self, PyObject *entry)
{
    if (al_ring_reserve(&self->ready) < 0) {
        Py_DECREF(entry);
        PyErr_NoMemory();
        return -1;
    }
    al_ring_push(&self->ready, entry);
    return 0;
}

/* The buffer for reads, or NULL when memory is short. */
static inline char *
al_loop_io_buffer(LoopObject *self)
{
    if (self->io_buffer == NULL) {
        self->io_buffer = malloc(AL_IO_BUFFER_SIZE);
    }
    return self->io_buffer;
}

/* Take memory of the same size, for as long as it is needed, or NULL when
 * memory is short; and give it back. Who finds it taken gets other memory. */
static inline char *
al_loop_take_scratch(LoopObject *self)
{
    char *taken = self->scratch;

    self->scratch = NULL;
    return taken != NULL ? taken : malloc(AL_IO_BUFFER_SIZE);
}

static inline void
al_loop_give_scratch(LoopObject *self, char *taken)
{
    if (self->scratch != NULL || self->closed) {
        free(taken);
    }
    else {
        self->scratch = taken;
    }
}

/* Have `flush`, which was given `size` bytes to write, send them soon. */
static inline void
al_loop_send_later(LoopObject *self, al_flush *flush, size_t size)
{
    self->flush_bytes += size;
    if (flush->queued) {
        return;
    }
    flush->queued = true;
    flush->next = NULL;
    Py_INCREF(flush->owner); /* the list's */
    self->flush_count++;
    if (self->flush_first == NULL) {
        self->flush_first = flush;
        self->flush_ticks = al_ticks();
    }
    else {
        self->flush_last->next = flush;
    }
    self->flush_last = flush;
}

/* Send what was written; in a forked child, where it is the parent's to send,
 * forget it. May run foreign code; no exception is set before or after. */
void al_loop_send_all(LoopObject *self);

/* Make a loop's uv part and queues. 0, or -1 with an exception set. */
int al_loop_open(LoopObject *self);

/* Close everything that the loop owns; idempotent, never fails, and leaves
 * the exception state as it was. May run foreign code. */
void al_loop_close(LoopObject *self);

/* Drop all queued work. May run foreign code. */
void al_loop_drop_work(LoopObject *self);

/* Run until stopped. 0, or -1 with an exception set. */
int al_loop_run(LoopObject *self);

#endif
