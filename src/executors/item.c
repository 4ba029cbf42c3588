/* item.c - running a function in a worker, and giving the outcome to its
 * future in the loop. */

#include "executors/item.h"

#include "base/clock.h"
#include "futures/native.h"
#include "loop/inbox.h"
#include "loop/report.h"
#include "loop/run.h"
#include "py/error.h"

/* Answers that take less than this many poll budgets (50 us) are quick: worth
 * a short wait without blocking. */
#define QUICK_BUDGETS 2

WorkItemObject *
al_item_new(LoopObject *loop, PyObject *future, PyObject *function,
            PyObject *const *args, size_t nargs)
{
    WorkItemObject *self = PyObject_GC_NewVar(
        WorkItemObject, loop->st->work_item_type, (Py_ssize_t)nargs);
    if (self == NULL) {
        return NULL;
    }
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    self->future = Py_NewRef(future);
    self->function = Py_NewRef(function);
    self->outcome = NULL;
    self->submitted = al_ticks();
    self->kind = AL_NO_OUTCOME;
    for (size_t i = 0; i < nargs; i++) {
        self->args[i] = Py_NewRef(args[i]);
    }
    loop->work_pending++;
    PyObject_GC_Track(self);
    return self;
}

/* Drop function and arguments. May run foreign code. */
static void
item_drop_call(WorkItemObject *self)
{
    Py_ssize_t nargs = Py_SIZE(self);

    Py_CLEAR(self->function);
    for (Py_ssize_t i = 0; i < nargs; i++) {
        Py_CLEAR(self->args[i]);
    }
}

/* Take loop and future out of the item: it is no pending work any more. The
 * references are the caller's. */
static LoopObject *
item_part_from_loop(WorkItemObject *self, PyObject **future)
{
    LoopObject *loop = self->loop;

    *future = self->future;
    self->loop = NULL;
    self->future = NULL;
    if (loop != NULL) {
        loop->work_pending--;
    }
    return loop;
}

/* Nobody wants the outcome. May run foreign code. */
static void
item_give_up(WorkItemObject *self)
{
    PyObject *future;
    LoopObject *loop = item_part_from_loop(self, &future);

    item_drop_call(self);
    Py_CLEAR(self->outcome);
    Py_XDECREF(future);
    Py_XDECREF(loop);
}

/* --- in the worker --------------------------------------------------------- */

static inline bool
has_layout(const struct al_state *st, PyObject *future)
{
    return AL_TASK_LAYOUT != 0 && st->native_tasks &&
           Py_IS_TYPE(future, (PyTypeObject *)st->aio_Future);
}

/* Was the future cancelled, or filled by somebody else, while the function
 * waited? */
static bool
is_unwanted(struct al_state *st, PyObject *future)
{
    if (has_layout(st, future)) {
        return ((al_future *)future)->state != AL_PENDING;
    }
    PyObject *answer = PyObject_CallMethodNoArgs(future, st->str_done);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    if (truth < 0) {
        PyErr_WriteUnraisable(future);
    }
    return truth == 1;
}

/* Queue the item in its loop. False when that is closed or has no memory. */
static bool
item_post(WorkItemObject *self)
{
    LoopObject *loop = self->loop;

    if (loop->closed) {
        return false;
    }
    if (al_loop_push_steal(loop, Py_NewRef((PyObject *)self)) < 0) {
        PyErr_WriteUnraisable((PyObject *)loop);
        return false;
    }
    return true;
}

