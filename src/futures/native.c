/* native.c - making futures and tasks, and taking asyncio's into the ring.
 *
 * Ownership: new objects to the caller; the ring owns the tasks in it.
 * Threads: the loop's.
 */

#include "futures/native.h"

#include "futures/registry.h"
#include "futures/step.h"
#include "futures/wake.h"
#include "loop/report.h"
#include "loop/run.h"
#include "py/asyncio.h"
#include "py/error.h"

#if AL_TASK_LAYOUT

PyObject *
al_native_new_future(LoopObject *self)
{
    PyTypeObject *type = (PyTypeObject *)self->st->aio_Future;
    /* All fields but one start as zeroes. */
    al_future *future = (al_future *)type->tp_alloc(type, 0);

    if (future != NULL) {
        future->loop = Py_NewRef((PyObject *)self);
    }
    return (PyObject *)future;
}

/* "Task-N"; from 3.12 on just N, which get_name() turns into text. */
static PyObject *
next_name(struct al_state *st)
{
    unsigned long long number = ++st->tasks_named;
#if AL_TASK_NAME_IS_LAZY
    return PyLong_FromUnsignedLongLong(number);
#else
    return PyUnicode_FromFormat("Task-%llu", number);
#endif
}

PyObject *
al_native_new_task(LoopObject *self, PyObject *coro, PyObject *name,
                   PyObject *context)
{
    struct al_state *st = self->st;
    PyTypeObject *type = (PyTypeObject *)st->aio_Task;

    if (al_ring_reserve(&self->ready) < 0) {
        return PyErr_NoMemory();
    }
    al_task *task = (al_task *)type->tp_alloc(type, 0);
    if (task == NULL) {
        return NULL;
    }
    task->base.loop = Py_NewRef((PyObject *)self);
    task->coro = Py_NewRef(coro);
    task->name = name == NULL ? next_name(st) : Py_NewRef(name);
    task->context =
        context == NULL ? PyContext_CopyCurrent() : Py_NewRef(context);
#if AL_TASK_LAYOUT == 314
    task->base.is_task = 1;
#endif
    if (task->name == NULL || task->context == NULL ||
        al_registry_add(st, task) < 0) {
        Py_DECREF(task);
        return NULL;
    }
    al_task_set_log_destroy(task);
    Py_INCREF(task); /* the ring's */
    if (al_loop_push_steal(self, (PyObject *)task) < 0) {
        Py_DECREF(task);
        return NULL;
    }
    return (PyObject *)task;
}

int
al_native_set_result_steal(LoopObject *self, PyObject *op, PyObject *result)
{
    al_future *future = (al_future *)op;

    future->result = result; /* the future's */
    future->state = AL_FINISHED;
    return al_step_queue_callbacks(self, future);
}

/* May the ring hold this object as a task of this loop? */
static bool
is_our_task(LoopObject *self, PyObject *op)
{
    return Py_IS_TYPE(op, (PyTypeObject *)self->st->aio_Task) &&
           ((al_task *)op)->base.loop == (PyObject *)self &&
           ((al_task *)op)->base.state == AL_PENDING &&
           PyContext_CheckExact(((al_task *)op)->context);
}

int
al_native_take(LoopObject *self, PyObject *callback, PyObject *const *args,
               size_t nargs)
{
    struct al_state *st = self->st;
    PyObject *task;

    if (Py_IS_TYPE(callback, st->wake_type)) {
        task = ((WakeObject *)callback)->task;
    }
    else if (Py_IS_TYPE(callback, st->task_step_type)) {
        al_stock_step *step = (al_stock_step *)callback;
        /* A step that throws is asyncio's own. */
        task = step->arg == NULL ? step->task : NULL;
    }
    else {
        task = PyCFunction_GET_SELF(callback);
        /* Native steps take the outcome from the future itself. */
        if (task == NULL || nargs != 1 ||
            !Py_IS_TYPE(task, (PyTypeObject *)st->aio_Task) ||
            ((al_task *)task)->fut_waiter != args[0]) {
            return 0;
        }
    }
    if (task == NULL || !is_our_task(self, task)) {
        return 0;
    }
    return al_loop_push_steal(self, Py_NewRef(task)) < 0 ? -1 : 1;
}

/* A handle that steps `task` when it runs; `error` is thrown into it, or is
 * NULL. New reference or NULL. */
