/* datagram.c - the Python type of datagram transports; see datagram.h.
 *
 * Threads: the loop's.
 */

#include "transports/datagram.h"

#include "loop/run.h"
#include "py/args.h"
#include "py/error.h"

#include <errno.h>

/* --- what the protocol is told ------------------------------------------------ */

void
al_dgram_event_failed(al_dgram *self, const char *message)
{
    if (!al_err_leaves_loop() && self->base.loop != NULL) {
        al_transport_report(&self->base, message);
        if (!PyErr_Occurred()) {
            return;
        }
    }
    if (self->base.loop != NULL) {
        al_run_leave_with_error(self->base.loop);
    }
    else {
        PyErr_WriteUnraisable((PyObject *)self);
    }
}

int
al_dgram_tell_error(al_dgram *self, bool inside)
{
    al_transport *base = &self->base;
    PyObject *name = base->st->str_error_received;
    PyObject *error = al_err_take();
    PyObject *result;

    if (base->protocol == NULL) {
        Py_DECREF(error);
        return 0;
    }
    if (inside) {
        PyObject *protocol = Py_NewRef(base->protocol);
        result = PyObject_CallMethodOneArg(protocol, name, error);
        Py_DECREF(protocol);
    }
    else {
        result = al_transport_call(base, name, error);
    }
    Py_DECREF(error);
    if (result == NULL) {
        if (inside) {
            return -1;
        }
        al_dgram_event_failed(self, "protocol.error_received() failed");
        return 0;
    }
    Py_DECREF(result);
    return 0;
}

bool
al_dgram_is_gone(al_dgram *self, const char *message)
{
    if (errno != EBADF && errno != ENOTSOCK) {
        return false;
    }
    PyErr_SetFromErrno(PyExc_OSError);
    al_transport_lose_descriptor(&self->base);
    al_transport_fatal(&self->base, message);
    return true;
}

/* --- other methods ------------------------------------------------------------- */

