/* sched.c - call_soon, call_later, call_at and call_soon_threadsafe.
 *
 * Ownership: the queue takes one reference to the handle, the caller gets
 * another.
 * Threads: call_soon_threadsafe from any; the others from the loop's.
 */

#include "loop/sched.h"

#include "base/clock.h"
#include "loop/inbox.h"
#include "loop/timers.h"
#include "py/args.h"

#include <math.h>

/* The arguments of a call to one of the four. All borrowed. */
typedef struct {
    PyObject *first; /* delay or when; of no meaning for call_soon */
    PyObject *callback;
    PyObject *const *args;
    size_t nargs;
    PyObject *context; /* NULL when not given, or None */
} call_args;

/* Sort the arguments out; `first_name` is NULL, "delay" or "when".
 * 0, or -1 with TypeError set. */
static inline int
parse_call(struct al_state *st, const char *method, PyObject *first_name,
           PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
           call_args *call)
{
    size_t leading = first_name == NULL ? 1 : 2;

    /* No keyword, or the context that asyncio's own C code passes. */
    bool has_context =
        kwnames != NULL && PyTuple_GET_SIZE(kwnames) == 1 &&
        al_args_is_name(PyTuple_GET_ITEM(kwnames, 0), st->str_context);
    if ((kwnames == NULL || has_context) && nargs >= (Py_ssize_t)leading) {
        call->first = args[0];
        call->callback = args[leading - 1];
        call->args = args + leading;
        call->nargs = (size_t)nargs - leading;
        call->context =
            has_context && args[nargs] != Py_None ? args[nargs] : NULL;
        return 0;
    }
    PyObject *names[] = {first_name, st->str_callback};
    PyObject *values[2];
    if (al_args_take(method, names + 2 - leading, leading, st->str_context,
                     &call->context, args, nargs, kwnames, values,
                     &call->nargs) < 0) {
        return -1;
    }
    call->first = values[0];
    call->callback = values[leading - 1];
    call->args = args + leading;
    return 0;
}

PyObject *
al_sched_copy_context(bool *failed)
{
    PyObject *current = al_context_current_borrow();

    *failed = false;
    if (current == NULL || al_context_is_empty(current)) {
        return NULL;
    }
    PyObject *copy = PyContext_CopyCurrent();
    *failed = copy == NULL;
    return copy;
}

/* What debug mode keeps of a handle's making: a new reference or, otherwise,
 * NULL; `*failed` as above. */
static inline PyObject *
take_traceback(const LoopObject *self, bool *failed)
{
    *failed = false;
    if (!self->debug) {
        return NULL;
    }
    PyObject *stack = PyObject_CallNoArgs(self->st->aio_extract_stack);
    *failed = stack == NULL;
    return stack;
}

/* What a handle keeps of its making. */
typedef struct {
    PyObject *context;   /* strong, NULL for an empty one */
    PyObject *traceback; /* strong, NULL when not in debug mode */
    bool is_odd;         /* the context is an object of the user's own */
} surroundings;

/* `given` is the context of the call, or NULL: the current one is copied.
 * 0, or -1 with an exception set and nothing to release. */
static inline int
surroundings_take(LoopObject *self, PyObject *given, surroundings *taken)
{
    bool failed;

    *taken = (surroundings){0};
    if (given != NULL) {
        taken->context = Py_NewRef(given);
        taken->is_odd = !PyContext_CheckExact(given);
    }
    else {
        taken->context = al_sched_copy_context(&failed);
        if (failed) {
            return -1;
        }
    }
    taken->traceback = take_traceback(self, &failed);
    if (failed) {
        Py_XDECREF(taken->context);
        return -1;
    }
    return 0;
}

/* Debug mode: asyncio's checks of the thread and of the callback.
 * 0, or -1 with an exception set. */
