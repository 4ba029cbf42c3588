/* calls.c - the system calls of the operations, but for sendfile.
 *
 * Every one is asked not to block (MSG_DONTWAIT), whatever the socket's own
 * setting is: the GIL is held. accept and connect know no such flag, so
 * blocking sockets are left to asyncio's code there.
 *
 * Ownership: see op.h.
 * Threads: the loop's.
 */

#include "sockets/calls.h"

#include "py/sockaddr.h"
#include "sockets/sock_op.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME(text) offsetof(struct al_state, str_##text)

/* --- addresses -------------------------------------------------------------- */

static inline struct sockaddr *
address_of(SockOpObject *self)
{
    return (struct sockaddr *)&self->address;
}

/* For a system call to fill in, with `address_len`. */
static struct sockaddr *
address_room(SockOpObject *self)
{
    self->address_len = sizeof(self->address);
    return address_of(self);
}

/* Take over an address of the user's. False, without an exception, where the
 * socket module has to look at it. */
static bool
take_address(SockOpObject *self, int family, PyObject *address)
{
    int rc = al_sockaddr_from_py(family, address, &self->address,
                                 &self->address_len);
    if (rc < 0) {
        PyErr_Clear();
    }
    /* An empty path is no path: the kernel takes it for a wish. */
    bool is_empty =
        family == AF_UNIX &&
        self->address_len <= offsetof(struct sockaddr_un, sun_path) + 1;
    return rc > 0 && !is_empty;
}

/* --- receiving -------------------------------------------------------------- */

/* A number of bytes given as an int and nothing cleverer. */
static bool
take_size(SockOpObject *self, PyObject *number)
{
    if (!PyLong_CheckExact(number)) {
        return false;
    }
    self->size = PyLong_AsSsize_t(number);
    if (self->size < 0) {
        PyErr_Clear();
        return false;
    }
    return true;
}

/* Where to receive: the loop's buffer, and a small `bytes` is made of what
 * came; a `bytes` of the full size would cost its pages each time. Or, for
 * more than the buffer, such a `bytes`, which `*whole` owns.
 * NULL with MemoryError set. */
static char *
receive_space(SockOpObject *self, PyObject **whole)
{
    LoopObject *loop = self->op.loop;

    *whole = NULL;
    if ((size_t)self->size > AL_IO_BUFFER_SIZE) {
        *whole = PyBytes_FromStringAndSize(NULL, self->size);
        return *whole == NULL ? NULL : PyBytes_AS_STRING(*whole);
    }
    if (loop->io_buffer == NULL) {
        loop->io_buffer = malloc(AL_IO_BUFFER_SIZE);
        if (loop->io_buffer == NULL) {
            PyErr_NoMemory();
        }
    }
    return loop->io_buffer;
}

/* The `bytes` of what was received there; steals `whole`. */
static PyObject *
received_steal(const char *space, ssize_t got, PyObject *whole)
{
    if (whole == NULL) {
        return PyBytes_FromStringAndSize(space, got);
    }
    (void)_PyBytes_Resize(&whole, got);
    return whole;
}

static al_op_outcome
recv_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    PyObject *whole;
    char *space = receive_space(self, &whole);

    if (space == NULL) {
        return AL_OP_FAILED;
    }
    ssize_t got = recv(self->fd, space, (size_t)self->size, MSG_DONTWAIT);
    if (got < 0) {
        Py_XDECREF(whole);
        return al_op_from_errno();
    }
    return al_op_done_steal(&self->op, received_steal(space, got, whole));
}

static al_op_outcome
recv_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    if (!al_op_take_plain_socket(self) || !take_size(self, self->op.args[1])) {
        return AL_OP_BORROW;
    }
    if (self->size == 0) { /* not even asked, as in socket.recv */
        return al_op_done_steal(&self->op, PyBytes_FromStringAndSize(NULL, 0));
    }
    return recv_again(&self->op);
}

/* The user's buffer is taken for the time of a call only: meanwhile he may
 * resize it. Receives at most `size` bytes, if that is not 0. */
