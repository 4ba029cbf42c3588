/* op.c - an operation: how it is made, and its end. */

#include "sockets/op.h"

#include "py/error.h"
#include "sockets/op_coro.h"
#include "sockets/op_wait.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FREE_OPS_MAX 64

/* --- asyncio's own coroutine ------------------------------------------------ */

/* asyncio's method of this name, called with `loop` and these arguments. */
static PyObject *
call_borrowed(const al_op_kind *kind, LoopObject *loop, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t total =
        nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *method =
        PyObject_GetAttrString(loop->st->cold_methods, kind->name);
    PyObject **stack = PyMem_New(PyObject *, (size_t)total + 1);
    PyObject *coro = NULL;

    if (stack == NULL) {
        PyErr_NoMemory();
    }
    else if (method != NULL) {
        stack[0] = (PyObject *)loop;
        memcpy(stack + 1, args, (size_t)total * sizeof(PyObject *));
        coro = PyObject_Vectorcall(method, stack, (size_t)nargs + 1, kwnames);
    }
    PyMem_Free(stack);
    Py_XDECREF(method);
    return coro;
}

static inline PyObject *
name_of_arg(const SockOpObject *self, size_t i)
{
    return *(PyObject **)((char *)self->loop->st + self->kind->names[i]);
}

/* The same with the arguments of an operation: those that have a default by
 * name, as far as they were given. */
PyObject *
al_op_borrow(SockOpObject *self)
{
    const al_op_kind *kind = self->kind;
    PyObject *stack[AL_OP_ARGS];
    PyObject *names = NULL;
    Py_ssize_t count = kind->required;

    for (size_t i = 0; i < kind->most; i++) {
        if (i < kind->required) {
            stack[i] = self->args[i];
        }
        else if (self->args[i] != NULL) {
            stack[count++] = self->args[i];
        }
    }
    if (count > kind->required) {
        names = PyTuple_New(count - kind->required);
        if (names == NULL) {
            return NULL;
        }
        Py_ssize_t at = 0;
        for (size_t i = kind->required; i < kind->most; i++) {
            if (self->args[i] != NULL) {
                PyTuple_SET_ITEM(names, at++, Py_NewRef(name_of_arg(self, i)));
            }
        }
    }
    PyObject *coro =
        call_borrowed(kind, self->loop, stack, kind->required, names);
    Py_XDECREF(names);
    return coro;
}

/* --- making ----------------------------------------------------------------- */

/* Sort the arguments into `values`, borrowed. False where a Python function
 * would, or might, raise TypeError. */
