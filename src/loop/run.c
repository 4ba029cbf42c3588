/* run.c - the turn: running what is ready, and waiting for what is not.
 *
 * Invariants, at the top of each turn:
 *   1. the GIL is held, no exception is set;
 *   2. `entered` is NULL or the current context, which this file entered;
 *   3. `sleeping` is false: whoever queues work need not wake us.
 *
 * Ownership: an entry popped from the ring is ours until it has run.
 * Threads: the loop's thread.
 */

#include "loop/run.h"

#include "base/clock.h"
#include "loop/fork.h"
#include "loop/report.h"
#include "loop/timers.h"
#include "py/context.h"
#include "py/error.h"

#include <sched.h>

/* With callbacks waiting, how long I/O may go unseen: a poll costs 0.17 us,
 * so looking every 50 us takes 0.3 %, looking every turn half of the time. */
#define POLL_BUDGET_NS (50 * AL_NS_PER_US)

/* Timers that are later than this let the I/O that has arrived go first. */
#define STALL_NS (5 * AL_NS_PER_MS)

/* The time over which the rate of al_ticks() is learnt, and the first guess
 * (one a nanosecond is below every counter in use, so we poll too often). */
#define RATE_SPAN_NS AL_NS_PER_MS
#define BUDGET_GUESS ((uint64_t)POLL_BUDGET_NS / 4)

/* How long a loop that expects to hear soon from another thread yields before
 * it blocks; and the length of a sleep that would have been worth it. */
#define SPIN_NS (10 * AL_NS_PER_US)
#define USEFUL_SPIN_NS (50 * AL_NS_PER_US)

/* What callbacks write is sent together, which keeps the kernel's code out of
 * the way of the program's: a server of many small answers takes an eighth
 * less CPU (docs/decisions/0015). The bounds on how many transports wait so,
 * on their bytes, and on the time, in poll budgets. */
#define SEND_AFTER_TRANSPORTS 64
#define SEND_AFTER_BYTES ((size_t)64 * 1024)
#define SEND_AFTER_BUDGETS 20

/* Queued handles beyond which an idle loop gives memory back. */
#define TRIM_SLABS 4

/* --- contexts --------------------------------------------------------- */

void
al_run_leave_context(LoopObject *self)
{
    PyObject *context = self->entered;

    if (context == NULL) {
        return;
    }
    self->entered = NULL;
    if (al_context_exit(self->st, self->tstate, context) < 0) {
        /* A callback entered a context and did not leave it. */
        PyErr_WriteUnraisable((PyObject *)self);
    }
}

/* The context for callbacks that were queued where no variable was set. One
 * serves them all, as long as each leaves it as it found it: no variable in
 * it, and nobody else holding it (a Token does, and so would ctx.run). */
static PyObject *
empty_context_borrow(LoopObject *self)
{
    PyObject *context = self->empty_context;

    if (context != NULL) {
        /* One reference is ours, one the thread's while it is current. */
        Py_ssize_t expected = self->entered == context ? 2 : 1;
        if (Py_REFCNT(context) == expected && al_context_is_empty(context)) {
            return context;
        }
        if (self->entered == context) {
            al_run_leave_context(self);
        }
    }
    Py_XSETREF(self->empty_context, PyContext_New());
    return self->empty_context;
}

int
al_run_enter_context(LoopObject *self, PyObject *context)
{
    if (context == NULL) {
        context = empty_context_borrow(self);
        if (context == NULL) {
            return -1;
        }
    }
    PyObject *old = self->entered;
    if (old == context) {
        return 0;
    }
    assert(self->tstate == PyThreadState_GetUnchecked());
    if (old == NULL ||
        !al_context_switch(self->st, self->tstate, old, context)) {
        al_run_leave_context(self);
        if (al_context_enter(self->st, self->tstate, context) < 0) {
            return -1;
        }
    }
    self->entered = context;
    return 0;
}

/* --- sending ---------------------------------------------------------- */

