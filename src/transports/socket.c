/* socket.c - TCP and Unix stream sockets: receiving, and the Python type.
 *
 * Reading: one recv for each event, into the loop's buffer, and `bytes` of
 * the size that came; no connection keeps a buffer, and none is served twice
 * before the others. A BufferedProtocol's own buffer is filled directly.
 *
 * Threads: the loop's.
 */

#include "transports/socket.h"

#include "loop/run.h"
#include "py/args.h"
#include "transports/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

/* Reads of at least so many bytes are expected to be followed by others like
 * them, and larger ones than the second figure go through the loop's buffer:
 * glibc maps and unmaps pages for larger objects. */
#define LARGE_READ ((size_t)16 * 1024)
#define LARGEST_DIRECT_READ ((size_t)96 * 1024)

#define READ_ERROR "Fatal read error on socket transport"
#define PROTOCOL_FAILED "Fatal error: protocol.data_received() call failed."
#define LATE_WRITE "socket.send() raised exception."

/* --- receiving ---------------------------------------------------------------- */

static void
on_eof(al_transport *self)
{
    int keep_open;

    al_transport_log_debug(self, "%r received EOF");
    if (self->inlet.ops != NULL) {
        keep_open = al_inlet_eof(&self->inlet, (PyObject *)self);
    }
    else {
        PyObject *result =
            al_transport_call(self, self->st->str_eof_received, NULL);
        keep_open = result == NULL ? -1 : PyObject_IsTrue(result);
        Py_XDECREF(result);
    }
    if (keep_open < 0) {
        al_transport_fatal(
            self, "Fatal error: protocol.eof_received() call failed.");
    }
    else if (!keep_open) {
        if (al_transport_close(self) < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
    }
    else if (self->loop != NULL) {
        /* The protocol may still write; there is nothing more to read. */
        al_transport_stop_reading(self);
    }
}

/* A recv gave `count` <= 0. */
static void
nothing_received(al_transport *self, ssize_t count)
{
    if (count == 0) {
        on_eof(self);
    }
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        bool gone = errno == EBADF;
        PyErr_SetFromErrno(PyExc_OSError);
        if (gone) {
            al_transport_lose_descriptor(self);
        }
        al_transport_fatal(self, READ_ERROR);
    }
}

/* Read into the loop's buffer and make `bytes` of what came. A new reference;
 * NULL with `*count` as recv gave it, or 1 with an exception set. */
static PyObject *
receive_small(al_transport *self, ssize_t *count)
{
    char *buffer = al_loop_io_buffer(self->loop);

    *count = 1;
    if (buffer == NULL) {
        return PyErr_NoMemory();
    }
    *count = recv(self->fd, buffer, AL_IO_BUFFER_SIZE, 0);
    return *count <= 0 ? NULL : PyBytes_FromStringAndSize(buffer, *count);
}

/* Read into `bytes` of the size that is expected, which saves a copy of what
 * is no longer small. The same results. */
static PyObject *
receive_large(al_transport *self, ssize_t *count)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, self->expected);

    *count = 1;
    if (data == NULL) {
        return NULL;
    }
    *count = recv(self->fd, PyBytes_AS_STRING(data), self->expected, 0);
    if (*count <= 0) {
        int saved = errno;
        Py_DECREF(data);
        errno = saved;
        return NULL;
    }
    if (*count < (ssize_t)self->expected) {
        (void)_PyBytes_Resize(&data, *count); /* NULL when it fails */
    }
    return data;
}

/* What the next read will be like. One that filled its memory had more to
 * come: the loop's buffer tells how much. */
static void
learn_size(al_transport *self, size_t count)
{
    bool was_filled = count == self->expected;
    bool fits = count >= LARGE_READ && count <= LARGEST_DIRECT_READ;

    self->expected = fits && !was_filled ? (unsigned)count
                     : was_filled        ? self->expected
                                         : 0;
}