static al_op_outcome
recv_into_buffer(SockOpObject *self, bool with_address, ssize_t *got)
{
    Py_buffer view;

    if (PyObject_GetBuffer(self->op.args[1], &view, PyBUF_WRITABLE) < 0) {
        return AL_OP_FAILED;
    }
    al_op_outcome outcome = AL_OP_DONE;
    size_t len = self->size == 0 ? (size_t)view.len : (size_t)self->size;
    if (self->size > view.len) {
        PyErr_SetString(PyExc_ValueError,
                        "nbytes is greater than the length of the buffer");
        outcome = AL_OP_FAILED;
    }
    else if (with_address) {
        struct sockaddr *address = address_room(self);
        *got = recvfrom(self->fd, view.buf, len, MSG_DONTWAIT, address,
                        &self->address_len);
    }
    else if (len == 0) { /* not even asked, as in socket.recv_into */
        *got = 0;
    }
    else {
        *got = recv(self->fd, view.buf, len, MSG_DONTWAIT);
    }
    if (outcome == AL_OP_DONE && *got < 0) {
        outcome = al_op_from_errno();
    }
    PyBuffer_Release(&view);
    return outcome;
}

static al_op_outcome
recv_into_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    ssize_t got = 0;
    al_op_outcome outcome = recv_into_buffer(self, false, &got);

    return outcome == AL_OP_DONE
               ? al_op_done_steal(&self->op, PyLong_FromSsize_t(got))
               : outcome;
}

static al_op_outcome
recv_into_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    if (!al_op_take_plain_socket(self)) {
        return AL_OP_BORROW;
    }
    al_op_outcome outcome = recv_into_again(&self->op);
    if (outcome == AL_OP_FAILED && !PyErr_ExceptionMatches(PyExc_OSError)) {
        /* The buffer is refused: asyncio's words for it. */
        PyErr_Clear();
        return AL_OP_BORROW;
    }
    return outcome;
}

/* (what was received, the sender's address); steals `what`. */
static al_op_outcome
done_with_address_steal(SockOpObject *self, PyObject *what)
{
    PyObject *address =
        what == NULL ? NULL
                     : al_sockaddr_to_py(address_of(self), self->address_len);
    PyObject *pair = address == NULL ? NULL : PyTuple_Pack(2, what, address);

    Py_XDECREF(address);
    Py_XDECREF(what);
    return al_op_done_steal(&self->op, pair);
}

/* Can we tell addresses of this socket? */
static bool
has_known_family(SockOpObject *self)
{
    int family = al_op_socket_int(self, self->op.loop->st->socket_family);
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

static al_op_outcome
recvfrom_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    PyObject *whole;
    char *space = receive_space(self, &whole);

    if (space == NULL) {
        return AL_OP_FAILED;
    }
    struct sockaddr *address = address_room(self);
    ssize_t got = recvfrom(self->fd, space, (size_t)self->size, MSG_DONTWAIT,
                           address, &self->address_len);
    if (got < 0) {
        Py_XDECREF(whole);
        return al_op_from_errno();
    }
    return done_with_address_steal(self, received_steal(space, got, whole));
}

static al_op_outcome
recvfrom_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    if (!al_op_take_plain_socket(self) || !has_known_family(self) ||
        !take_size(self, self->op.args[1])) {
        return AL_OP_BORROW;
    }
    return recvfrom_again(&self->op);
}

static al_op_outcome
recvfrom_into_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    ssize_t got = 0;
    al_op_outcome outcome = recv_into_buffer(self, true, &got);

    return outcome == AL_OP_DONE
               ? done_with_address_steal(self, PyLong_FromSsize_t(got))
               : outcome;
}