static bool
sort_args(const al_op_kind *kind, struct al_state *st, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, PyObject **values)
{
    if (nargs > kind->positional) {
        return false;
    }
    for (Py_ssize_t i = 0; i < AL_OP_ARGS; i++) {
        values[i] = i < nargs ? args[i] : NULL;
    }
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < keywords; k++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, k);
        size_t i = 0;
        while (i < kind->most &&
               *(PyObject **)((char *)st + kind->names[i]) != name) {
            i++;
        }
        if (i == kind->most || values[i] != NULL) {
            return false; /* unknown, twice, or not interned */
        }
        values[i] = args[nargs + k];
    }
    for (size_t i = 0; i < kind->required; i++) {
        if (values[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* cr_origin: where the operation was made, innermost first. */
static PyObject *
origin_of_caller(void)
{
    PyObject *depth =
        PySys_GetObject("get_coroutine_origin_tracking_depth"); /* borrowed */
    PyObject *number = depth == NULL ? NULL : PyObject_CallNoArgs(depth);
    long limit = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    if (limit < 0) {
        return NULL;
    }
    PyObject *list = PyList_New(0);
    PyFrameObject *frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    while (list != NULL && frame != NULL && limit-- > 0) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyObject *entry =
            Py_BuildValue("OiO", code->co_filename,
                          PyFrame_GetLineNumber(frame), code->co_name);
        Py_DECREF(code);
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    PyObject *origin = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    if (origin != NULL && PyTuple_GET_SIZE(origin) == 0) {
        Py_SETREF(origin, Py_NewRef(Py_None));
    }
    return origin;
}

static SockOpObject *
op_alloc(struct al_state *st)
{
    SockOpObject *self = st->free_ops;

    if (self == NULL) {
        return PyObject_GC_New(SockOpObject, st->op_type);
    }
    st->free_ops = self->inner; /* the link, while it is free */
    st->free_ops_len--;
    (void)PyObject_Init((PyObject *)self, st->op_type);
    return self;
}

PyObject *
al_op_new(const al_op_kind *kind, LoopObject *loop, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[AL_OP_ARGS];

    if (!sort_args(kind, loop->st, args, nargs, kwnames, values)) {
        return call_borrowed(kind, loop, args, nargs, kwnames);
    }
    PyObject *origin = NULL;
    if (loop->debug) {
        origin = origin_of_caller();
        if (origin == NULL) {
            return NULL;
        }
    }
    SockOpObject *self = op_alloc(loop->st);
    if (self == NULL) {
        Py_XDECREF(origin);
        return NULL;
    }
    AL_LEDGER_MADE(loop->st, op);
    self->kind = kind;
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    for (size_t i = 0; i < AL_OP_ARGS; i++) {
        self->args[i] = Py_XNewRef(values[i]);
    }
    self->future = self->inner = self->result = self->error = NULL;
    self->origin = origin; /* ours */
    self->view.obj = NULL;
    self->user.owner = (PyObject *)self;
    self->user.on_event = al_op_on_event;
    self->user.on_drop = al_op_on_drop;
    self->user.owns_fd = false;
    self->offset = 0;
    self->size = self->moved = 0;
    self->fd = self->other_fd = -1;
    self->state = AL_OP_CREATED;
    self->owns_other_fd = self->watching = false;
    self->ready = self->borrowed = self->queued = false;
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

/* --- for the attempts ------------------------------------------------------- */

bool
al_op_is_non_blocking(SockOpObject *self)
{
    PyObject *timeout = PyObject_CallMethodNoArgs(
        self->args[0], self->loop->st->str_gettimeout);
    bool is_zero = timeout != NULL && PyFloat_CheckExact(timeout) &&
                   PyFloat_AS_DOUBLE(timeout) == 0.0;

    if (timeout == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(timeout);
    return is_zero;
}

/* The socket's descriptor, -1 if it is closed. The type is exact, so that no
 * foreign code runs. */
static int
socket_fileno(SockOpObject *self)
{
    PyObject *number = self->loop->st->socket_fileno(self->args[0], NULL);
    long fd = number == NULL ? -1 : PyLong_AsLong(number);

    if (fd < 0 && PyErr_Occurred()) {
        PyErr_Clear();
    }
    Py_XDECREF(number);
    return fd < 0 || fd > INT_MAX ? -1 : (int)fd;
}

bool
al_op_take_plain_socket(SockOpObject *self)
{
    LoopObject *loop = self->loop;

    if (!Py_IS_TYPE(self->args[0], (PyTypeObject *)loop->st->socket_class) ||
        loop->closed || (loop->debug && !al_op_is_non_blocking(self))) {
        return false;
    }
    self->fd = socket_fileno(self);
    return self->fd >= 0;
}

bool
al_op_has_its_socket(SockOpObject *self)
{
    return socket_fileno(self) == self->fd;
}

int
al_op_socket_int(SockOpObject *self, PyObject *descriptor)
{
    PyObject *sock = self->args[0];
    PyObject *number =
        Py_TYPE(descriptor)
            ->tp_descr_get(descriptor, sock, (PyObject *)Py_TYPE(sock));
    long value = number == NULL ? -1 : PyLong_AsLong(number);

    if (number == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(number);
    return (int)value;
}

al_op_outcome
al_op_from_errno(void)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return AL_OP_AGAIN;
    }
    PyErr_SetFromErrno(PyExc_OSError);
    return AL_OP_FAILED;
}

al_op_outcome
al_op_done_steal(SockOpObject *self, PyObject *result)
{
    Py_XSETREF(self->result, result);
    return result == NULL ? AL_OP_FAILED : AL_OP_DONE;
}

/* --- the end ---------------------------------------------------------------- */

void
al_op_release_view(SockOpObject *self)
{
    if (self->view.obj != NULL) {
        PyBuffer_Release(&self->view);
    }
}

/* Let go of everything but `origin`. Leaves the exception state alone. */
void
al_op_release(SockOpObject *self)
{
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;

    al_op_unwatch(self);
    if (self->owns_other_fd) {
        self->owns_other_fd = false;
        (void)close(self->other_fd); /* accepted, and nobody came for it */
    }
    al_op_release_view(self);
    Py_CLEAR(self->future);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->result);
    Py_CLEAR(self->error);
    for (size_t i = 0; i < AL_OP_ARGS; i++) {
        Py_CLEAR(self->args[i]);
    }
    PyObject *loop = (PyObject *)self->loop;
    self->loop = NULL;
    Py_XDECREF(loop);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

static int
op_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    SockOpObject *self = (SockOpObject *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    for (size_t i = 0; i < AL_OP_ARGS; i++) {
        Py_VISIT(self->args[i]);
    }
    Py_VISIT(self->future);
    Py_VISIT(self->inner);
    Py_VISIT(self->result);
    Py_VISIT(self->error);
    Py_VISIT(self->origin);
    Py_VISIT(self->view.obj);
    return 0;
}

static int
op_tp_clear(PyObject *op)
{
    SockOpObject *self = (SockOpObject *)op;

    self->state = AL_OP_OVER;
    al_op_release(self);
    Py_CLEAR(self->origin);
    return 0;
}

/* The warning for one that was never awaited. */
static void
op_tp_finalize(PyObject *op)
{
    SockOpObject *self = (SockOpObject *)op;

    if (self->state != AL_OP_CREATED) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    PyObject *warnings = PyImport_ImportModule("warnings");
    PyObject *done = warnings == NULL
                         ? NULL
                         : PyObject_CallMethod(
                               warnings, "_warn_unawaited_coroutine", "O", op);
    if (done == NULL) {
        PyErr_WriteUnraisable(op);
    }
    Py_XDECREF(done);
    Py_XDECREF(warnings);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

static void
op_tp_dealloc(PyObject *op)
{
    SockOpObject *self = (SockOpObject *)op;

    if (self->state == AL_OP_CREATED &&
        PyObject_CallFinalizerFromDealloc(op) < 0) {
        return; /* the warning's filter kept it */
    }
    PyObject_GC_UnTrack(op);
    PyTypeObject *tp = Py_TYPE(op);
    /* At the end of the interpreter the module may be gone already. */
    PyObject *module = ((PyHeapTypeObject *)tp)->ht_module;
    struct al_state *st = module == NULL ? NULL : al_state_of_module(module);

    (void)op_tp_clear(op);
    if (st != NULL) {
        AL_LEDGER_FREED(st, op);
    }
    /* One whose finalizer ran would not be finalized again. */
    if (st != NULL && st->op_type != NULL && st->free_ops_len < FREE_OPS_MAX &&
        !PyObject_GC_IsFinalized(op)) {
        self->inner = st->free_ops;
        st->free_ops = self;
        st->free_ops_len++;
    }
    else {
        PyObject_GC_Del(op);
    }
    Py_DECREF(tp);
}

void
al_op_free_list_clear(struct al_state *st)
{
    while (st->free_ops != NULL) {
        SockOpObject *self = st->free_ops;
        st->free_ops = self->inner; /* the link, while it is free */
        PyObject_GC_Del(self);
    }
    st->free_ops_len = 0;
}

/* --- the type --------------------------------------------------------------- */

static PyType_Slot op_slots[] = {
    {Py_am_await, al_op_am_await},
    {Py_am_send, al_op_am_send},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, al_op_tp_iternext},
    {Py_tp_repr, al_op_tp_repr},
    {Py_tp_traverse, op_tp_traverse},
    {Py_tp_clear, op_tp_clear},
    {Py_tp_finalize, op_tp_finalize},
    {Py_tp_dealloc, op_tp_dealloc},
    {Py_tp_methods, al_op_methods},
    {Py_tp_getset, al_op_getset},
    {Py_tp_doc, "An operation on a socket, to be awaited."},
    {0, NULL},
};

static PyType_Spec op_spec = {
    .name = "asyncloop._core.SocketOperation",
    .basicsize = sizeof(SockOpObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = op_slots,
};

/* What the C type under socket.socket has under this name. */
static PyObject *
c_descriptor(struct al_state *st, const char *name)
{
    PyTypeObject *base = ((PyTypeObject *)st->socket_class)->tp_base;
    PyObject *found = PyObject_GetAttrString((PyObject *)base, name);

    if (found != NULL && Py_TYPE(found)->tp_descr_get == NULL) {
        PyErr_Format(PyExc_ImportError, "socket has no attribute %s", name);
        Py_CLEAR(found);
    }
    return found;
}

/* The function behind socket.fileno, which is asked more than once for each
 * operation. 0, or -1 with an exception set. */
static int
find_fileno(struct al_state *st)
{
    PyObject *method = c_descriptor(st, "fileno");

    if (method == NULL) {
        return -1;
    }
    if (Py_IS_TYPE(method, &PyMethodDescr_Type) &&
        ((PyMethodDescrObject *)method)->d_method->ml_flags == METH_NOARGS) {
        st->socket_fileno = ((PyMethodDescrObject *)method)->d_method->ml_meth;
    }
    else {
        PyErr_SetString(PyExc_ImportError, "socket.fileno is no C method");
    }
    Py_DECREF(method); /* the type has it */
    return st->socket_fileno == NULL ? -1 : 0;
}

int
al_op_setup(PyObject *module, struct al_state *st)
{
    if (find_fileno(st) < 0) {
        return -1;
    }
    st->op_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &op_spec, NULL);
    st->op_try_again = PyCFunction_New(&al_op_try_again_def, NULL);
    st->socket_family = c_descriptor(st, "family");
    st->socket_type = c_descriptor(st, "type");
    st->socket_proto = c_descriptor(st, "proto");
    return st->op_type == NULL || st->op_try_again == NULL ||
                   st->socket_family == NULL || st->socket_type == NULL ||
                   st->socket_proto == NULL
               ? -1
               : 0;
}