/* Read into the loop's buffer and give the inlet what came. */
static void
receive_into_inlet(al_transport *self)
{
    char *buffer = al_loop_io_buffer(self->loop);
    ssize_t count;

    if (buffer == NULL) {
        PyErr_NoMemory();
        al_transport_fatal(self, READ_ERROR);
        return;
    }
    count = recv(self->fd, buffer, AL_IO_BUFFER_SIZE, 0);
    if (count <= 0) {
        nothing_received(self, count);
        return;
    }
    if (self->inlet.ops->receive_bytes != NULL) {
        learn_size(self, (size_t)count);
    }
    if (al_inlet_receive(&self->inlet, (PyObject *)self, buffer,
                         (size_t)count) < 0) {
        al_transport_fatal(self, PROTOCOL_FAILED);
    }
}

/* Make `bytes` of what comes, for the protocol or its inlet. */
static void
receive_data(al_transport *self)
{
    ssize_t count;
    PyObject *data = self->expected != 0 ? receive_large(self, &count)
                                         : receive_small(self, &count);

    if (data == NULL) {
        if (count <= 0) {
            nothing_received(self, count);
        }
        else {
            al_transport_fatal(self, READ_ERROR);
        }
        return;
    }
    learn_size(self, (size_t)count);
    int rc = al_transport_deliver(self, data);
    Py_DECREF(data);
    if (rc < 0) {
        al_transport_fatal(self, PROTOCOL_FAILED);
    }
}

/* The object that the protocol wants filled; NULL with an exception set. */
static PyObject *
get_buffer(al_transport *self)
{
    PyObject *hint = PyLong_FromLong(-1);
    if (hint == NULL) {
        return NULL;
    }
    PyObject *buffer = al_transport_call(self, self->st->str_get_buffer, hint);
    Py_DECREF(hint);
    Py_ssize_t size = buffer == NULL ? 0 : PyObject_Size(buffer);
    if (buffer != NULL && size <= 0) {
        if (size == 0) {
            PyErr_SetString(PyExc_RuntimeError,
                            "get_buffer() returned an empty buffer");
        }
        Py_CLEAR(buffer);
    }
    return buffer;
}

static void
receive_into_buffer(al_transport *self)
{
    Py_buffer view;
    PyObject *buffer = get_buffer(self);

    if (buffer == NULL) {
        al_transport_fatal(self,
                           "Fatal error: protocol.get_buffer() call failed.");
        return;
    }
    int rc = PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE);
    if (rc < 0) {
        PyErr_Format(PyExc_TypeError,
                     "recv_into() argument 1 must be read-write bytes-like "
                     "object, not %s",
                     Py_TYPE(buffer)->tp_name);
    }
    Py_DECREF(buffer);
    if (rc < 0) {
        al_transport_fatal(self, READ_ERROR);
        return;
    }
    if (self->loop == NULL || !self->fd_open) {
        PyBuffer_Release(&view); /* the protocol has aborted meanwhile */
        return;
    }
    ssize_t count = recv(self->fd, view.buf, (size_t)view.len, 0);
    int saved = errno;
    PyBuffer_Release(&view);
    errno = saved;
    if (count <= 0) {
        nothing_received(self, count);
        return;
    }
    PyObject *number = PyLong_FromSsize_t(count);
    PyObject *result =
        number == NULL
            ? NULL
            : al_transport_call(self, self->st->str_buffer_updated, number);
    Py_XDECREF(number);
    if (result == NULL) {
        al_transport_fatal(
            self, "Fatal error: protocol.buffer_updated() call failed.");
        return;
    }
    Py_DECREF(result);
}

static void
socket_read_ready(al_transport *self)
{
    if (self->lost || !self->fd_open) {
        return;
    }
    if (self->inlet.ops != NULL && self->expected == 0) {
        receive_into_inlet(self);
    }
    else if (self->buffered && self->inlet.ops == NULL) {
        receive_into_buffer(self);
    }
    else {
        receive_data(self);
    }
}

/* --- sending ------------------------------------------------------------------ */

