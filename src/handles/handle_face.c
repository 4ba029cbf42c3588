/* handle_face.c - asyncio.Handle and asyncio.TimerHandle, as Python sees them.
 *
 * What has a Python implementation in asyncio and is rare (repr, ordering)
 * runs that implementation on our object: the result is right on every
 * version, and our handles compare with asyncio's.
 *
 * Ownership: none of its own.
 * Threads: under the GIL.
 */

#include "handles/handle_face.h"

#include "handles/handle.h"

static struct al_state *
state_of(PyObject *op)
{
    return al_handle_pool_of(op)->st;
}

/* The class of asyncio that this handle stands for; borrowed. */
static PyObject *
asyncio_class(PyObject *op)
{
    struct al_state *st = state_of(op);
    return al_handle_is_timer((HandleObject *)op, st) ? st->aio_TimerHandle
                                                      : st->aio_Handle;
}

static PyObject *
call_asyncio(PyObject *op, PyObject *method_name, PyObject *other)
{
    PyObject *method = PyObject_GetAttr(asyncio_class(op), method_name);
    if (method == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallFunctionObjArgs(method, op, other, NULL);
    Py_DECREF(method);
    return result;
}

PyObject *
al_handle_tp_repr(PyObject *op)
{
    return call_asyncio(op, state_of(op)->str___repr__, NULL);
}

PyObject *
al_timer_handle_tp_richcompare(PyObject *a, PyObject *b, int op)
{
    struct al_state *st = state_of(a);

    switch (op) {
    case Py_LT:
        return call_asyncio(a, st->str___lt__, b);
    case Py_LE:
        return call_asyncio(a, st->str___le__, b);
    case Py_GT:
        return call_asyncio(a, st->str___gt__, b);
    case Py_GE:
        return call_asyncio(a, st->str___ge__, b);
    case Py_EQ:
        return call_asyncio(a, st->str___eq__, b);
    default:
        break;
    }
    PyObject *equal = call_asyncio(a, st->str___eq__, b);
    if (equal == NULL || equal == Py_NotImplemented) {
        return equal;
    }
    int truth = PyObject_IsTrue(equal);
    Py_DECREF(equal);
    return truth < 0 ? NULL : PyBool_FromLong(!truth);
}

Py_hash_t
al_timer_handle_tp_hash(PyObject *op)
{
    PyObject *when = PyFloat_FromDouble(((TimerHandleObject *)op)->when);
    if (when == NULL) {
        return -1;
    }
    Py_hash_t hash = PyObject_Hash(when);
    Py_DECREF(when);
    return hash;
}

static void
wait_if_threadsafe(HandleObject *self)
{
    if (self->flags & AL_HANDLE_THREADSAFE) {
        al_handle_wait_while_running(self);
    }
}

static PyObject *
handle_py_cancel(PyObject *op, PyObject *unused)
{
    (void)unused;
    wait_if_threadsafe((HandleObject *)op);
    al_handle_cancel((HandleObject *)op);
    Py_RETURN_NONE;
}

static PyObject *
handle_py_cancelled(PyObject *op, PyObject *unused)
{
    (void)unused;
    wait_if_threadsafe((HandleObject *)op);
    return PyBool_FromLong(((HandleObject *)op)->flags & AL_HANDLE_CANCELLED);
}

/* asyncio's Handle._run reads the attributes below and reports exceptions
 * to the loop, so it serves here as it is. */
static PyObject *
handle_py_run(PyObject *op, PyObject *unused)
{
    (void)unused;
    HandleObject *self = (HandleObject *)op;
    struct al_state *st = state_of(op);
    PyObject *run = PyObject_GetAttr(st->aio_Handle, st->str__run);
    if (run == NULL) {
        return NULL;
    }
    bool nested = self->flags & AL_HANDLE_RUNNING;
    self->flags |= AL_HANDLE_RUNNING;
    PyObject *result = PyObject_CallOneArg(run, op);
    Py_DECREF(run);
    if (!nested) {
        self->flags &= (uint16_t)~AL_HANDLE_RUNNING;
        if (self->flags & AL_HANDLE_CANCELLED) {
            al_handle_drop(self);
        }
    }
    return result;
}

static PyObject *
handle_py_repr_info(PyObject *op, PyObject *unused)
{
    (void)unused;
    return call_asyncio(op, state_of(op)->str__repr_info, NULL);
}

#if AL_HANDLE_HAS_GET_CONTEXT
static PyObject *
handle_py_get_context(PyObject *op, PyObject *unused)
{
    (void)unused;
    return al_handle_context((HandleObject *)op);
}
#endif

static PyObject *
handle_get_class(PyObject *op, void *closure)
{
    (void)closure;
    struct al_state *st = state_of(op);
    if (((HandleObject *)op)->flags & AL_HANDLE_THREADSAFE) {
        return Py_NewRef(st->aio_ThreadSafeHandle);
    }
    return Py_NewRef(asyncio_class(op));
}

/* Has it run, or has it been cancelled? A handle that is cancelled while it
 * runs still has its callback, but must not show it. */
static bool
is_emptied(const HandleObject *self)
{
    const unsigned both = AL_HANDLE_CANCELLED | AL_HANDLE_RUNNING;
    return self->callback == NULL || (self->flags & both) == both;
}

static PyObject *
handle_get_callback(PyObject *op, void *closure)
{
    (void)closure;
    HandleObject *self = (HandleObject *)op;
    if (is_emptied(self)) {
        Py_RETURN_NONE;
    }
    return Py_NewRef(self->callback);
}

static PyObject *
handle_get_args(PyObject *op, void *closure)
{
    (void)closure;
    HandleObject *self = (HandleObject *)op;
    if (is_emptied(self)) {
        Py_RETURN_NONE;
    }
    return al_handle_args_tuple(self);
}

static PyObject *
handle_get_context(PyObject *op, void *closure)
{
    (void)closure;
    return al_handle_context((HandleObject *)op);
}

static PyObject *
handle_get_cancelled(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((HandleObject *)op)->flags & AL_HANDLE_CANCELLED);
}