/* Something was written: has it waited for long enough? */
static inline bool
sending_is_due(const LoopObject *self)
{
    return self->flush_count >= SEND_AFTER_TRANSPORTS ||
           self->flush_bytes >= SEND_AFTER_BYTES ||
           al_ticks() - self->flush_ticks >=
               SEND_AFTER_BUDGETS * self->budget_ticks;
}

/* --- events ----------------------------------------------------------- */

int64_t
al_run_begin_event(LoopObject *self)
{
    self->counters.callbacks_run++;
    if (self->current_task != NULL) {
        self->task_ops->leave_task(self);
    }
    return self->debug ? al_clock_ns() : 0;
}

void
al_run_end_event(LoopObject *self, PyObject *owner, int64_t start)
{
    if (self->flush_first != NULL && sending_is_due(self)) {
        al_loop_send_all(self);
    }
    if (start != 0 && self->debug) {
        double seconds = (double)(al_clock_ns() - start) / 1e9;
        if (seconds >= self->slow_callback_duration) {
            al_run_leave_context(self);
            if (al_report_slow_event(self, owner, seconds) < 0) {
                al_run_leave_with_error(self);
            }
        }
    }
}

void
al_run_leave_with_error(LoopObject *self)
{
    if (self->leaving != NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    else {
        self->leaving = al_err_take();
    }
}

/* 0, or -1 with the exception set that is to leave the loop. */
static int
raise_leaving(LoopObject *self)
{
    PyObject *error = self->leaving;

    if (error == NULL) {
        return 0;
    }
    self->leaving = NULL;
    al_err_give_back_steal(error);
    return -1;
}

/* --- callbacks -------------------------------------------------------- */

/* Call through a context object of the user's own, as asyncio does. */
static PyObject *
call_in_odd_context(LoopObject *self, HandleObject *handle)
{
    al_run_leave_context(self);
    PyObject *run = PyObject_GetAttr(handle->context, self->st->str_run);
    if (run == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    PyObject *tuple = al_handle_args_tuple(handle);
    if (tuple != NULL) {
        Py_ssize_t nargs = PyTuple_GET_SIZE(tuple);
        PyObject *call = PyTuple_New(nargs + 1);
        if (call != NULL) {
            PyTuple_SET_ITEM(call, 0, Py_NewRef(handle->callback));
            for (Py_ssize_t i = 0; i < nargs; i++) {
                PyObject *item = PyTuple_GET_ITEM(tuple, i);
                PyTuple_SET_ITEM(call, i + 1, Py_NewRef(item));
            }
            result = PyObject_Call(run, call, NULL);
            Py_DECREF(call);
        }
        Py_DECREF(tuple);
    }
    Py_DECREF(run);
    return result;
}

static PyObject *
call_in_context(LoopObject *self, HandleObject *handle)
{
    if (handle->flags & AL_HANDLE_ODD_CONTEXT) {
        return call_in_odd_context(self, handle);
    }
    if (al_run_enter_context(self, handle->context) < 0) {
        return NULL;
    }
    return al_handle_call(handle);
}

/* The callback raised. 0 when reported, -1 with an exception set when it must
 * leave the loop. */
static int
callback_failed(LoopObject *self, HandleObject *handle)
{
    if (handle->context == NULL && self->entered != NULL) {
        /* The exception handler sees what the callback has set; the loop
         * will notice the extra reference and take another empty context. */
        handle->context = Py_NewRef(self->entered);
    }
    PyObject *error = al_err_take();
    al_run_leave_context(self);
    al_err_give_back_steal(error);
    if (al_err_leaves_loop()) {
        return -1;
    }
    return al_report_callback_error(self, handle);
}

/* As handle_run, with asyncio's watch for slow callbacks. */
static int
handle_call_debug(LoopObject *self, HandleObject *handle)
{
    int rc = 0;
    int64_t start = al_clock_ns();

    Py_XSETREF(self->current_handle, Py_NewRef((PyObject *)handle));
    PyObject *result = call_in_context(self, handle);
    if (result == NULL) {
        rc = callback_failed(self, handle);
    }
    Py_XDECREF(result);
    double seconds = (double)(al_clock_ns() - start) / 1e9;
    if (rc == 0 && seconds >= self->slow_callback_duration) {
        al_run_leave_context(self);
        rc = al_report_slow_callback(self, handle, seconds);
    }
    Py_CLEAR(self->current_handle);
    return rc;
}

/* Will something die with this handle, perhaps a task in whose own context we
 * are? What its finalizer reports is handled in that context, which must not
 * be entered then. Nothing has the shared empty context for its own. */
static bool
holds_last_reference(const HandleObject *handle)
{
    if (handle->context == NULL) {
        return false;
    }
    if (Py_REFCNT(handle->callback) == 1) {
        return true;
    }
    for (uint8_t i = 0; i < handle->nargs; i++) {
        if (Py_REFCNT(handle->args[i]) == 1) {
            return true;
        }
    }
    return false;
}

/* Run an entry of the ring and drop it.
 * 0, or -1 with an exception set that leaves the loop. */
static inline int
handle_run_steal(LoopObject *self, HandleObject *handle)
{
    int rc = 0;

    handle->flags &= (uint16_t)~AL_HANDLE_QUEUED;
    if (handle->flags & AL_HANDLE_CANCELLED) {
        self->counters.callbacks_run--; /* run_batch counted all */
        Py_DECREF(handle);
        return 0;
    }
    handle->flags |= AL_HANDLE_RUNNING;
    self->counters.task_switches +=
        al_loop_is_stock_step(self->st, handle->callback);
    if (self->debug) {
        rc = handle_call_debug(self, handle);
    }
    else {
        PyObject *result = call_in_context(self, handle);
        if (result == NULL) {
            rc = callback_failed(self, handle);
        }
        else {
            Py_DECREF(result);
        }
    }
    handle->flags &= (uint16_t)~AL_HANDLE_RUNNING;
    if (rc == 0 && holds_last_reference(handle)) {
        al_run_leave_context(self);
    }
    bool over = !(handle->flags & AL_HANDLE_PERSISTENT) ||
                (handle->flags & AL_HANDLE_CANCELLED);
    if (over && Py_REFCNT(handle) > 1) {
        if (rc < 0) {
            PyObject *error = al_err_take();
            al_handle_drop(handle);
            al_err_give_back_steal(error);
        }
        else {
            al_handle_drop(handle);
        }
    }
    Py_DECREF(handle);
    return rc;
}

/* --- the delay probe --------------------------------------------------- */

/* Now and then, note when the entry that was queued last was queued; the
 * batch that holds it is run in two parts, with a look at the clock between
 * them. Nothing is spent per entry. */
static void
probe_set(LoopObject *self)
{
    if (self->probe_time == 0 && al_ring_len(&self->ready) != 0) {
        self->probe_position = self->ready.tail - 1;
        self->probe_time = al_clock_ns();
    }
}

static void
probe_take(LoopObject *self)
{
    al_counters_add_delay(&self->counters, al_clock_ns() - self->probe_time);
    self->probe_time = 0;
}

/* Send what was written up to the entry that ended with `rc`.
 * 0, or -1 with an exception set that leaves the loop. */
static int
send_written(LoopObject *self, int rc)
{
    PyObject *error = rc < 0 ? al_err_take() : NULL;

    al_run_leave_context(self);
    self->task_ops->leave_task(self);
    al_loop_send_all(self);
    if (error == NULL) {
        return raise_leaving(self);
    }
    al_err_give_back_steal(error);
    return -1;
}

/* Run an entry that is no task, or one in debug mode.
 * 0, or -1 with an exception set that leaves the loop. */
static inline int
run_other_steal(LoopObject *self, PyObject *entry)
{
    struct al_state *st = self->st;

    if (Py_IS_TYPE(entry, st->work_item_type)) {
        return self->work_ops->deliver_steal(self, entry);
    }
    if (Py_IS_TYPE(entry, (PyTypeObject *)st->aio_Task)) {
        /* Debug mode came on meanwhile: as a callback, it is timed. */
        entry = self->task_ops->as_handle_steal(self, entry);
    }
    return entry == NULL ? -1 : handle_run_steal(self, (HandleObject *)entry);
}

static int
run_entries(LoopObject *self, size_t count)
{
    PyTypeObject *task_type = (PyTypeObject *)self->st->aio_Task;

    while (count-- != 0) {
        PyObject *entry = al_ring_pop(&self->ready);
        int rc;
        if (Py_IS_TYPE(entry, task_type) && !self->debug) {
            rc = self->task_ops->run_steal(self, entry);
        }
        else {
            if (self->current_task != NULL) {
                self->task_ops->leave_task(self);
            }
            rc = run_other_steal(self, entry);
        }
        if (rc < 0) {
            return -1;
        }
        if (self->flush_first != NULL && sending_is_due(self) &&
            send_written(self, 0) < 0) {
            return -1;
        }
    }
    return 0;
}

/* As many entries as the ring holds now. 0, or -1 with an exception set. */
static int
run_ready(LoopObject *self)
{
    al_counters *counters = &self->counters;
    size_t count = al_ring_len(&self->ready);

    counters->iterations++;
    counters->callbacks_run += count;
    if (count > counters->queue_max) {
        counters->queue_max = count;
    }
    if (self->probe_time != 0) {
        size_t before = self->probe_position - self->ready.head;
        if (before < count) {
            if (run_entries(self, before) < 0) {
                return -1;
            }
            probe_take(self);
            count -= before;
        }
    }
    return run_entries(self, count);
}

static int
run_batch(LoopObject *self)
{
    int rc = run_ready(self);

    return self->flush_first != NULL ? send_written(self, rc) : rc;
}

/* --- polling ------------------------------------------------------------ */

/* Learn how fast al_ticks() goes. */
static void
learn_rate(LoopObject *self, uint64_t ticks)
{
    int64_t now = al_clock_ns();
    int64_t span = now - self->rate_time;

    if (span < RATE_SPAN_NS) {
        return;
    }
    if (self->rate_time != 0 && span < AL_NS_PER_SECOND) {
        double rate = (double)(ticks - self->rate_ticks) / (double)span;
        double budget = rate * (double)POLL_BUDGET_NS;
        self->budget_ticks =
            budget >= 1.0 && budget < 1e9 ? (uint64_t)budget : 0;
    }
    self->rate_time = now;
    self->rate_ticks = ticks;
}

static inline bool
poll_is_due(const LoopObject *self)
{
    return self->poll_soon ||
           al_ticks() - self->last_poll_ticks >= self->budget_ticks;
}

static int
poll_finish(LoopObject *self)
{
    if (self->flush_first != NULL) {
        al_loop_send_all(self); /* written by what the poll has brought */
    }
    if (self->leaving != NULL) {
        return raise_leaving(self);
    }
    self->last_poll_ticks = al_ticks();
    learn_rate(self, self->last_poll_ticks);
    if (self->signal_arrived) {
        al_run_leave_context(self);
        self->task_ops->leave_task(self);
        self->signal_arrived = false;
        return self->watch_ops->on_signal(self);
    }
    return 0;
}

static void
poll_begin(LoopObject *self)
{
    if (self->flush_first != NULL) {
        al_loop_send_all(self); /* written by a finalizer, say */
    }
    self->got_event = false;
    self->poll_soon = false;
    if (self->fresh_watches != NULL) {
        self->watch_ops->before_poll(self);
    }
}

/* Take in what has arrived, without blocking and with the GIL held.
 * 0, or -1 with an exception set that leaves the loop. */
static int
poll_now(LoopObject *self)
{
    poll_begin(self);
    /* asyncio's order: what was ready before the poll, then what it brings. */
    self->hold_events = al_ring_len(&self->ready) != 0;
    (void)uv_run(&self->uv, UV_RUN_NOWAIT);
    self->hold_events = false;
    return poll_finish(self);
}

/* Work was given to an executor and its worker not told so far: it would only
 * have waited for the GIL. */
static inline void
tell_worker(LoopObject *self)
{
    void *station = self->late_station;

    if (station != NULL) {
        self->late_station = NULL;
        /* In a forked child there is no such thread, and its lock may be
         * held for ever. */
        if (self->fork_generation == al_fork_generation) {
            self->work_ops->wake_worker(station);
        }
    }
}

/* Other threads were quick to call or to answer of late: let them run for a
 * moment, without a poll. Something may be ready then; if not, the next sleeps
 * are without, until one has been short again. */
static void
spin_for_calls(LoopObject *self)
{
    int64_t start = al_clock_ns();
    int64_t now;

    atomic_store(&self->spin_is_over, false);
    atomic_store(&self->spinning, true);
    self->sleeping = true;
    PyThreadState *tstate = PyEval_SaveThread();
    tell_worker(self);
    do {
        (void)sched_yield();
        now = al_clock_ns();
    } while (!atomic_load(&self->spin_is_over) && now - start < SPIN_NS);
    PyEval_RestoreThread(tstate);
    self->sleeping = false;
    atomic_store(&self->spinning, false);
    self->counters.waiting_ns += now - start;
    self->work_is_quick = self->calls_are_quick =
        al_ring_len(&self->ready) != 0;
}

/* Block until something arrives, other Python threads running meanwhile.
 * Nothing is ready, and the timer is armed. */
static int
poll_blocking(LoopObject *self)
{
    poll_begin(self);
    int64_t start = al_clock_ns();
    self->sleeping = true; /* seen by call_soon_threadsafe, under the GIL */
    self->was_called = false;
    self->gil_released = true;
    self->tstate = PyEval_SaveThread();
    tell_worker(self);
    (void)uv_run(&self->uv, UV_RUN_ONCE);
    if (self->gil_released) {
        PyEval_RestoreThread(self->tstate);
        self->gil_released = false;
    }
    self->sleeping = false;
    int64_t slept = al_clock_ns() - start;
    self->counters.waiting_ns += slept;
    self->calls_are_quick = self->was_called && slept < USEFUL_SPIN_NS;
    return poll_finish(self);
}

void
al_loop_enter(LoopObject *self)
{
    if (self->gil_released) {
        PyEval_RestoreThread(self->tstate);
        self->gil_released = false;
        self->sleeping = false;
    }
    if (self->got_event) {
        return;
    }
    self->got_event = true;
    /* Timers that are due run before I/O that arrives with them, unless the
     * loop was held up: data that has been there for long must not lose to
     * a time-out that is as late. */
    if (self->timers.len != 0 && !self->time_is_overridden) {
        int64_t now = al_clock_ns();
        if (al_timers_are_due(self, now) &&
            now - self->timers.entries[0].key <= STALL_NS &&
            al_timers_move_due(self, now) < 0) {
            PyErr_Clear(); /* still in the heap: the next turn tries again */
        }
    }
}

/* An idle loop has time to give back the memory of a burst. */
static void
trim_memory(LoopObject *self)
{
    al_handle_pool *pool = self->handles;

    if (pool->small.count + pool->large.count > TRIM_SLABS) {
        al_slab_trim(&pool->small);
        al_slab_trim(&pool->large);
        al_ring_shrink(&self->ready);
    }
}

/* A profiler that follows contexts learns that a task has given way from the
 * Python code that runs outside it. asyncio's turn is such code; here is some
 * on both sides of a wait, or its time would be taken for the task's.
 * 0, or -1 with an exception set. */
static int
tell_profiler(LoopObject *self)
{
    if (!al_is_profiled()) {
        return 0;
    }
    PyObject *result = PyObject_CallNoArgs(self->st->beside_tasks);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Nothing is ready: wait until something is.
 * 0, or -1 with an exception set that leaves the loop. */
static int
wait_for_events(LoopObject *self)
{
    bool spin = self->calls_are_quick ||
                (self->work_is_quick && self->work_pending != 0);

    uint64_t before = self->counters.callbacks_run;

    if ((!spin || poll_is_due(self)) && poll_now(self) < 0) {
        return -1;
    }
    /* Where transports have answered on the spot more is on its way: the GIL
     * is kept until a poll brings them nothing. */
    if (self->counters.callbacks_run != before ||
        al_ring_len(&self->ready) != 0 || self->stopping) {
        return 0;
    }
    al_run_leave_context(self);
    self->task_ops->leave_task(self);
    if (tell_profiler(self) < 0) {
        return -1;
    }
    if (spin) {
        spin_for_calls(self);
        if (al_ring_len(&self->ready) != 0 || self->stopping) {
            return tell_profiler(self);
        }
    }
    int64_t now = 0;
    if (self->timers.len != 0) {
        if (al_timers_now(self, &now) < 0) {
            return -1;
        }
        if (al_timers_are_due(self, now)) {
            return 0;
        }
    }
    al_timers_arm(self, now);
    trim_memory(self);
    /* Handlers set by signal.signal run here, in the main thread, and may
     * have queued something or raised. */
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    if (al_ring_len(&self->ready) != 0 || self->stopping) {
        return 0;
    }
    return poll_blocking(self) < 0 ? -1 : tell_profiler(self);
}

/* --- the turn ------------------------------------------------------------ */

static int
take_due_timers(LoopObject *self)
{
    int64_t now;

    if (al_timers_now(self, &now) < 0) {
        return -1;
    }
    if (!al_timers_are_due(self, now)) {
        return 0;
    }
    if (now - self->timers.entries[0].key > STALL_NS && poll_now(self) < 0) {
        return -1;
    }
    return al_timers_move_due(self, now);
}

/* 0: another turn follows; 1: stop() was called before or in this batch; -1:
 * an exception leaves the loop. A stop() that comes while we wait still lets
 * what is ready then run. */
static int
loop_turn(LoopObject *self)
{
    if (self->timers.len != 0 && take_due_timers(self) < 0) {
        return -1;
    }
    if (run_batch(self) < 0) {
        return -1;
    }
    if (self->held_first != NULL) {
        self->watch_ops->bring_held(self);
        if (self->flush_first != NULL) {
            al_loop_send_all(self);
        }
        if (raise_leaving(self) < 0) {
            return -1;
        }
    }
    if (self->fork_generation != al_fork_generation) {
        PyErr_SetString(PyExc_RuntimeError,
                        "This event loop belongs to the parent process; "
                        "a forked child must make its own");
        return -1;
    }
    if (self->stopping) {
        return 1;
    }
    int rc = 0;
    if (al_ring_len(&self->ready) == 0) {
        rc = wait_for_events(self);
    }
    else if (poll_is_due(self)) {
        tell_worker(self); /* the loop is busy: the GIL has to be asked for */
        rc = poll_now(self);
    }
    if (self->counters.iterations % AL_DELAY_SAMPLE_TURNS == 0) {
        probe_set(self);
    }
    return rc;
}

int
al_loop_run(LoopObject *self)
{
    int rc = 0;

    self->budget_ticks =
        self->budget_ticks ? self->budget_ticks : BUDGET_GUESS;
    self->counters.entered_at = al_clock_ns();
    /* A run that is stopped at once still takes in the I/O that waits, as
     * asyncio's does: what is ready, then timers, then I/O, in one batch. */
    if (self->timers.len != 0) {
        rc = take_due_timers(self);
    }
    if (rc == 0) {
        rc = poll_now(self);
    }
    while (rc == 0) {
        rc = loop_turn(self);
    }
    tell_worker(self);
    PyObject *error = rc < 0 ? al_err_take() : NULL;
    self->task_ops->leave_task(self);
    al_loop_send_all(self); /* in the transports' contexts */
    al_run_leave_context(self);
    self->counters.running_ns += al_clock_ns() - self->counters.entered_at;
    self->counters.entered_at = 0;
    if (error != NULL) {
        al_err_give_back_steal(error);
        return -1;
    }
    return raise_leaving(self);
}