/* Complete the future that sendfile waits for; `error` NULL: it may begin. */
static void
wake_empty_waiter(al_stream *self, PyObject *error)
{
    struct al_state *st = self->base.st;
    PyObject *waiter = self->base.empty_waiter;

    if (waiter == NULL) {
        return;
    }
    Py_INCREF(waiter);
    PyObject *done = PyObject_CallMethodNoArgs(waiter, st->str_done);
    PyObject *result = NULL;
    if (done == Py_False) {
        result = error == NULL
                     ? PyObject_CallMethodOneArg(waiter, st->str_set_result,
                                                 Py_None)
                     : PyObject_CallMethodOneArg(waiter, st->str_set_exception,
                                                 error);
    }
    if (done == NULL || (done == Py_False && result == NULL)) {
        PyErr_WriteUnraisable(waiter);
    }
    Py_XDECREF(done);
    Py_XDECREF(result);
    Py_DECREF(waiter);
}

/* connection_lost was called while sendfile waits. */
static void
socket_on_lost(al_transport *self)
{
    if (self->empty_waiter == NULL) {
        return;
    }
    PyObject *error = PyObject_CallFunction(PyExc_ConnectionError, "s",
                                            "Connection is closed by peer");
    if (error == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
        return;
    }
    wake_empty_waiter((al_stream *)self, error);
    Py_DECREF(error);
}

static void
socket_drained(al_transport *base)
{
    wake_empty_waiter((al_stream *)base, NULL);
    if (base->closing) {
        if (al_transport_queue_lost(base, Py_None) < 0) {
            PyErr_WriteUnraisable((PyObject *)base);
        }
    }
    else if (base->eof_written) {
        (void)shutdown(base->fd, SHUT_WR);
    }
}

/* May the user write? 1; 0: not any more, which was counted; -1: an
 * exception is set. */
static int
may_write(al_stream *self, const char *method)
{
    const char *problem = self->base.eof_written
                              ? "Cannot call %s() after write_eof()"
                          : self->base.empty_waiter != NULL
                              ? "unable to %s; sendfile is in progress"
                              : NULL;
    if (problem != NULL) {
        PyErr_Format(PyExc_RuntimeError, problem, method);
        return -1;
    }
    if (self->base.lost) {
        return al_transport_write_is_late(&self->base, LATE_WRITE);
    }
    return 1;
}

static int
socket_write(PyObject *op, PyObject *data)
{
    al_stream *self = (al_stream *)op;

    if (al_stream_check_data(data) < 0) {
        return -1;
    }
    if (self->base.lost || self->base.eof_written ||
        self->base.empty_waiter != NULL) {
        Py_ssize_t size = self->base.lost ? PyObject_Size(data) : 1;
        int may = size <= 0 ? (int)size : may_write(self, "write");
        return may < 0 ? -1 : 0;
    }
    return al_stream_write(self, data);
}