static int
check_call_debug(LoopObject *self, const char *method, PyObject *callback,
                 bool check_thread)
{
    struct al_state *st = self->st;
    PyObject *result;

    if (check_thread) {
        result =
            PyObject_CallMethodNoArgs((PyObject *)self, st->str__check_thread);
        if (result == NULL) {
            return -1;
        }
        Py_DECREF(result);
    }
    PyObject *name = PyUnicode_FromString(method);
    if (name == NULL) {
        return -1;
    }
    result = PyObject_CallMethodObjArgs(
        (PyObject *)self, st->str__check_callback, callback, name, NULL);
    Py_DECREF(name);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* What every call of the family checks first.
 * 0, or -1 with an exception set. */
static inline int
check_call(LoopObject *self, const char *method, PyObject *callback,
           bool check_thread)
{
    if (al_loop_check_closed(self) < 0) {
        return -1;
    }
    if (self->debug) {
        return check_call_debug(self, method, callback, check_thread);
    }
    return 0;
}

HandleObject *
al_sched_new_handle(LoopObject *self, PyObject *callback,
                    PyObject *const *args, size_t nargs, PyObject *context)
{
    surroundings taken;

    if (surroundings_take(self, context, &taken) < 0) {
        return NULL;
    }
    HandleObject *handle = al_handle_new(self->handles, callback, args, nargs,
                                         taken.context, taken.traceback);
    Py_XDECREF(taken.traceback); /* al_handle_new took the context */
    if (handle != NULL && taken.is_odd) {
        handle->flags |= AL_HANDLE_ODD_CONTEXT;
    }
    return handle;
}

int
al_sched_call_in(LoopObject *self, PyObject *context, PyObject *callback,
                 PyObject *const *args, size_t nargs)
{
    bool failed;

    if (al_loop_check_closed(self) < 0) {
        return -1;
    }
    PyObject *traceback = take_traceback(self, &failed);
    if (failed) {
        return -1;
    }
    HandleObject *handle = al_handle_new(self->handles, callback, args, nargs,
                                         Py_XNewRef(context), traceback);
    Py_XDECREF(traceback);
    return handle == NULL ? -1 : al_loop_push_steal(self, (PyObject *)handle);
}

static PyObject *
schedule(LoopObject *self, const call_args *call)
{
    HandleObject *handle = al_sched_new_handle(
        self, call->callback, call->args, call->nargs, call->context);
    if (handle == NULL) {
        return NULL;
    }
    Py_INCREF(handle); /* the caller's; the first goes to the ring */
    if (al_loop_push_steal(self, (PyObject *)handle) < 0) {
        Py_DECREF(handle);
        return NULL;
    }
    return (PyObject *)handle;
}

/* Steps and wake-ups of tasks need no handle. 1 when the task is queued. */
static inline int
take_task(LoopObject *self, const call_args *call)
{
    struct al_state *st = self->st;

    if (al_loop_is_native(self) &&
        (Py_IS_TYPE(call->callback, st->wake_type) ||
         al_loop_is_stock_step(st, call->callback))) {
        return self->task_ops->take(self, call->callback, call->args,
                                    call->nargs);
    }
    return 0;
}

PyObject *
al_sched_py_call_soon(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    call_args call;

    if (parse_call(self->st, "call_soon", NULL, args, nargs, kwnames, &call) <
        0) {
        return NULL;
    }
    if (check_call(self, "call_soon", call.callback, true) < 0) {
        return NULL;
    }
    int taken = take_task(self, &call);
    if (taken != 0) {
        /* The callers are asyncio's tasks, which drop the handle. */
        return taken < 0 ? NULL : Py_NewRef(Py_None);
    }
    return schedule(self, &call);
}

PyObject *
al_sched_py_call_soon_threadsafe(PyObject *op, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    call_args call;

    if (parse_call(self->st, "call_soon_threadsafe", NULL, args, nargs,
                   kwnames, &call) < 0) {
        return NULL;
    }
    if (check_call(self, "call_soon_threadsafe", call.callback, false) < 0) {
        return NULL;
    }
    PyObject *handle = schedule(self, &call);
    if (handle != NULL) {
        if (self->st->aio_ThreadSafeHandle != NULL) {
            ((HandleObject *)handle)->flags |= AL_HANDLE_THREADSAFE;
        }
        al_inbox_wake(self);
    }
    return handle;
}

static PyObject *
schedule_at(LoopObject *self, const call_args *call, double when)
{
    surroundings taken;

    if (surroundings_take(self, call->context, &taken) < 0) {
        return NULL;
    }
    TimerHandleObject *timer =
        al_timer_handle_new(self->handles, call->callback, call->args,
                            call->nargs, taken.context, taken.traceback, when);
    Py_XDECREF(taken.traceback); /* the new handle took the context */
    if (timer == NULL) {
        return NULL;
    }
    if (taken.is_odd) {
        timer->base.flags |= AL_HANDLE_ODD_CONTEXT;
    }
    if (al_timers_add(self, timer) < 0) {
        Py_DECREF(timer);
        return NULL;
    }
    return (PyObject *)timer;
}

/* The number in `value`; -1 with asyncio's TypeError when it is None or is no
 * number. */
static int
seconds_of(PyObject *value, const char *name, double *seconds)
{
    if (value == Py_None) {
        PyErr_Format(PyExc_TypeError, "%s must not be None", name);
        return -1;
    }
    *seconds = PyFloat_AsDouble(value);
    return *seconds == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* The loop's clock in seconds, which a test may have replaced.
 * 0, or -1 with an exception set. */
static int
clock_seconds(LoopObject *self, double *seconds)
{
    if (!self->time_is_overridden) {
        *seconds = (double)al_clock_ns() / 1e9;
        return 0;
    }
    return al_timers_ask_time(self, seconds);
}

/* When a delay from now is over; anything but a plain number is added as
 * Python adds it, so that what asyncio refuses is refused in its words.
 * 0, or -1 with an exception set. */
static int
when_after(LoopObject *self, PyObject *delay, double *when)
{
    double now;

    if (delay == Py_None) {
        PyErr_SetString(PyExc_TypeError, "delay must not be None");
        return -1;
    }
    if (clock_seconds(self, &now) < 0) {
        return -1;
    }
    if (PyFloat_CheckExact(delay)) {
        *when = now + PyFloat_AS_DOUBLE(delay);
        return 0;
    }
    if (PyLong_CheckExact(delay)) { /* float + int, without the objects */
        double seconds = PyLong_AsDouble(delay);
        *when = now + seconds;
        return seconds == -1.0 && PyErr_Occurred() ? -1 : 0;
    }
    PyObject *start = PyFloat_FromDouble(now);
    PyObject *sum = start == NULL ? NULL : PyNumber_Add(start, delay);
    Py_XDECREF(start);
    if (sum == NULL) {
        return -1;
    }
    int rc = seconds_of(sum, "delay", when);
    Py_DECREF(sum);
    return rc;
}

PyObject *
al_sched_py_call_later(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    call_args call;
    double when;

    if (parse_call(self->st, "call_later", self->st->str_delay, args, nargs,
                   kwnames, &call) < 0 ||
        when_after(self, call.first, &when) < 0) {
        return NULL;
    }
    if (check_call(self, "call_later", call.callback, true) < 0) {
        return NULL;
    }
    return schedule_at(self, &call, when);
}

PyObject *
al_sched_py_call_at(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    call_args call;
    double when;

    if (parse_call(self->st, "call_at", self->st->str_when, args, nargs,
                   kwnames, &call) < 0 ||
        seconds_of(call.first, "when", &when) < 0) {
        return NULL;
    }
    if (check_call(self, "call_at", call.callback, true) < 0) {
        return NULL;
    }
    return schedule_at(self, &call, when);
}

PyObject *
al_sched_py_time(PyObject *op, PyObject *unused)
{
    (void)op;
    (void)unused;
    return PyFloat_FromDouble((double)al_clock_ns() / 1e9);
}

/* Called by asyncio's own TimerHandle.cancel; ours leave the heap by
 * themselves, and another loop's timers are none of our business. */
PyObject *
al_sched_py_timer_handle_cancelled(PyObject *op, PyObject *handle)
{
    (void)op;
    (void)handle;
    Py_RETURN_NONE;
}
