/* sock_op.c - operations on sockets: what their attempts share. */

#include "sockets/sock_op.h"

#include "futures/op_coro.h"
#include "sockets/op_wait.h"

#include <errno.h>
#include <unistd.h>

/* --- for the attempts ------------------------------------------------------- */

bool
al_op_is_non_blocking(SockOpObject *self)
{
    PyObject *timeout = PyObject_CallMethodNoArgs(
        self->op.args[0], self->op.loop->st->str_gettimeout);
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
    PyObject *number =
        self->op.loop->st->socket_fileno(self->op.args[0], NULL);
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
    LoopObject *loop = self->op.loop;

    if (!Py_IS_TYPE(self->op.args[0],
                    (PyTypeObject *)loop->st->socket_class) ||
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
    PyObject *sock = self->op.args[0];
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

/* --- what they have beside OpObject ------------------------------------------ */

static void
sock_op_init(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;

    self->view.obj = NULL;
    self->user.owner = (PyObject *)self;
    self->user.on_event = al_op_on_event;
    self->user.on_drop = al_op_on_drop;
    self->user.owns_fd = false;
    self->offset = 0;
    self->size = self->moved = 0;
    self->fd = self->other_fd = -1;
    self->owns_other_fd = self->watching = self->queued = false;
}

void
al_op_release_view(SockOpObject *self)
{
    if (self->view.obj != NULL) {
        PyBuffer_Release(&self->view);
    }
}

static int
sock_op_wait(OpObject *op)
{
    return al_op_watch((SockOpObject *)op);
}

static void
sock_op_part(OpObject *op)
{
    al_op_release_view((SockOpObject *)op);
}

static void
sock_op_release(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;

    al_op_unwatch(self);
    if (self->owns_other_fd) {
        self->owns_other_fd = false;
        (void)close(self->other_fd); /* accepted, and nobody came for it */
    }
    al_op_release_view(self);
}

static int
sock_op_traverse(OpObject *op, visitproc visit, void *arg)
{
    Py_VISIT(((SockOpObject *)op)->view.obj);
    return 0;
}

const al_op_family al_sock_op_family = {
    .type = offsetof(struct al_state, sock_op_type),
    .free_list = offsetof(struct al_state, free_sock_ops),
    .init = sock_op_init,
    .wait = sock_op_wait,
    .part = sock_op_part,
    .release = sock_op_release,
    .traverse = sock_op_traverse,
};

/* --- the type --------------------------------------------------------------- */

static PyType_Slot op_slots[] = {
    AL_OP_SLOTS,
    {Py_tp_dealloc, al_op_tp_dealloc},
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
al_sock_op_setup(PyObject *module, struct al_state *st)
{
    if (find_fileno(st) < 0) {
        return -1;
    }
    st->sock_op_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &op_spec, NULL);
    st->op_try_again = PyCFunction_New(&al_op_try_again_def, NULL);
    st->socket_family = c_descriptor(st, "family");
    st->socket_type = c_descriptor(st, "type");
    st->socket_proto = c_descriptor(st, "proto");
    return st->sock_op_type == NULL || st->op_try_again == NULL ||
                   st->socket_family == NULL || st->socket_type == NULL ||
                   st->socket_proto == NULL
               ? -1
               : 0;
}
