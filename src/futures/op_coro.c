/* op_coro.c - an operation as a coroutine: send, throw, close, and how it
 * looks to those who inspect one.
 *
 * Ownership: see op.h.
 * Threads: the loop's.
 */

#include "futures/op_coro.h"

#include "futures/waiter.h"

/* --- going on ----------------------------------------------------------------- */

/* The operation is over: with this result, or with the exception that is set
 * if it is NULL. */
static PySendResult
op_end_steal(OpObject *self, PyObject *value, PyObject **result)
{
    self->state = AL_OP_OVER;
    al_op_release(self);
    *result = value;
    return value == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PySendResult op_advance(OpObject *self, al_op_outcome outcome,
                               PyObject **result);

/* `inner` returned `value`. */
static PySendResult
op_inner_returned_steal(OpObject *self, PyObject *value, PyObject **result)
{
    Py_CLEAR(self->inner);
    if (self->borrowed || self->kind->resolved == NULL) {
        return op_end_steal(self, value, result);
    }
    al_op_outcome outcome = self->kind->resolved(self, value);
    Py_DECREF(value);
    return op_advance(self, outcome, result);
}

static PySendResult
op_send_to_inner(OpObject *self, PyObject *value, PyObject **result)
{
    PyObject *got = NULL;

    switch (PyIter_Send(self->inner, value, &got)) {
    case PYGEN_NEXT:
        self->state = AL_OP_SUSPENDED;
        *result = got;
        return PYGEN_NEXT;
    case PYGEN_RETURN:
        return op_inner_returned_steal(self, got, result);
    default:
        return op_end_steal(self, NULL, result);
    }
}

/* Yield the future, once more if it was sent back without an outcome. */
static PySendResult
op_suspend(OpObject *self, PyObject **result)
{
    *result = al_waiter_yield(self->loop, self->future);
    if (*result == NULL) {
        return op_end_steal(self, NULL, result);
    }
    self->state = AL_OP_SUSPENDED;
    return PYGEN_NEXT;
}

/* Do what follows from an attempt. */
static PySendResult
op_advance(OpObject *self, al_op_outcome outcome, PyObject **result)
{
    switch (outcome) {
    case AL_OP_DONE: {
        PyObject *value = self->result;
        self->result = NULL; /* the caller's */
        return op_end_steal(self, value, result);
    }
    case AL_OP_AGAIN:
        Py_XSETREF(self->future, al_waiter_new(self->loop));
        if (self->future == NULL || self->kind->family->wait(self) < 0) {
            return op_end_steal(self, NULL, result);
        }
        return op_suspend(self, result);
    case AL_OP_BORROW:
        if (self->kind->family->part != NULL) {
            self->kind->family->part(self);
        }
        self->borrowed = true;
        self->inner = self->kind->family->borrow != NULL
                          ? self->kind->family->borrow(self)
                          : al_op_borrow(self);
        if (self->inner == NULL) {
            return op_end_steal(self, NULL, result);
        }
        return op_send_to_inner(self, Py_None, result);
    case AL_OP_INNER:
        return op_send_to_inner(self, Py_None, result);
    default:
        return op_end_steal(self, NULL, result);
    }
}

/* The future was sent back, so it has an outcome, or should have. */
static PySendResult
op_resume(OpObject *self, PyObject **result)
{
    if (self->ready) {
        if (self->error != NULL) {
            al_err_give_back_steal(self->error);
            self->error = NULL;
            return op_end_steal(self, NULL, result);
        }
        return op_advance(self,
                          self->kind->deliver == NULL
                              ? AL_OP_DONE
                              : self->kind->deliver(self),
                          result);
    }
    int pending = al_waiter_is_pending(self->loop, self->future);
    int marked =
        pending > 0 ? al_waiter_is_marked(self->loop, self->future) : 0;
    if (pending > 0 && marked == 0) {
        return op_suspend(self, result);
    }
    if (marked > 0) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
    }
    if (pending == 0 && self->kind->family->again_in_task) {
        if (al_waiter_take(self->loop, self->future) < 0) {
            return op_end_steal(self, NULL, result);
        }
        return op_advance(self, self->kind->again(self), result);
    }
    /* Somebody else gave it an outcome: he cancelled it, most likely. */
    PyObject *value =
        pending == 0 ? PyObject_CallMethodNoArgs(self->future,
                                                 self->loop->st->str_result)
                     : NULL;
    return op_end_steal(self, value, result);
}

/* May the operation be resumed? 0, or -1 with an exception set. */
static int
op_check_resumable(OpObject *self)
{
    if (self->state == AL_OP_RUNNING) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return -1;
    }
    if (self->state == AL_OP_OVER) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot reuse already awaited coroutine");
        return -1;
    }
    return 0;
}