static PyObject *
socket_py_write(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    PyObject *data = al_args_one("write", ((al_transport *)op)->st->str_data,
                                 args, nargs, kwnames);
    if (data == NULL || socket_write(op, data) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
socket_py_writelines(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    PyObject *list =
        al_args_one("writelines", ((al_transport *)op)->st->str_list_of_data,
                    args, nargs, kwnames);
    if (list == NULL) {
        return NULL;
    }
    al_stream *self = (al_stream *)op;

    int may = may_write(self, "writelines");
    if (may < 0) {
        return NULL;
    }
    PyObject *pieces = PySequence_Tuple(list);
    if (pieces == NULL) {
        return NULL;
    }
    /* All are looked at before the first is queued. */
    Py_ssize_t count = PyTuple_GET_SIZE(pieces);
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < count; i++) {
        PyObject *piece = PyTuple_GET_ITEM(pieces, i);
        if (!PyObject_CheckBuffer(piece)) {
            PyErr_Format(PyExc_TypeError,
                         "sequence item %zd: expected a bytes-like object, %s "
                         "found",
                         i, Py_TYPE(piece)->tp_name);
            rc = -1;
        }
    }
    for (Py_ssize_t i = 0; rc == 0 && i < count; i++) {
        if (!self->base.lost) {
            rc = al_stream_write(self, PyTuple_GET_ITEM(pieces, i));
        }
    }
    Py_DECREF(pieces);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
socket_py_write_eof(PyObject *op, PyObject *unused)
{
    al_stream *self = (al_stream *)op;

    (void)unused;
    if (self->base.closing || self->base.eof_written) {
        Py_RETURN_NONE;
    }
    al_stream_send_now(&self->base);
    if (self->base.lost) {
        Py_RETURN_NONE;
    }
    self->base.eof_written = true;
    if (self->queue.count == 0 && shutdown(self->base.fd, SHUT_WR) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

/* --- sendfile ------------------------------------------------------------------ */

static PyObject *
socket_py_make_empty_waiter(PyObject *op, PyObject *unused)
{
    al_stream *self = (al_stream *)op;

    (void)unused;
    if (self->base.empty_waiter != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Empty waiter is already set");
        return NULL;
    }
    if (self->base.loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Transport is closing");
        return NULL;
    }
    al_stream_send_now(&self->base);
    self->base.empty_waiter = PyObject_CallMethodNoArgs(
        (PyObject *)self->base.loop, self->base.st->str_create_future);
    if (self->base.empty_waiter == NULL) {
        return NULL;
    }
    self->base.user.owns_fd = false; /* sendfile waits on it as well */
    if (self->base.lost) {
        socket_on_lost(&self->base);
    }
    else if (self->queue.count == 0) {
        wake_empty_waiter(self, NULL);
    }
    return Py_NewRef(self->base.empty_waiter);
}

static PyObject *
socket_py_reset_empty_waiter(PyObject *op, PyObject *unused)
{
    al_stream *self = (al_stream *)op;

    (void)unused;
    self->base.user.owns_fd = true;
    Py_CLEAR(self->base.empty_waiter);
    Py_RETURN_NONE;
}

/* --- the type -------------------------------------------------------------------- */

static PyObject *
get_start_tls_compatible(PyObject *op, void *closure)
{
    (void)op;
    (void)closure;
    Py_RETURN_TRUE;
}

static PyObject *
get_sendfile_compatible(PyObject *op, void *closure)
{
    (void)closure;
    return Py_NewRef(((al_transport *)op)->st->aio_try_native);
}

static PyObject *
get_buffer_list(PyObject *op, void *closure)
{
    (void)closure;
    return al_outqueue_as_list(&((al_stream *)op)->queue);
}

static PyObject *
get_empty_waiter(PyObject *op, void *closure)
{
    (void)closure;
    PyObject *waiter = ((al_transport *)op)->empty_waiter;
    return Py_NewRef(waiter == NULL ? Py_None : waiter);
}

static PyMethodDef socket_methods[] = {
    AL_TRANSPORT_METHODS,
    AL_READ_TRANSPORT_METHODS,
    AL_WRITE_TRANSPORT_METHODS,
    {"write", _PyCFunction_CAST(socket_py_write),
     METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\nSend bytes, without blocking."},
    {"writelines", _PyCFunction_CAST(socket_py_writelines),
     METH_FASTCALL | METH_KEYWORDS,
     "writelines($self, list_of_data)\n--\n\nSend several pieces."},
    {"write_eof", socket_py_write_eof, METH_NOARGS,
     "write_eof($self, /)\n--\n\nEnd the sending side after what is "
     "written."},
    {"can_write_eof", al_stream_py_can_write_eof, METH_NOARGS,
     "can_write_eof($self, /)\n--\n\nTrue."},
    {"_make_empty_waiter", socket_py_make_empty_waiter, METH_NOARGS, NULL},
    {"_reset_empty_waiter", socket_py_reset_empty_waiter, METH_NOARGS, NULL},
    {NULL},
};

/* The members of al_transport_getset and those of a socket. */
static PyGetSetDef socket_getset[] = {
    AL_TRANSPORT_GETSET,
    {"_start_tls_compatible", get_start_tls_compatible, NULL, NULL, NULL},
    {"_sendfile_compatible", get_sendfile_compatible, NULL, NULL, NULL},
    {"_buffer", get_buffer_list, NULL, NULL, NULL},
    {"_empty_waiter", get_empty_waiter, NULL, NULL, NULL},
    {NULL},
};

static PyType_Slot socket_slots[] = {
    {Py_tp_traverse, al_transport_tp_traverse},
    {Py_tp_clear, al_transport_tp_clear},
    {Py_tp_finalize, al_transport_tp_finalize},
    {Py_tp_dealloc, al_transport_tp_dealloc},
    {Py_tp_repr, al_transport_tp_repr},
    {Py_tp_members, al_transport_members},
    {Py_tp_methods, socket_methods},
    {Py_tp_getset, socket_getset},
    {Py_tp_doc, "A stream socket's transport."},
    {0, NULL},
};

static PyType_Spec socket_spec = {
    .name = "asyncloop._core.SocketTransport",
    .basicsize = sizeof(al_stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = socket_slots,
};

static const al_transport_kind socket_kind = {
    .write_error = "Fatal write error on socket transport",
    .pending = al_stream_pending,
    .discard = al_stream_discard,
    .send_now = al_stream_send_now,
    .on_lost = socket_on_lost,
    .read_ready = socket_read_ready,
    .drained = socket_drained,
    .write_ready = al_stream_write_ready,
};

/* --- making one ------------------------------------------------------------------- */

al_transport *
al_socket_transport_new(LoopObject *loop, PyObject *protocol, PyObject *extra,
                        PyObject *server)
{
    al_stream *self =
        al_stream_new(loop->st->socket_transport_type, &socket_kind);

    if (self != NULL &&
        al_transport_init(&self->base, loop, protocol, extra, server) < 0) {
        Py_CLEAR(self);
    }
    return (al_transport *)self;
}

void
al_socket_set_nodelay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Remember the peer, while it is known, and what kind of socket this is. */
static void
learn_peer(al_transport *self, int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    if (getpeername(fd, (struct sockaddr *)&address, &len) == 0) {
        al_address_set(&self->peer, (struct sockaddr *)&address, len);
    }
    if (self->peer.family != AF_UNSPEC) {
        al_socket_set_nodelay(fd);
    }
}

/* asyncio's private factory, which its own create_connection calls; `sock`
 * becomes the transport's. */
PyObject *
al_socket_py_make_transport(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"sock",   "protocol", "waiter", "extra",
                            "server", "context",  NULL};
    LoopObject *loop = (LoopObject *)op;
    PyObject *sock, *protocol;
    PyObject *waiter = NULL, *extra = NULL, *server = NULL, *context = NULL;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OO|O$OOO:_make_socket_transport", names, &sock,
            &protocol, &waiter, &extra, &server, &context) ||
        al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    int fd = al_args_fileno(sock, loop->st->str_fileno);
    if (fd < 0 && PyErr_ExceptionMatches(PyExc_TypeError)) {
        /* Not a descriptor's: the stand-in of a test, which asyncio's own
         * transport takes. */
        PyErr_Clear();
        return al_args_pass_on(loop->st->cold_methods,
                               "_make_socket_transport", op, args, kwargs);
    }
    if (fd < 0) {
        return NULL;
    }
    al_transport *self =
        al_socket_transport_new(loop, protocol, extra, server);
    if (self == NULL) {
        return NULL;
    }
    if (context != NULL && context != Py_None) {
        Py_XSETREF(self->context, Py_NewRef(context));
    }
    al_watch_forget_stale(loop, fd);
    al_transport_adopt(self, fd, sock);
    learn_peer(self, fd);
    if (al_transport_begin(self, waiter) < 0) {
        al_transport_disown(self);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static const al_outlet_ops socket_outlet = {
    .write = socket_write,
    .is_closing = al_transport_is_closing,
};

int
al_socket_setup(PyObject *module, struct al_state *st)
{
    st->socket_transport_type =
        al_transport_make_type(module, &socket_spec, st->aio_FlowControl,
                               offsetof(al_transport, dict));
    if (st->socket_transport_type == NULL) {
        return -1;
    }
    return al_outlet_register(st, st->socket_transport_type, &socket_outlet);
}