static HandleObject *
handle_of_step(LoopObject *self, PyObject *task, PyObject *error)
{
    PyObject *wake = al_wake_new(self->st, task, error);
    if (wake == NULL) {
        return NULL;
    }
    HandleObject *handle =
        al_handle_new(self->handles, wake, NULL, 0,
                      Py_NewRef(((al_task *)task)->context), NULL);
    Py_DECREF(wake);
    return handle;
}

PyObject *
al_native_as_handle_steal(LoopObject *self, PyObject *task)
{
    HandleObject *handle = handle_of_step(self, task, NULL);
    Py_DECREF(task);
    return (PyObject *)handle;
}

int
al_native_throw_soon_steal(LoopObject *self, al_task *task, PyObject *error)
{
    HandleObject *handle = handle_of_step(self, (PyObject *)task, error);
    Py_DECREF(error);
    return handle == NULL ? -1 : al_loop_push_steal(self, (PyObject *)handle);
}

/* Count and make one step. Steals `error`. 0, or -1 with an exception set. */
static int
step_steal(LoopObject *self, PyThreadState *tstate, al_task *task,
           PyObject *error)
{
    if (task->base.state != AL_PENDING) {
        Py_XDECREF(error);
        PyErr_Format(self->st->InvalidStateError, "__step(): already done: %R",
                     task);
        return -1;
    }
    self->st->native_steps++;
    self->counters.task_switches++;
    return al_step(self, tstate, task, error);
}

int
al_native_wake(LoopObject *self, PyObject *task, PyObject *error_steal)
{
    if (al_loop_check_closed(self) < 0) {
        Py_XDECREF(error_steal);
        return -1;
    }
    if (!al_registry_is_busy(self)) {
        int rc = step_steal(self, PyThreadState_Get(), (al_task *)task,
                            error_steal);
        al_registry_leave(self);
        return rc;
    }
    if (error_steal != NULL) {
        return al_native_throw_soon_steal(self, (al_task *)task, error_steal);
    }
    return al_loop_push_steal(self, Py_NewRef(task));
}

/* The machinery of a step failed: tell the exception handler, in the way of a
 * callback that raised. 0, or -1: the exception leaves the loop. */
static int
step_failed(LoopObject *self, PyObject *task)
{
    PyObject *error = al_err_take();

    al_registry_leave(self);
    al_run_leave_context(self);
    HandleObject *handle = handle_of_step(self, task, NULL);
    if (handle == NULL) {
        Py_XDECREF(error);
        return -1;
    }
    al_err_give_back_steal(error);
    int rc = al_report_callback_error(self, handle);
    al_handle_drop(handle);
    Py_DECREF(handle);
    return rc;
}

int
al_native_run_steal(LoopObject *self, PyObject *op)
{
    al_task *task = (al_task *)op;

    int rc = al_run_enter_context(self, task->context);
    if (rc == 0) {
        rc = step_steal(self, self->tstate, task, NULL);
    }
    if (rc < 0 && !al_err_leaves_loop()) {
        rc = step_failed(self, op);
    }
    if (Py_REFCNT(op) == 1) {
        /* What the finalizer reports is handled in the task's context, which
         * must not be entered then. */
        PyObject *error = rc < 0 ? al_err_take() : NULL;
        al_registry_leave(self);
        al_run_leave_context(self);
        Py_DECREF(op);
        if (error != NULL) {
            al_err_give_back_steal(error);
        }
        return rc;
    }
    Py_DECREF(op);
    return rc;
}

void
al_native_leave_task(LoopObject *self)
{
    al_registry_leave(self);
}

/* --- import time ------------------------------------------------------------ */

static int
find_methods(struct al_state *st)
{
    st->future_set_exception =
        PyObject_GetAttr(st->aio_Future, st->str_set_exception);
    st->coro_throw = PyObject_GetAttr((PyObject *)&PyCoro_Type, st->str_throw);
    return st->future_set_exception == NULL || st->coro_throw == NULL ? -1 : 0;
}

#if AL_TASK_LAYOUT == 314

static int
find_registries(struct al_state *st)
{
    st->awaited_by_add =
        al_import_attribute("asyncio", "future_add_to_awaited_by");
    st->awaited_by_discard =
        al_import_attribute("asyncio", "future_discard_from_awaited_by");
    return st->awaited_by_add == NULL || st->awaited_by_discard == NULL ? -1
                                                                        : 0;
}