PySendResult
al_op_am_send(PyObject *op, PyObject *value, PyObject **result)
{
    OpObject *self = (OpObject *)op;

    *result = NULL;
    if (op_check_resumable(self) < 0) {
        return PYGEN_ERROR;
    }
    bool is_first = self->state == AL_OP_CREATED;
    if (is_first && value != Py_None) {
        PyErr_SetString(
            PyExc_TypeError,
            "can't send non-None value to a just-started coroutine");
        return PYGEN_ERROR;
    }
    self->state = AL_OP_RUNNING;
    if (is_first) {
        return op_advance(self, self->kind->begin(self), result);
    }
    return self->inner != NULL ? op_send_to_inner(self, value, result)
                               : op_resume(self, result);
}

/* Raise StopIteration(value). Steals it. */
static void
raise_stop_steal(PyObject *value)
{
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);

    Py_DECREF(value);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
}

/* Results of so many bytes may be kept until the next one. */
#define KEPT_MAX 4096

/* Raise StopIteration(value) with the exception of the last time, which saves
 * the most of what an await of a C object costs beyond that of a coroutine's:
 * the interpreter takes the value out of it, and drops it. False if somebody
 * has kept it, or looks at it. */
static bool
raise_kept_stop(struct al_state *st, PyObject *value)
{
    PyStopIterationObject *stop = (PyStopIterationObject *)st->kept_stop;

    if (stop == NULL || Py_REFCNT(stop) != 1 || stop->traceback != NULL ||
        stop->context != NULL || stop->cause != NULL || stop->dict != NULL ||
        Py_REFCNT(stop->args) != 1 || PyTuple_GET_SIZE(stop->args) != 1) {
        return false;
    }
    PyObject *before = PyTuple_GET_ITEM(stop->args, 0);
    PyTuple_SET_ITEM(stop->args, 0, Py_NewRef(value));
    Py_DECREF(before); /* bytes, as all of them */
    Py_SETREF(stop->value, Py_NewRef(value));
    al_err_give_back_steal(Py_NewRef((PyObject *)stop));
    return true;
}

/* The same as raise_stop_steal, of bytes. */
static void
raise_stop_of_bytes_steal(struct al_state *st, PyObject *value)
{
    if (!raise_kept_stop(st, value)) {
        Py_XSETREF(st->kept_stop,
                   PyObject_CallOneArg(PyExc_StopIteration, value));
        if (st->kept_stop != NULL) {
            al_err_give_back_steal(Py_NewRef(st->kept_stop));
        }
    }
    Py_DECREF(value);
}

/* A result of send() as Python's iteration has it. */
static PyObject *
as_iteration(PySendResult status, PyObject *value)
{
    if (status == PYGEN_RETURN) {
        raise_stop_steal(value);
        return NULL;
    }
    return status == PYGEN_NEXT ? value : NULL;
}

PyObject *
al_op_tp_iternext(PyObject *op)
{
    PyObject *value;
    const LoopObject *loop = ((OpObject *)op)->loop;
    struct al_state *st = loop == NULL ? NULL : loop->st;
    PySendResult status = al_op_am_send(op, Py_None, &value);

    if (status == PYGEN_RETURN && value == Py_None) {
        Py_DECREF(value);
        return NULL; /* the end of an iteration without a value */
    }
    if (status == PYGEN_RETURN && st != NULL && PyBytes_CheckExact(value) &&
        PyBytes_GET_SIZE(value) <= KEPT_MAX) {
        raise_stop_of_bytes_steal(st, value);
        return NULL;
    }
    return as_iteration(status, value);
}

static PyObject *
op_py_send(PyObject *op, PyObject *sent)
{
    PyObject *value;
    PySendResult status = al_op_am_send(op, sent, &value);
    return as_iteration(status, value);
}

/* Set the exception that throw(type, value, traceback) means.
 * 0, or -1 with a TypeError about it set. */
static int
set_thrown(PyObject *type, PyObject *value, PyObject *traceback)
{
    if (traceback == Py_None) {
        traceback = NULL;
    }
    else if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError,
                        "throw() third argument must be a traceback object");
        return -1;
    }
    if (value == Py_None) {
        value = NULL;
    }
    if (PyExceptionInstance_Check(type)) {
        if (value != NULL) {
            PyErr_SetString(PyExc_TypeError, "instance exception may not "
                                             "have a separate value");
            return -1;
        }
        value = type;
        type = (PyObject *)Py_TYPE(type);
        if (traceback == NULL) {
            traceback = PyException_GetTraceback(value);
            PyErr_Restore(Py_NewRef(type), Py_NewRef(value), traceback);
            return 0;
        }
    }
    else if (!PyExceptionClass_Check(type)) {
        PyErr_Format(PyExc_TypeError,
                     "exceptions must be classes or instances deriving from "
                     "BaseException, not %s",
                     Py_TYPE(type)->tp_name);
        return -1;
    }
    PyErr_Restore(Py_NewRef(type), Py_XNewRef(value), Py_XNewRef(traceback));
    return 0;
}