static al_op_outcome
recvfrom_into_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    PyObject *size = self->op.args[2];

    if (!al_op_take_plain_socket(self) || !has_known_family(self) ||
        (size != NULL && !take_size(self, size))) {
        return AL_OP_BORROW;
    }
    if (self->size == 0) {
        /* asyncio counts by len(), which need not be bytes. */
        self->size = PyObject_Size(self->op.args[1]);
        if (self->size < 0) {
            return AL_OP_FAILED;
        }
    }
    al_op_outcome outcome = recvfrom_into_again(&self->op);
    if (outcome == AL_OP_FAILED && !PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear();
        return AL_OP_BORROW;
    }
    return outcome;
}

/* --- sending ---------------------------------------------------------------- */

/* Hold the data for the time of the operation. First of all, since a buffer
 * of the user's own making may do anything, like closing the socket. */
static bool
take_data(SockOpObject *self)
{
    if (PyObject_GetBuffer(self->op.args[1], &self->view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        self->view.obj = NULL;
        return false;
    }
    return true;
}

static al_op_outcome
sendall_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    ssize_t sent = send(self->fd, (const char *)self->view.buf + self->moved,
                        (size_t)(self->view.len - self->moved), MSG_DONTWAIT);
    if (sent < 0) {
        return al_op_from_errno();
    }
    self->moved += sent;
    return self->moved == self->view.len
               ? al_op_done_steal(&self->op, Py_NewRef(Py_None))
               : AL_OP_AGAIN;
}

static al_op_outcome
sendall_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    if (!take_data(self) || !al_op_take_plain_socket(self)) {
        return AL_OP_BORROW;
    }
    return sendall_again(&self->op);
}

static al_op_outcome
sendto_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    ssize_t sent = sendto(self->fd, self->view.buf, (size_t)self->view.len,
                          MSG_DONTWAIT, address_of(self), self->address_len);
    return sent < 0 ? al_op_from_errno()
                    : al_op_done_steal(&self->op, PyLong_FromSsize_t(sent));
}

static al_op_outcome
sendto_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    if (!take_data(self) || !al_op_take_plain_socket(self)) {
        return AL_OP_BORROW;
    }
    int family = al_op_socket_int(self, self->op.loop->st->socket_family);
    if (!take_address(self, family, self->op.args[2])) {
        return AL_OP_BORROW;
    }
    if (PySys_Audit("socket.sendto", "OO", self->op.args[0],
                    self->op.args[2]) < 0) {
        return AL_OP_FAILED;
    }
    return sendto_again(&self->op);
}

/* --- connecting ------------------------------------------------------------- */

static al_op_outcome
connect_now(SockOpObject *self)
{
    if (PySys_Audit("socket.connect", "OO", self->op.args[0],
                    self->op.args[1]) < 0) {
        return AL_OP_FAILED;
    }
    if (connect(self->fd, address_of(self), self->address_len) == 0) {
        return al_op_done_steal(&self->op, Py_NewRef(Py_None));
    }
    return errno == EINPROGRESS ? AL_OP_AGAIN : al_op_from_errno();
}

/* OSError with asyncio's text. */
static void
raise_refused(SockOpObject *self, int error)
{
    PyObject *address = self->op.args[1];
    const struct sockaddr_in6 *in6 =
        (const struct sockaddr_in6 *)&self->address;

    if (in6->sin6_family == AF_INET6) { /* which asyncio always has whole */
        address = Py_BuildValue("OOII", PyTuple_GET_ITEM(address, 0),
                                PyTuple_GET_ITEM(address, 1),
                                ntohl(in6->sin6_flowinfo), in6->sin6_scope_id);
    }
    else {
        Py_INCREF(address);
    }
    PyObject *text =
        address == NULL
            ? NULL
            : PyUnicode_FromFormat("Connect call failed %S", address);
    PyObject *details = text == NULL ? NULL : Py_BuildValue("iO", error, text);
    if (details != NULL) {
        PyErr_SetObject(PyExc_OSError, details);
    }
    Py_XDECREF(details);
    Py_XDECREF(text);
    Py_XDECREF(address);
}