#else

static int
find_registries(struct al_state *st)
{
    st->current_tasks = al_import_attribute("asyncio.tasks", "_current_tasks");
    if (st->current_tasks == NULL) {
        return -1;
    }
    PyObject *all = al_import_attribute("asyncio.tasks", AL_ALL_TASKS);
    if (all == NULL) {
        return -1;
    }
    st->all_tasks = PyObject_GetAttrString(all, "data");
    Py_DECREF(all);
    if (st->all_tasks == NULL) {
        return -1;
    }
    if (!PyDict_CheckExact(st->current_tasks) ||
        !PySet_CheckExact(st->all_tasks)) {
        PyErr_SetString(PyExc_ImportError, "asyncio keeps tasks elsewhere");
        return -1;
    }
    return 0;
}

#endif

static int
find_internals(struct al_state *st)
{
    return find_methods(st) < 0 ? -1 : find_registries(st);
}

#else

PyObject *
al_native_new_future(LoopObject *self)
{
    (void)self;
    Py_UNREACHABLE(); /* al_loop_is_native is false */
}

int
al_native_set_result_steal(LoopObject *self, PyObject *future,
                           PyObject *result)
{
    (void)self;
    (void)future;
    (void)result;
    Py_UNREACHABLE();
}

PyObject *
al_native_new_task(LoopObject *self, PyObject *coro, PyObject *name,
                   PyObject *context)
{
    (void)self;
    (void)coro;
    (void)name;
    (void)context;
    Py_UNREACHABLE();
}

int
al_native_take(LoopObject *self, PyObject *callback, PyObject *const *args,
               size_t nargs)
{
    (void)self;
    (void)callback;
    (void)args;
    (void)nargs;
    return 0;
}

int
al_native_run_steal(LoopObject *self, PyObject *op)
{
    (void)self;
    (void)op;
    Py_UNREACHABLE(); /* nothing puts a task into the ring */
}

PyObject *
al_native_as_handle_steal(LoopObject *self, PyObject *task)
{
    (void)self;
    (void)task;
    Py_UNREACHABLE();
}

int
al_native_wake(LoopObject *self, PyObject *task, PyObject *error_steal)
{
    (void)self;
    (void)task;
    (void)error_steal;
    Py_UNREACHABLE(); /* nothing makes a wake object */
}

void
al_native_leave_task(LoopObject *self)
{
    (void)self;
}

static int
find_internals(struct al_state *st)
{
    (void)st;
    return 0;
}

#endif

static const struct al_task_ops task_ops = {
    .run_steal = al_native_run_steal,
    .take = al_native_take,
    .as_handle_steal = al_native_as_handle_steal,
    .leave_task = al_native_leave_task,
};

void
al_native_setup_loop(LoopObject *self)
{
    self->task_ops = &task_ops;
}

/* Let Python look at live tasks: what they hand to call_soon, and whether the
 * layout is the one that this file was compiled for. */
static int
ask_probe(PyObject *module, struct al_state *st, bool may_be_native)
{
    PyObject *probe = al_import_attribute("asyncloop._probe", "look");
    if (probe == NULL) {
        return -1;
    }
    PyObject *found = PyObject_CallOneArg(probe, module);
    Py_DECREF(probe);
    if (found == NULL) {
        return -1;
    }
    PyObject *step, *wakeup;
    int is_right;
    int rc = -1;
    if (PyArg_ParseTuple(found, "OOp", &step, &wakeup, &is_right)) {
        rc = 0;
        if (step != Py_None) {
            st->task_step_type = (PyTypeObject *)Py_NewRef(Py_TYPE(step));
        }
        if (PyCFunction_CheckExact(wakeup)) {
            st->task_wakeup = PyCFunction_GET_FUNCTION(wakeup);
        }
        st->native_tasks = AL_TASK_LAYOUT != 0 && may_be_native && is_right;
    }
    Py_DECREF(found);
    return rc;
}

int
al_native_setup(PyObject *module, struct al_state *st)
{
    if (al_wake_setup(module, st) < 0) {
        return -1;
    }
    if (find_internals(st) == 0) {
        return ask_probe(module, st, true);
    }
    /* Not where this file expects them: asyncio's own steps, then. */
    if (!PyErr_ExceptionMatches(PyExc_ImportError) &&
        !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return -1;
    }
    PyErr_Clear();
    return ask_probe(module, st, false);
}