/* inner.throw(...) */
static PySendResult
op_throw_into_inner(OpObject *self, PyObject *const *args, Py_ssize_t nargs,
                    PyObject **result)
{
    PyObject *throw = PyObject_GetAttr(self->inner, self->loop->st->str_throw);
    PyObject *got = NULL;

    if (throw != NULL) {
        got = PyObject_Vectorcall(throw, args, (size_t)nargs, NULL);
        Py_DECREF(throw);
    }
    if (got != NULL) {
        self->state = AL_OP_SUSPENDED;
        *result = got;
        return PYGEN_NEXT;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return op_end_steal(self, NULL, result);
    }
    PyObject *stop = al_err_take();
    PyObject *value = Py_NewRef(((PyStopIterationObject *)stop)->value);
    Py_DECREF(stop);
    return op_inner_returned_steal(self, value, result);
}

static PyObject *
op_py_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    OpObject *self = (OpObject *)op;
    PyObject *value = NULL;

    if (nargs < 1 || nargs > 3) {
        PyErr_Format(PyExc_TypeError,
                     "throw expected 1 to 3 arguments, got %zd", nargs);
        return NULL;
    }
    if (op_check_resumable(self) < 0) {
        return NULL;
    }
    if (self->inner != NULL) {
        self->state = AL_OP_RUNNING;
        PySendResult status = op_throw_into_inner(self, args, nargs, &value);
        return as_iteration(status, value);
    }
    if (set_thrown(args[0], nargs > 1 ? args[1] : NULL,
                   nargs > 2 ? args[2] : NULL) == 0) {
        (void)op_end_steal(self, NULL, &value);
    }
    return NULL;
}

static PyObject *
op_py_close(PyObject *op, PyObject *unused)
{
    (void)unused;
    OpObject *self = (OpObject *)op;

    if (self->state == AL_OP_OVER) {
        Py_RETURN_NONE;
    }
    if (op_check_resumable(self) < 0) {
        return NULL;
    }
    PyObject *answer = Py_NewRef(Py_None);
    if (self->inner != NULL) {
        self->state = AL_OP_RUNNING;
        Py_SETREF(answer, PyObject_CallMethodNoArgs(
                              self->inner, self->loop->st->str_close));
    }
    PyObject *ignored;
    (void)op_end_steal(self, NULL, &ignored);
    return answer;
}

/* await: the operation is its own iterator. */
PyObject *
al_op_am_await(PyObject *op)
{
    if (((OpObject *)op)->state == AL_OP_SUSPENDED) {
        PyErr_SetString(PyExc_RuntimeError,
                        "coroutine is being awaited already");
        return NULL;
    }
    return Py_NewRef(op);
}

static PyObject *
op_py_await(PyObject *op, PyObject *unused)
{
    (void)unused;
    return al_op_am_await(op);
}

/* --- how it looks ----------------------------------------------------------- */

static PyObject *
op_get_name(PyObject *op, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((OpObject *)op)->kind->name);
}

static const char *
owner_of(const OpObject *self)
{
    return self->kind->owner == NULL ? "Loop" : self->kind->owner;
}

static PyObject *
op_get_qualname(PyObject *op, void *closure)
{
    (void)closure;
    return PyUnicode_FromFormat("%s.%s", owner_of((OpObject *)op),
                                ((OpObject *)op)->kind->name);
}

static PyObject *
op_get_running(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((OpObject *)op)->state == AL_OP_RUNNING);
}

static PyObject *
op_get_suspended(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((OpObject *)op)->state == AL_OP_SUSPENDED);
}

static PyObject *
op_get_origin(PyObject *op, void *closure)
{
    (void)closure;
    PyObject *origin = ((OpObject *)op)->origin;
    return Py_NewRef(origin == NULL ? Py_None : origin);
}

/* There is no frame and no code. */
static PyObject *
op_get_none(PyObject *op, void *closure)
{
    (void)op;
    (void)closure;
    Py_RETURN_NONE;
}

PyObject *
al_op_tp_repr(PyObject *op)
{
    return PyUnicode_FromFormat("<coroutine object %s.%s at %p>",
                                owner_of((OpObject *)op),
                                ((OpObject *)op)->kind->name, op);
}

PyMethodDef al_op_methods[] = {
    {"send", op_py_send, METH_O,
     "send($self, value, /)\n--\n\nResume; raises StopIteration at the end."},
    {"throw", _PyCFunction_CAST(op_py_throw), METH_FASTCALL,
     "throw($self, type, value=None, traceback=None, /)\n--\n\n"
     "End the operation with an exception."},
    {"close", op_py_close, METH_NOARGS,
     "close($self, /)\n--\n\nGive the operation up."},
    {"__await__", op_py_await, METH_NOARGS, NULL},
    {NULL},
};

PyGetSetDef al_op_getset[] = {
    {"__name__", op_get_name, NULL, NULL, NULL},
    {"__qualname__", op_get_qualname, NULL, NULL, NULL},
    {"cr_running", op_get_running, NULL, NULL, NULL},
    {"cr_suspended", op_get_suspended, NULL, NULL, NULL},
    {"cr_origin", op_get_origin, NULL, NULL, NULL},
    {"cr_frame", op_get_none, NULL, NULL, NULL},
    {"cr_code", op_get_none, NULL, NULL, NULL},
    {NULL},
};