/* The socket can be written: the connection stands, or has failed. */
static al_op_outcome
connect_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
        return al_op_from_errno();
    }
    if (error == 0) {
        return al_op_done_steal(&self->op, Py_NewRef(Py_None));
    }
    raise_refused(self, error);
    return AL_OP_FAILED;
}

/* The loop resolved the name; asyncio connects to the first address. */
static al_op_outcome
connect_resolved(OpObject *op, PyObject *infos)
{
    SockOpObject *self = (SockOpObject *)op;
    struct al_state *st = self->op.loop->st;
    PyObject *info = PySequence_GetItem(infos, 0);
    PyObject *address = info == NULL ? NULL : PySequence_GetItem(info, 4);
    int family = al_op_socket_int(self, st->socket_family);

    Py_XDECREF(info);
    if (address == NULL) {
        return AL_OP_FAILED;
    }
    Py_SETREF(self->op.args[1], address); /* ours */
    if (!al_op_take_plain_socket(self) ||
        !take_address(self, family, address)) {
        return AL_OP_BORROW;
    }
    return connect_now(self);
}

/* self._ensure_resolved(address, family=..., type=..., proto=..., loop=self) */
static al_op_outcome
connect_resolve(SockOpObject *self, int family, int type, int proto)
{
    PyObject *loop = (PyObject *)self->op.loop;
    PyObject *method = PyObject_GetAttrString(loop, "_ensure_resolved");
    PyObject *args = PyTuple_Pack(1, self->op.args[1]);
    PyObject *kwargs =
        Py_BuildValue("{s:i,s:i,s:i,s:O}", "family", family, "type", type,
                      "proto", proto, "loop", loop);

    if (method != NULL && args != NULL && kwargs != NULL) {
        self->op.inner = PyObject_Call(method, args, kwargs);
    }
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(method);
    return self->op.inner == NULL ? AL_OP_FAILED : AL_OP_INNER;
}

static al_op_outcome
connect_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    struct al_state *st = self->op.loop->st;

    if (!al_op_take_plain_socket(self) || !al_op_is_non_blocking(self)) {
        return AL_OP_BORROW;
    }
    int family = al_op_socket_int(self, st->socket_family);
    if (family == AF_UNIX) {
        return take_address(self, family, self->op.args[1]) ? connect_now(self)
                                                            : AL_OP_BORROW;
    }
    if (family != AF_INET && family != AF_INET6) {
        return AL_OP_BORROW;
    }
    if (take_address(self, family, self->op.args[1])) {
        return connect_now(self);
    }
    return connect_resolve(self, family,
                           al_op_socket_int(self, st->socket_type),
                           al_op_socket_int(self, st->socket_proto));
}

/* --- accepting -------------------------------------------------------------- */

/* Only takes the connection: what makes a socket of it is Python code, which
 * is no guest in a poll. */
static al_op_outcome
accept_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    struct sockaddr *address = address_room(self);
#if defined(__linux__)
    int fd = accept4(self->fd, address, &self->address_len,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    int fd = accept(self->fd, address, &self->address_len);
#endif
    if (fd < 0) {
        return al_op_from_errno();
    }
    self->other_fd = fd;
    self->owns_other_fd = true;
#if !defined(__linux__)
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    al_watch_forget_stale(self->op.loop, fd);
    return AL_OP_DONE;
}

static al_op_outcome
accept_deliver(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    struct al_state *st = self->op.loop->st;
    int type = al_op_socket_int(self, st->socket_type);
#if defined(__linux__)
    type |= SOCK_NONBLOCK; /* so that the object knows */
#endif
    PyObject *conn = PyObject_CallFunction(
        st->socket_class, "iiii", al_op_socket_int(self, st->socket_family),
        type, al_op_socket_int(self, st->socket_proto), self->other_fd);
    if (conn == NULL) {
        return AL_OP_FAILED;
    }
    self->owns_other_fd = false; /* the socket's */
#if !defined(__linux__)
    PyObject *done = PyObject_CallMethod(conn, "setblocking", "O", Py_False);
    Py_XDECREF(done);
    if (done == NULL) {
        Py_DECREF(conn);
        return AL_OP_FAILED;
    }
#endif
    return done_with_address_steal(self, conn);
}