static PyObject *
datagram_py_deliver_held(PyObject *op, PyObject *unused)
{
    al_dgram *self = (al_dgram *)op;

    (void)unused;
    if (self->base.loop != NULL && al_transport_is_reading(&self->base)) {
        (void)al_dgram_deliver_held(self);
    }
    if (self->base.loop != NULL && self->base.loop->leaving != NULL) {
        /* Here it can leave at once: this is a callback. */
        PyObject *error = self->base.loop->leaving;
        self->base.loop->leaving = NULL;
        al_err_give_back_steal(error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
datagram_py_resume_reading(PyObject *op, PyObject *unused)
{
    al_dgram *self = (al_dgram *)op;
    bool was_paused = self->base.paused;

    Py_XDECREF(al_transport_py_resume_reading(op, unused));
    if (was_paused && self->held != NULL && self->base.loop != NULL) {
        al_dgram_deliver_held_soon(self);
    }
    Py_RETURN_NONE;
}

/* What was sent before has left; what waits for room is lost. */
static PyObject *
datagram_py_abort(PyObject *op, PyObject *unused)
{
    al_transport *base = (al_transport *)op;

    if (base->loop != NULL) {
        al_dgram_send_now(base);
    }
    return al_transport_py_abort(op, unused);
}

/* --- the type -------------------------------------------------------------------- */

static PyObject *
get_address(PyObject *op, void *closure)
{
    (void)closure;
    PyObject *address = ((al_dgram *)op)->address;
    return Py_NewRef(address == NULL ? Py_None : address);
}

/* connection_lost has been called. */
static void
datagram_on_lost(al_transport *base)
{
    al_dgram *self = (al_dgram *)base;

    Py_CLEAR(self->held);
    Py_CLEAR(self->last_to);
    al_dgram_clear(&self->queue);
}

static int
datagram_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    al_dgram *self = (al_dgram *)op;

    Py_VISIT(self->address);
    Py_VISIT(self->held);
    Py_VISIT(self->last_to);
    for (uint32_t i = 0; i < self->queue.count; i++) {
        Py_VISIT(al_dgram_first(&self->queue)[i].to);
    }
    return al_transport_tp_traverse(op, visit, arg);
}

static int
datagram_tp_clear(PyObject *op)
{
    al_dgram *self = (al_dgram *)op;

    Py_CLEAR(self->address);
    Py_CLEAR(self->held);
    Py_CLEAR(self->last_to);
    al_dgram_clear(&self->queue);
    return al_transport_tp_clear(op);
}

/* Of two entries of a name the first counts: before the shared ones. */
static PyMethodDef datagram_methods[] = {
    {"abort", datagram_py_abort, METH_NOARGS,
     "abort($self, /)\n--\n\nClose at once; what waits to be sent is lost."},
    {"resume_reading", datagram_py_resume_reading, METH_NOARGS,
     "resume_reading($self, /)\n--\n\nDeliver datagrams again."},
    AL_TRANSPORT_METHODS,
    AL_READ_TRANSPORT_METHODS,
    AL_WRITE_TRANSPORT_METHODS,
    {"sendto", _PyCFunction_CAST(al_dgram_py_sendto),
     METH_FASTCALL | METH_KEYWORDS,
     "sendto($self, data, addr=None)\n--\n\nSend a datagram, without "
     "blocking."},
    {"_deliver_held", datagram_py_deliver_held, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef datagram_getset[] = {
    AL_TRANSPORT_GETSET,
    {"_address", get_address, NULL, NULL, NULL},
    {NULL},
};

static PyType_Slot datagram_slots[] = {
    {Py_tp_traverse, datagram_tp_traverse},
    {Py_tp_clear, datagram_tp_clear},
    {Py_tp_finalize, al_transport_tp_finalize},
    {Py_tp_dealloc, al_transport_tp_dealloc},
    {Py_tp_repr, al_transport_tp_repr},
    {Py_tp_members, al_transport_members},
    {Py_tp_methods, datagram_methods},
    {Py_tp_getset, datagram_getset},
    {Py_tp_doc, "A datagram socket's transport."},
    {0, NULL},
};

static PyType_Spec datagram_spec = {
    .name = "asyncloop._core.DatagramTransport",
    .basicsize = sizeof(al_dgram),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = datagram_slots,
};

static const al_transport_kind datagram_kind = {
    .write_error = AL_DGRAM_WRITE_ERROR,
    .pending = al_dgram_pending,
    .discard = al_dgram_discard,
    .send_now = al_dgram_send_now,
    .on_lost = datagram_on_lost,
    .read_ready = al_dgram_read_ready,
    .write_ready = al_dgram_write_ready,
};

/* --- making one ------------------------------------------------------------------- */

/* What the socket's method returns; None for an OSError. */
static PyObject *
name_of(PyObject *sock, PyObject *method)
{
    PyObject *name = PyObject_CallMethodNoArgs(sock, method);

    if (name == NULL && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear();
        name = Py_NewRef(Py_None);
    }
    return name;
}

/* Fill in the names as they are now, as asyncio does: a socket that has no
 * port yet is given one by its first datagram. 0, or -1 with an exception. */
static int
set_names(al_dgram *self, PyObject *sock)
{
    struct al_state *st = self->base.st;
    int rc = -1;

    if (self->base.extra == NULL) {
        self->base.extra = PyDict_New();
    }
    PyObject *extra = Py_XNewRef(self->base.extra);
    PyObject *face = extra == NULL
                         ? NULL
                         : PyObject_CallOneArg(st->aio_TransportSocket, sock);
    PyObject *sockname =
        face == NULL ? NULL : name_of(sock, st->str_getsockname);
    PyObject *peername = NULL;
    if (sockname == NULL ||
        PyObject_SetItem(extra, st->str_socket, face) < 0 ||
        PyObject_SetItem(extra, st->str_sockname, sockname) < 0) {
        goto done;
    }
    int given = PySequence_Contains(extra, st->str_peername);
    if (given == 0) {
        peername = name_of(sock, st->str_getpeername);
        if (peername == NULL ||
            PyObject_SetItem(extra, st->str_peername, peername) < 0) {
            goto done;
        }
    }
    else if (given > 0) {
        peername = PyObject_GetItem(extra, st->str_peername);
    }
    int truth = peername == NULL ? -1 : PyObject_IsTrue(peername);
    if (truth >= 0) {
        self->has_peer = truth;
        self->peer_is_unnamed = !truth && peername != Py_None;
        rc = 0;
    }

done:
    Py_XDECREF(extra);
    Py_XDECREF(face);
    Py_XDECREF(sockname);
    Py_XDECREF(peername);
    return rc;
}

/* What kind of socket is this? */
static void
learn_kind(al_dgram *self, int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    int type = 0;
    socklen_t size = sizeof(type);

    bool known = getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
                 getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                 type == SOCK_DGRAM;
    self->family = known ? address.ss_family : AF_UNSPEC;
    self->by_object = self->family != AF_INET && self->family != AF_INET6 &&
                      self->family != AF_UNIX;
}

static al_dgram *
datagram_new(LoopObject *loop, PyObject *sock, PyObject *protocol,
             PyObject *address, PyObject *extra)
{
    PyTypeObject *type = loop->st->datagram_type;
    al_dgram *self = (al_dgram *)type->tp_alloc(type, 0);

    if (self == NULL) {
        return NULL;
    }
    self->base.kind = &datagram_kind;
    self->flush.owner = (PyObject *)self;
    self->flush.send = al_dgram_on_flush;
    if (al_transport_init(&self->base, loop, protocol, extra, NULL) < 0 ||
        set_names(self, sock) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    int truth = PyObject_IsTrue(address);
    if (truth < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (truth) {
        self->address = Py_NewRef(address);
    }
    return self;
}

/* asyncio's private factory, which its own create_datagram_endpoint calls;
 * `sock` becomes the transport's. */
PyObject *
al_datagram_py_make_transport(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"sock",   "protocol", "address",
                            "waiter", "extra",    NULL};
    LoopObject *loop = (LoopObject *)op;
    PyObject *sock, *protocol;
    PyObject *address = Py_None, *waiter = NULL, *extra = NULL;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OO|OOO:_make_datagram_transport", names, &sock,
            &protocol, &address, &waiter, &extra) ||
        al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    int fd = al_args_fileno(sock, loop->st->str_fileno);
    if (fd < 0 && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear(); /* a stand-in for a socket */
        return al_args_pass_on(loop->st->cold_methods,
                               "_make_datagram_transport", op, args, kwargs);
    }
    if (fd < 0) {
        return NULL;
    }
    PyObject *checked =
        PyObject_CallMethod(op, "_ensure_fd_no_transport", "O", sock);
    if (checked == NULL) {
        return NULL;
    }
    Py_DECREF(checked);
    al_dgram *self = datagram_new(loop, sock, protocol, address, extra);
    if (self == NULL) {
        return NULL;
    }
    learn_kind(self, fd);
    al_watch_forget_stale(loop, fd);
    al_transport_adopt(&self->base, fd, sock);
    if (al_transport_begin(&self->base, waiter) < 0) {
        al_transport_disown(&self->base);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* asyncio's own datagram transport is a Transport as well, which programs
 * and its tests look at: class(_FlowControlMixin, DatagramTransport). */
static PyObject *
make_base(struct al_state *st)
{
    return PyObject_CallFunction((PyObject *)&PyType_Type, "s(OO){s:(),s:s}",
                                 "DatagramBase", st->aio_FlowControl,
                                 st->aio_DatagramTransport, "__slots__",
                                 "__module__", "asyncloop._core");
}

int
al_datagram_setup(PyObject *module, struct al_state *st)
{
    PyObject *base = make_base(st);
    if (base == NULL) {
        return -1;
    }
    st->datagram_type = al_transport_make_type(module, &datagram_spec, base,
                                               offsetof(al_transport, dict));
    Py_DECREF(base);
    return st->datagram_type == NULL ? -1 : 0;
}
