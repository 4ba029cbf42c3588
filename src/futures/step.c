/* step.c - resuming a coroutine, and what it asks for.
 *
 * The rules are asyncio's Task.__step; what is rare there (an exception, a
 * future of a foreign kind) goes through Future's own methods here as well,
 * called on the task as on any future.
 *
 * Ownership: see layout.h; between resuming and leaving this file the task
 * may have been changed by user code in any way but freed.
 * Threads: the loop's.
 */

#include "futures/step.h"

#include "futures/native.h"
#include "futures/registry.h"
#include "futures/wake.h"
#include "loop/sched.h"
#include "py/error.h"

#include <stdarg.h>

#if AL_TASK_LAYOUT

/* --- small things --------------------------------------------------------- */

static inline bool
is_native_future(const struct al_state *st, PyObject *op)
{
    return Py_IS_TYPE(op, (PyTypeObject *)st->aio_Future) ||
           Py_IS_TYPE(op, (PyTypeObject *)st->aio_Task);
}

static int
call_for_effect(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

#if AL_TASK_LAYOUT == 314

static int
awaited_by_add(struct al_state *st, PyObject *future, PyObject *task)
{
    if (is_native_future(st, future) &&
        ((al_future *)future)->awaited_by == NULL) {
        ((al_future *)future)->awaited_by = Py_NewRef(task);
        return 0;
    }
    return call_for_effect(
        PyObject_CallFunctionObjArgs(st->awaited_by_add, future, task, NULL));
}

static int
awaited_by_discard(struct al_state *st, PyObject *future, PyObject *task)
{
    if (is_native_future(st, future)) {
        al_future *native = (al_future *)future;
        if (native->awaited_by == NULL) {
            return 0;
        }
        if (!native->awaited_by_is_set) {
            if (native->awaited_by == task) {
                Py_CLEAR(native->awaited_by);
            }
            return 0;
        }
    }
    return call_for_effect(PyObject_CallFunctionObjArgs(st->awaited_by_discard,
                                                        future, task, NULL));
}

#else

static int
awaited_by_add(struct al_state *st, PyObject *future, PyObject *task)
{
    (void)st;
    (void)future;
    (void)task;
    return 0;
}

static int
awaited_by_discard(struct al_state *st, PyObject *future, PyObject *task)
{
    (void)st;
    (void)future;
    (void)task;
    return 0;
}

#endif

/* --- what the coroutine is resumed with ----------------------------------- */

/* Future._make_cancelled_error() of an exact future or task: the exception
 * that cancelled it, once, or else a new one. New reference or NULL. */
static PyObject *
make_cancelled_error(struct al_state *st, al_future *future)
{
    PyObject *error = future->cancelled_exc;

    if (error != NULL) {
        future->cancelled_exc = NULL; /* the caller's */
        return error;
    }
    PyObject *msg = future->cancel_msg;
    if (msg == NULL || msg == Py_None) {
        return PyObject_CallNoArgs(st->CancelledError);
    }
    Py_INCREF(msg); /* the exception keeps it only when it has been made */
    error = PyObject_CallOneArg(st->CancelledError, msg);
    Py_DECREF(msg);
    return error;
}

/* The exception that a done future holds for its waiter; `*error` is a new
 * reference or NULL. 0, or -1 with an exception set. */
static int
outcome_of_native(struct al_state *st, al_future *future, PyObject **error)
{
    if (future->state == AL_FINISHED) {
        if (future->exception == NULL) {
            return 0;
        }
        /* Each waiter sees the traceback as it was when it was set. */
        al_future_clear_log_tb(future);
        PyObject *traceback = future->exception_tb;
        future->exception_tb = NULL;
        int rc = PyException_SetTraceback(
            future->exception, traceback == NULL ? Py_None : traceback);
        Py_XDECREF(traceback);
        *error = Py_NewRef(future->exception);
        return rc;
    }
    if (future->state == AL_CANCELLED) {
        *error = make_cancelled_error(st, future);
        return *error == NULL ? -1 : 0;
    }
    PyErr_SetString(st->InvalidStateError, "Result is not set.");
    *error = al_err_take();
    return 0;
}

static int
outcome_of(struct al_state *st, PyObject *future, PyObject **error)
{
    if (is_native_future(st, future)) {
        return outcome_of_native(st, (al_future *)future, error);
    }
    PyObject *result = PyObject_CallMethodNoArgs(future, st->str_result);
    if (result == NULL) {
        *error = al_err_take();
    }
    Py_XDECREF(result);
    return 0;
}

/* What to throw into the coroutine, if anything: the outcome of the future it
 * waited for, or the cancellation that was asked for.
 * 0, or -1 with an exception set. */
static int
resume_with(struct al_state *st, al_task *task, PyObject **error)
{
    PyObject *waiter = task->fut_waiter;

    if (waiter != NULL) {
        task->fut_waiter = NULL; /* ours */
        int rc = awaited_by_discard(st, waiter, (PyObject *)task);
        if (rc == 0 && *error == NULL) {
            rc = outcome_of(st, waiter, error);
        }
        Py_DECREF(waiter);
        if (rc < 0) {
            return -1;
        }
    }
    if (al_task_must_cancel(task)) {
        int is_cancelled =
            *error == NULL ? 0
                           : PyObject_IsInstance(*error, st->CancelledError);
        if (is_cancelled < 0) {
            return -1;
        }
        if (!is_cancelled) {
            Py_XSETREF(*error, make_cancelled_error(st, &task->base));
            if (*error == NULL) {
                return -1;
            }
        }
        al_task_clear_must_cancel(task);
    }
    return 0;
}

/* The value of the StopIteration that is set; new reference or NULL. */
static PyObject *
stop_iteration_value(void)
{
    PyObject *stop = al_err_take();
    PyObject *value = PyObject_IsInstance(stop, PyExc_StopIteration) == 1
                          ? Py_NewRef(((PyStopIterationObject *)stop)->value)
                          : NULL;
    if (value == NULL) {
        al_err_give_back_steal(stop);
    }
    else {
        Py_DECREF(stop);
    }
    return value;
}

/* What a coroutine says that ended with a StopIteration, which is set: its
 * value is the result. */
static Py_NO_INLINE PySendResult
stopped(PyObject **result)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    *result = stop_iteration_value();
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* PyIter_Send(coro, None), without the call where the slot is there. */
static inline PySendResult
send_none(PyObject *coro, PyObject **result)
{
    PyAsyncMethods *async = Py_TYPE(coro)->tp_as_async;
    PySendResult status = async != NULL && async->am_send != NULL
                              ? async->am_send(coro, Py_None, result)
                              : PyIter_Send(coro, Py_None, result);

    return status == PYGEN_ERROR ? stopped(result) : status;
}

/* coro.throw(error), likewise. */
static Py_NO_INLINE PySendResult
throw_steal(struct al_state *st, PyObject *coro, PyObject *error,
            PyObject **result)
{
    if (PyCoro_CheckExact(coro)) {
        PyObject *stack[] = {coro, error};
        *result = PyObject_Vectorcall(st->coro_throw, stack, 2, NULL);
    }
    else {
        *result = PyObject_CallMethodOneArg(coro, st->str_throw, error);
    }
    Py_DECREF(error);
    return *result == NULL ? stopped(result) : PYGEN_NEXT;
}

/* --- the end of a task ------------------------------------------------------ */

/* Queue one done callback. Steals both references. */
static int
queue_callback_steal(LoopObject *self, PyObject *callback, PyObject *future,
                     PyObject *context)
{
    struct al_state *st = self->st;

    if (Py_IS_TYPE(callback, st->wake_type) &&
        ((WakeObject *)callback)->task != NULL) {
        PyObject *task = Py_NewRef(((WakeObject *)callback)->task);
        LoopObject *loop = (LoopObject *)((al_task *)task)->base.loop;
        Py_DECREF(callback);
        Py_XDECREF(context);
        return al_loop_push_steal(loop, task);
    }
    int rc;
    if (al_loop_is_native(self)) {
        HandleObject *handle =
            al_sched_new_handle(self, callback, &future, 1, context);
        rc =
            handle == NULL ? -1 : al_loop_push_steal(self, (PyObject *)handle);
    }
    else {
        PyObject *stack[] = {(PyObject *)self, callback, future, context};
        rc = call_for_effect(PyObject_VectorcallMethod(
            st->str_call_soon, stack, 3, st->kw_context));
    }
    Py_DECREF(callback);
    Py_DECREF(context);
    return rc;
}

int
al_step_queue_callbacks(LoopObject *self, al_future *future)
{
    PyObject *callback0 = future->callback0;
    PyObject *context0 = future->context0;
    PyObject *callbacks = future->callbacks;
    int rc = 0;

    future->callback0 = future->context0 = future->callbacks = NULL;
    if (callback0 != NULL) {
        rc = queue_callback_steal(self, callback0, (PyObject *)future,
                                  context0);
    }
    Py_ssize_t len = callbacks == NULL ? 0 : PyList_GET_SIZE(callbacks);
    for (Py_ssize_t i = 0; rc == 0 && i < len; i++) {
        PyObject *pair = PyList_GET_ITEM(callbacks, i);
        rc = queue_callback_steal(self, Py_NewRef(PyTuple_GET_ITEM(pair, 0)),
                                  (PyObject *)future,
                                  Py_NewRef(PyTuple_GET_ITEM(pair, 1)));
    }
    Py_XDECREF(callbacks);
    return rc;
}

/* The task ends as cancelled, with `msg` (steals it, may be NULL).
 * 0, or -1 with an exception set. */
static int
finish_as_cancelled_steal(LoopObject *self, al_task *task, PyObject *msg)
{
    if (task->base.state != AL_PENDING) {
        Py_XDECREF(msg);
        return 0; /* as Future.cancel has it */
    }
    al_future_clear_log_tb(&task->base);
    Py_XSETREF(task->base.cancel_msg, msg);
    task->base.state = AL_CANCELLED;
    return al_step_queue_callbacks(self, &task->base);
}

static int
finish_with_result_steal(LoopObject *self, al_task *task, PyObject *result)
{
    struct al_state *st = self->st;

    if (al_task_must_cancel(task)) {
        /* Cancelled right before it returned. */
        al_task_clear_must_cancel(task);
        Py_DECREF(result);
        return finish_as_cancelled_steal(self, task,
                                         Py_XNewRef(task->base.cancel_msg));
    }
    if (task->base.state != AL_PENDING) {
        /* Ended by its own code, through Future.cancel(task) or the like. */
        Py_DECREF(result);
        PyErr_SetString(st->InvalidStateError, "invalid state");
        return -1;
    }
    task->base.result = result; /* the task's */
    task->base.state = AL_FINISHED;
    return al_step_queue_callbacks(self, &task->base);
}

/* The coroutine raised. */
static int
finish_with_error(LoopObject *self, al_task *task)
{
    struct al_state *st = self->st;

    if (!PyErr_Occurred()) {
        /* CPython's frames end so when there is no memory for another one. */
        PyErr_NoMemory();
    }
    if (PyErr_ExceptionMatches(st->CancelledError)) {
        Py_XSETREF(task->base.cancelled_exc, al_err_take());
        return finish_as_cancelled_steal(self, task, NULL);
    }
    bool leaves = al_err_leaves_loop();
    PyObject *error = al_err_take();
    int rc = call_for_effect(PyObject_CallFunctionObjArgs(
        st->future_set_exception, task, error, NULL));
    if (rc == 0 && leaves) {
        al_err_give_back_steal(error);
        return -1;
    }
    Py_DECREF(error);
    return rc;
}

/* --- what the coroutine waits for ------------------------------------------- */

/* The next step through call_soon, as that is not ours.
 * 0, or -1 with an exception set. */
static Py_NO_INLINE int
queue_step_by_call(LoopObject *self, al_task *task)
{
    struct al_state *st = self->st;
    PyObject *wake = al_wake_new(st, (PyObject *)task, NULL);
    if (wake == NULL) {
        return -1;
    }
    PyObject *stack[] = {(PyObject *)self, wake, task->context};
    int rc = call_for_effect(PyObject_VectorcallMethod(
        st->str_call_soon, stack, 2, st->kw_context));
    Py_DECREF(wake);
    return rc;
}

/* Queue the next step of a task that has nothing to wait for.
 * 0, or -1 with an exception set. */
static inline int
queue_step(LoopObject *self, al_task *task)
{
    if (!al_loop_is_native(self)) {
        return queue_step_by_call(self, task);
    }
    return al_loop_push_steal(self, Py_NewRef((PyObject *)task));
}

/* What the coroutine yielded is wrong: RuntimeError is thrown into it, soon.
 * 0, or -1 with an exception set, which a repr may have raised. */
static int
refuse(LoopObject *self, al_task *task, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    PyObject *text = PyUnicode_FromFormatV(format, args);
    va_end(args);
    if (text == NULL) {
        return -1;
    }
    PyObject *error = PyObject_CallOneArg(PyExc_RuntimeError, text);
    Py_DECREF(text);
    return error == NULL ? -1 : al_native_throw_soon_steal(self, task, error);
}

/* A cancellation came in while the coroutine ran, and it waits again: cancel
 * what it waits for. 0, or -1 with an exception set. */
static int
pass_cancel_on(struct al_state *st, al_task *task)
{
    PyObject *waiter = Py_NewRef(task->fut_waiter);
    PyObject *stack[] = {waiter, task->base.cancel_msg == NULL
                                     ? Py_None
                                     : task->base.cancel_msg};
    PyObject *answer =
        PyObject_VectorcallMethod(st->str_cancel, stack, 1, st->kw_msg);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    Py_DECREF(waiter);
    if (truth < 0) {
        return -1;
    }
    if (truth) {
        al_task_clear_must_cancel(task);
    }
    return 0;
}

/* future.add_done_callback(wake, context=task's) */
static int
add_done_callback(struct al_state *st, PyObject *future, PyObject *wake,
                  al_task *task)
{
    PyObject *stack[] = {future, wake, task->context};
    return call_for_effect(PyObject_VectorcallMethod(
        st->str_add_done_callback, stack, 2, st->kw_context));
}

static int
wait_for_native_steal(LoopObject *self, al_task *task, PyObject *op)
{
    struct al_state *st = self->st;
    al_future *future = (al_future *)op;
    int rc = -1;

    al_future_clear_blocking(future);
    if (awaited_by_add(st, op, (PyObject *)task) < 0) {
        goto done;
    }
    if (future->state != AL_PENDING) {
        rc = queue_step(self, task);
    }
    else {
        PyObject *wake = al_wake_new(st, (PyObject *)task, NULL);
        if (wake == NULL) {
            goto done;
        }
        if (future->callback0 == NULL && future->callbacks == NULL) {
            future->callback0 = wake; /* the future's */
            future->context0 = Py_NewRef(task->context);
            rc = 0;
        }
        else {
            rc = add_done_callback(st, op, wake, task);
            Py_DECREF(wake);
        }
    }
    if (rc == 0) {
        Py_XSETREF(task->fut_waiter, Py_NewRef(op));
        if (al_task_must_cancel(task)) {
            rc = pass_cancel_on(st, task);
        }
    }

done:
    Py_DECREF(op);
    return rc;
}

/* A future of another make: it has the attribute that says so. */
static int
wait_for_foreign(LoopObject *self, al_task *task, PyObject *future,
                 PyObject *blocking)
{
    struct al_state *st = self->st;
    PyObject *loop = PyObject_CallOneArg(st->aio_get_future_loop, future);

    if (loop == NULL) {
        return -1;
    }
    bool is_ours = loop == (PyObject *)self;
    Py_DECREF(loop);
    if (!is_ours) {
        return refuse(self, task,
                      "Task %R got Future %R attached to a different loop",
                      task, future);
    }
    int truth = PyObject_IsTrue(blocking);
    if (truth < 0) {
        return -1;
    }
    if (!truth) {
        return refuse(
            self, task,
            "yield was used instead of yield from in task %R with %R", task,
            future);
    }
    if (awaited_by_add(st, future, (PyObject *)task) < 0 ||
        PyObject_SetAttr(future, st->str__asyncio_future_blocking, Py_False) <
            0) {
        return -1;
    }
    PyObject *wake = al_wake_new(st, (PyObject *)task, NULL);
    if (wake == NULL) {
        return -1;
    }
    /* First the waiter: a future that is done may call back at once. */
    Py_XSETREF(task->fut_waiter, Py_NewRef(future));
    int rc = add_done_callback(st, future, wake, task);
    Py_DECREF(wake);
    if (rc == 0 && al_task_must_cancel(task)) {
        rc = pass_cancel_on(st, task);
    }
    return rc;
}

static int
wait_for_other(LoopObject *self, al_task *task, PyObject *op)
{
    struct al_state *st = self->st;
    PyObject *blocking;

    if (al_lookup_attr(op, st->str__asyncio_future_blocking, &blocking) < 0) {
        return -1;
    }
    if (blocking != NULL && blocking != Py_None) {
        int rc = wait_for_foreign(self, task, op, blocking);
        Py_DECREF(blocking);
        return rc;
    }
    Py_XDECREF(blocking);
    if (PyGen_CheckExact(op)) {
        return refuse(self, task,
                      "yield was used instead of yield from for generator "
                      "in task %R with %R",
                      task, op);
    }
    return refuse(self, task, "Task got bad yield: %R", op);
}

/* The coroutine yielded `op`, which is not None. 0, or -1 with an exception set. */
static int
wait_for_steal(LoopObject *self, al_task *task, PyObject *op)
{
    int rc;

    if (op == (PyObject *)task) {
        rc = refuse(self, task, "Task cannot await on itself: %R", op);
    }
    else if (!is_native_future(self->st, op)) {
        rc = wait_for_other(self, task, op);
    }
    else if (((al_future *)op)->loop != task->base.loop) {
        rc = refuse(self, task,
                    "Task %R got Future %R attached to a different loop", task,
                    op);
    }
    else if (!al_future_blocking((al_future *)op)) {
        rc = refuse(self, task,
                    "yield was used instead of yield from in task %R with %R",
                    task, op);
    }
    else {
        return wait_for_native_steal(self, task, op);
    }
    Py_DECREF(op);
    return rc;
}

/* The coroutine is through, by returning `result_steal` or by raising.
 * 0, or -1 with an exception set. */
static Py_NO_INLINE int
finish_steal(LoopObject *self, al_task *task, PySendResult status,
             PyObject *result_steal)
{
    int rc = status == PYGEN_RETURN
                 ? finish_with_result_steal(self, task, result_steal)
                 : finish_with_error(self, task);

    al_registry_discard(self->st, task);
    al_registry_leave(self);
    return rc;
}

/* The common step, of a task that has waited for nothing and lets the others
 * run again, stays short: what else there is is kept out of line. */
int
al_step(LoopObject *self, PyThreadState *tstate, al_task *task,
        PyObject *error_steal)
{
    struct al_state *st = self->st;
    PyObject *error = error_steal;
    PyObject *result = NULL;

    if ((task->fut_waiter != NULL || al_task_must_cancel(task)) &&
        resume_with(st, task, &error) < 0) {
        Py_XDECREF(error);
        return -1;
    }
    if (al_registry_enter(self, tstate, (PyObject *)task) < 0) {
        Py_XDECREF(error);
        return -1;
    }
    PyObject *coro = Py_NewRef(task->coro);
    PySendResult status = error == NULL
                              ? send_none(coro, &result)
                              : throw_steal(st, coro, error, &result);
    al_registry_step_over(self, tstate);
    Py_DECREF(coro);
    if (status != PYGEN_NEXT) {
        return finish_steal(self, task, status, result);
    }
    if (result == Py_None) { /* let the others run */
        Py_DECREF(result);
        return queue_step(self, task);
    }
    return wait_for_steal(self, task, result);
}

#endif