LoopObject *
al_item_run(WorkItemObject *self)
{
    LoopObject *loop = self->loop;

    if (loop == NULL || self->kind != AL_NO_OUTCOME ||
        is_unwanted(loop->st, self->future)) {
        item_give_up(self);
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(
        self->function, self->args,
        (size_t)Py_SIZE(self) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    self->kind = result == NULL ? AL_ERROR : AL_RESULT;
    self->outcome = result == NULL ? al_err_take() : result;
    item_drop_call(self);
    if (!item_post(self)) {
        item_give_up(self);
        return NULL;
    }
    return loop;
}

/* --- in the loop ----------------------------------------------------------- */

/* An exception raised by what the future does with the outcome is one of a
 * callback. 0, or -1: it leaves the loop. */
static int
delivery_failed(LoopObject *loop, PyObject *future, PyObject *name,
                PyObject *outcome)
{
    if (al_err_leaves_loop()) {
        return -1;
    }
    PyObject *error = al_err_take();
    PyObject *method = PyObject_GetAttr(future, name);
    HandleObject *handle = method == NULL
                               ? NULL
                               : al_handle_new(loop->handles, method, &outcome,
                                               outcome != NULL, NULL, NULL);
    Py_XDECREF(method);
    if (handle == NULL) {
        Py_DECREF(error);
        return -1;
    }
    al_err_give_back_steal(error);
    int rc = al_report_callback_error(loop, handle);
    al_handle_drop(handle);
    Py_DECREF(handle);
    return rc;
}

/* future.name(outcome), or future.name() where there is none.
 * 0, or -1: an exception leaves the loop. */
static int
tell_future(LoopObject *loop, PyObject *future, PyObject *name,
            PyObject *outcome)
{
    PyObject *done = PyObject_CallMethodObjArgs(future, name, outcome, NULL);
    if (done == NULL) {
        return delivery_failed(loop, future, name, outcome);
    }
    Py_DECREF(done);
    return 0;
}

/* Has the future been cancelled meanwhile? -1 with an exception set. */
static int
is_cancelled(struct al_state *st, PyObject *future)
{
    if (has_layout(st, future)) {
        return ((al_future *)future)->state == AL_CANCELLED;
    }
    PyObject *answer = PyObject_CallMethodNoArgs(future, st->str_cancelled);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    return truth;
}

/* 0, or -1: an exception leaves the loop. */
static int
deliver_slow(LoopObject *loop, PyObject *future, enum al_outcome kind,
             PyObject *outcome)
{
    struct al_state *st = loop->st;
    int cancelled = is_cancelled(st, future);

    if (cancelled != 0) {
        return cancelled < 0
                   ? delivery_failed(loop, future, st->str_cancelled, NULL)
                   : 0;
    }
    if (kind == AL_RESULT) {
        return tell_future(loop, future, st->str_set_result, outcome);
    }
    if (kind == AL_CANCEL) {
        return tell_future(loop, future, st->str_cancel, NULL);
    }
    /* concurrent.futures has exceptions of its own for what asyncio calls by
     * the same names. */
    PyObject *error = PyObject_CallOneArg(st->aio_convert_future_exc, outcome);
    if (error == NULL) {
        return delivery_failed(loop, future, st->str_set_exception, outcome);
    }
    int rc = tell_future(loop, future, st->str_set_exception, error);
    Py_DECREF(error);
    return rc;
}

int
al_item_deliver_steal(LoopObject *loop, PyObject *entry)
{
    WorkItemObject *self = (WorkItemObject *)entry;
    PyObject *future;
    LoopObject *owner = item_part_from_loop(self, &future);
    PyObject *outcome = self->outcome;
    enum al_outcome kind = self->kind;
    int rc = 0;

    self->outcome = NULL;
    if (!loop->work_is_quick) {
        loop->work_is_quick =
            al_ticks() - self->submitted < QUICK_BUDGETS * loop->budget_ticks;
    }
    Py_DECREF(self);
    if (owner == NULL) {
        /* Given up after it was queued: nothing to be told. */
    }
    else if (kind == AL_RESULT && has_layout(loop->st, future) &&
             ((al_future *)future)->state == AL_PENDING &&
             al_loop_is_native(loop)) {
        rc = al_native_set_result_steal(loop, future, outcome);
        outcome = NULL; /* the future's */
        if (rc < 0) {
            rc = delivery_failed(loop, future, loop->st->str_set_result, NULL);
        }
    }
    else {
        /* Futures of other kinds have methods of the user's. */
        rc = al_run_enter_context(loop, NULL);
        if (rc == 0) {
            rc = deliver_slow(loop, future, kind, outcome);
        }
    }
    if (rc < 0) {
        PyObject *error = al_err_take();
        Py_XDECREF(outcome);
        Py_XDECREF(future);
        Py_XDECREF(owner);
        al_err_give_back_steal(error);
        return -1;
    }
    Py_XDECREF(outcome);
    Py_XDECREF(future);
    Py_XDECREF(owner);
    return 0;
}

/* --- for the executor's own code ------------------------------------------- */

/* Give an item that has not run its outcome. */
static void
item_finish(WorkItemObject *self, enum al_outcome kind, PyObject *outcome)
{
    LoopObject *loop = self->loop;

    if (loop == NULL || self->kind != AL_NO_OUTCOME) {
        return;
    }
    self->kind = kind;
    self->outcome = Py_XNewRef(outcome);
    item_drop_call(self);
    Py_INCREF(loop);
    if (item_post(self)) {
        al_inbox_wake(loop);
    }
    else {
        item_give_up(self);
    }
    Py_DECREF(loop);
}

static PyObject *
item_py_cancel(PyObject *op, PyObject *unused)
{
    (void)unused;
    item_finish((WorkItemObject *)op, AL_CANCEL, NULL);
    Py_RETURN_TRUE;
}

static PyObject *
item_py_set_exception(PyObject *op, PyObject *error)
{
    item_finish((WorkItemObject *)op, AL_ERROR, error);
    Py_RETURN_NONE;
}

static PyObject *
item_get_future(PyObject *op, void *closure)
{
    (void)closure;
    return Py_NewRef(op);
}

static int
item_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    WorkItemObject *self = (WorkItemObject *)op;
    Py_ssize_t nargs = Py_SIZE(self);

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->loop);
    Py_VISIT(self->future);
    Py_VISIT(self->function);
    Py_VISIT(self->outcome);
    for (Py_ssize_t i = 0; i < nargs; i++) {
        Py_VISIT(self->args[i]);
    }
    return 0;
}

static int
item_tp_clear(PyObject *op)
{
    item_give_up((WorkItemObject *)op);
    return 0;
}

static void
item_tp_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    PyTypeObject *tp = Py_TYPE(op);

    item_give_up((WorkItemObject *)op);
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyMethodDef item_methods[] = {
    {"cancel", item_py_cancel, METH_NOARGS, NULL},
    {"set_exception", item_py_set_exception, METH_O, NULL},
    {NULL},
};

static PyGetSetDef item_getset[] = {
    {"future", item_get_future, NULL, NULL, NULL},
    {NULL},
};

static PyType_Slot item_slots[] = {
    {Py_tp_traverse, item_tp_traverse},
    {Py_tp_clear, item_tp_clear},
    {Py_tp_dealloc, item_tp_dealloc},
    {Py_tp_methods, item_methods},
    {Py_tp_getset, item_getset},
    {Py_tp_doc, "A call of run_in_executor on its way."},
    {0, NULL},
};

static PyType_Spec item_spec = {
    .name = "asyncloop._core._WorkItem",
    .basicsize = sizeof(WorkItemObject),
    .itemsize = sizeof(PyObject *),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = item_slots,
};

int
al_item_setup(PyObject *module, struct al_state *st)
{
    st->work_item_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &item_spec, NULL);
    return st->work_item_type == NULL ? -1 : 0;
}