static PyObject *
handle_get_loop(PyObject *op, void *closure)
{
    (void)closure;
    PyObject *loop = al_handle_pool_of(op)->loop;
    return Py_NewRef(loop == NULL ? Py_None : loop);
}

static PyObject *
handle_get_source_traceback(PyObject *op, void *closure)
{
    (void)closure;
    HandleObject *self = (HandleObject *)op;
    if (!(self->flags & AL_HANDLE_TRACED)) {
        Py_RETURN_NONE;
    }
    return Py_NewRef(self->args[1]);
}

static PyObject *
handle_get_repr(PyObject *op, void *closure)
{
    (void)closure;
    HandleObject *self = (HandleObject *)op;
    if (!(self->flags & AL_HANDLE_HAS_REPR)) {
        Py_RETURN_NONE;
    }
    return Py_NewRef(self->args[0]);
}

static PyObject *
timer_handle_py_when(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyFloat_FromDouble(((TimerHandleObject *)op)->when);
}

static PyObject *
timer_handle_get_when(PyObject *op, void *closure)
{
    (void)closure;
    return PyFloat_FromDouble(((TimerHandleObject *)op)->when);
}

static PyObject *
timer_handle_get_scheduled(PyObject *op, void *closure)
{
    (void)closure;
    TimerHandleObject *self = (TimerHandleObject *)op;
    return PyBool_FromLong(self->node.place != AL_HEAP_NOWHERE);
}

PyMethodDef al_handle_methods[] = {
    {"cancel", handle_py_cancel, METH_NOARGS, NULL},
    {"cancelled", handle_py_cancelled, METH_NOARGS, NULL},
    {"_run", handle_py_run, METH_NOARGS, NULL},
    {"_repr_info", handle_py_repr_info, METH_NOARGS, NULL},
#if AL_HANDLE_HAS_GET_CONTEXT
    {"get_context", handle_py_get_context, METH_NOARGS, NULL},
#endif
    {NULL},
};

PyGetSetDef al_handle_getset[] = {
    {"__class__", handle_get_class, NULL, NULL, NULL},
    {"_callback", handle_get_callback, NULL, NULL, NULL},
    {"_args", handle_get_args, NULL, NULL, NULL},
    {"_context", handle_get_context, NULL, NULL, NULL},
    {"_cancelled", handle_get_cancelled, NULL, NULL, NULL},
    {"_loop", handle_get_loop, NULL, NULL, NULL},
    {"_source_traceback", handle_get_source_traceback, NULL, NULL, NULL},
    {"_repr", handle_get_repr, NULL, NULL, NULL},
    {NULL},
};

PyMethodDef al_timer_handle_methods[] = {
    {"when", timer_handle_py_when, METH_NOARGS, NULL},
    {NULL},
};

PyGetSetDef al_timer_handle_getset[] = {
    {"_when", timer_handle_get_when, NULL, NULL, NULL},
    {"_scheduled", timer_handle_get_scheduled, NULL, NULL, NULL},
    {NULL},
};