static al_op_outcome
accept_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    if (!al_op_take_plain_socket(self) || !has_known_family(self) ||
        !al_op_is_non_blocking(self)) {
        return AL_OP_BORROW;
    }
    al_op_outcome outcome = accept_again(&self->op);
    return outcome == AL_OP_DONE ? accept_deliver(&self->op) : outcome;
}

/* --- the methods ------------------------------------------------------------ */

static const al_op_kind recv_kind = {
    .family = &al_sock_op_family,
    .name = "sock_recv",
    .side = AL_WATCH_READ,
    .required = 2,
    .positional = 2,
    .most = 2,
    .names = {NAME(sock), NAME(n)},
    .begin = recv_begin,
    .again = recv_again,
};

static const al_op_kind recv_into_kind = {
    .family = &al_sock_op_family,
    .name = "sock_recv_into",
    .side = AL_WATCH_READ,
    .required = 2,
    .positional = 2,
    .most = 2,
    .names = {NAME(sock), NAME(buf)},
    .begin = recv_into_begin,
    .again = recv_into_again,
};

static const al_op_kind recvfrom_kind = {
    .family = &al_sock_op_family,
    .name = "sock_recvfrom",
    .side = AL_WATCH_READ,
    .required = 2,
    .positional = 2,
    .most = 2,
    .names = {NAME(sock), NAME(bufsize)},
    .begin = recvfrom_begin,
    .again = recvfrom_again,
};

static const al_op_kind recvfrom_into_kind = {
    .family = &al_sock_op_family,
    .name = "sock_recvfrom_into",
    .side = AL_WATCH_READ,
    .required = 2,
    .positional = 3,
    .most = 3,
    .names = {NAME(sock), NAME(buf), NAME(nbytes)},
    .begin = recvfrom_into_begin,
    .again = recvfrom_into_again,
};

static const al_op_kind sendall_kind = {
    .family = &al_sock_op_family,
    .name = "sock_sendall",
    .side = AL_WATCH_WRITE,
    .required = 2,
    .positional = 2,
    .most = 2,
    .names = {NAME(sock), NAME(data)},
    .begin = sendall_begin,
    .again = sendall_again,
};

static const al_op_kind sendto_kind = {
    .family = &al_sock_op_family,
    .name = "sock_sendto",
    .side = AL_WATCH_WRITE,
    .required = 3,
    .positional = 3,
    .most = 3,
    .names = {NAME(sock), NAME(data), NAME(address)},
    .begin = sendto_begin,
    .again = sendto_again,
};

static const al_op_kind connect_kind = {
    .family = &al_sock_op_family,
    .name = "sock_connect",
    .side = AL_WATCH_WRITE,
    .required = 2,
    .positional = 2,
    .most = 2,
    .names = {NAME(sock), NAME(address)},
    .begin = connect_begin,
    .again = connect_again,
    .resolved = connect_resolved,
};

static const al_op_kind accept_kind = {
    .family = &al_sock_op_family,
    .name = "sock_accept",
    .side = AL_WATCH_READ,
    .required = 1,
    .positional = 1,
    .most = 1,
    .names = {NAME(sock)},
    .begin = accept_begin,
    .again = accept_again,
    .deliver = accept_deliver,
};

#define DEFINE_METHOD(name)                                                   \
    AL_CALL_METHOD(name)                                                      \
    {                                                                         \
        return al_op_new(&name##_kind, (LoopObject *)op, args, nargs,         \
                         kwnames);                                            \
    }

DEFINE_METHOD(recv)
DEFINE_METHOD(recv_into)
DEFINE_METHOD(recvfrom)
DEFINE_METHOD(recvfrom_into)
DEFINE_METHOD(sendall)
DEFINE_METHOD(sendto)
DEFINE_METHOD(connect)
DEFINE_METHOD(accept)
