/* candidate.c - see candidate.h.
 *
 * A connection to an address of this machine is made inside of connect(2),
 * although that says EINPROGRESS of a socket that does not block: the kernel
 * delivers the whole handshake before it returns. So connect(2) is called a
 * second time, which tells whether it is there already. That is one cheap
 * system call for a distant address, and saves epoll's four and a turn of the
 * loop for a near one.
 */

#include "servers/candidate.h"

#include "py/sockaddr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* --- from Python -------------------------------------------------------------- */

/* An int, or a member of an enumeration, that fits. False where it does not. */
static bool
small_number(PyObject *object, int *number)
{
    if (!PyLong_Check(object)) {
        return false;
    }
    long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    *number = (int)value;
    return value >= 0 && value <= INT_MAX;
}

/* The parts of an address info. `address` is borrowed. */
typedef struct {
    int family;
    int type;
    int proto;
    PyObject *address;
} info_parts;

static bool
take_apart(PyObject *info, info_parts *parts)
{
    if (!PyTuple_CheckExact(info) || PyTuple_GET_SIZE(info) != 5) {
        return false;
    }
    parts->address = PyTuple_GET_ITEM(info, 4);
    return small_number(PyTuple_GET_ITEM(info, 0), &parts->family) &&
           small_number(PyTuple_GET_ITEM(info, 1), &parts->type) &&
           small_number(PyTuple_GET_ITEM(info, 2), &parts->proto);
}

int
al_candidate_from_info(al_candidate *self, PyObject *info)
{
    info_parts parts;

    if (!take_apart(info, &parts)) {
        return 0;
    }
    int rc = al_sockaddr_from_py(parts.family, parts.address, &self->to,
                                 &self->len);
    if (rc <= 0) {
        return rc;
    }
    self->domain = parts.family;
    self->type = parts.type;
    self->proto = parts.proto;
    self->family = Py_NewRef(PyTuple_GET_ITEM(info, 0));
    self->address = Py_NewRef(parts.address);
    return 1;
}

int
al_candidate_check_locals(PyObject *locals)
{
    int rc = 1;

    for (Py_ssize_t i = 0; rc > 0 && i < PyTuple_GET_SIZE(locals); i++) {
        struct sockaddr_storage address;
        socklen_t len;
        info_parts parts;
        rc = take_apart(PyTuple_GET_ITEM(locals, i), &parts)
                 ? al_sockaddr_from_py(parts.family, parts.address, &address,
                                       &len)
                 : 0;
    }
    return rc;
}

/* --- errors ------------------------------------------------------------------- */

void
al_candidate_note_error(al_candidate *self)
{
    PyObject *error = al_err_take();

    if (self->errors == NULL) {
        self->errors = PyList_New(0);
    }
    if (self->errors == NULL || PyList_Append(self->errors, error) < 0) {
        PyErr_Clear(); /* nowhere to keep it: who looks will find none */
    }
    Py_DECREF(error);
}

/* The address as asyncio has it in its messages: of IPv6 all four parts. */
static PyObject *
address_text(const al_candidate *self)
{
    PyObject *address = self->address;

    if (self->domain != AF_INET6 || !PyTuple_CheckExact(address) ||
        PyTuple_GET_SIZE(address) >= 4) {
        return PyObject_Str(address);
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&self->to;
    PyObject *whole = Py_BuildValue("OOkk", PyTuple_GET_ITEM(address, 0),
                                    PyTuple_GET_ITEM(address, 1),
                                    (unsigned long)ntohl(in6->sin6_flowinfo),
                                    (unsigned long)in6->sin6_scope_id);
    PyObject *text = whole == NULL ? NULL : PyObject_Str(whole);
    Py_XDECREF(whole);
    return text;
}

/* Set OSError(err, message), of the subclass that `err` stands for. Steals the
 * message; NULL: an exception is set already. */
static void
raise_steal(int err, PyObject *message)
{
    PyObject *error =
        message == NULL
            ? NULL
            : PyObject_CallFunction(PyExc_OSError, "iN", err, message);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
}

/* What the kernel said later than at once. */
static void
connect_failed(al_candidate *self, int err)
{
    PyObject *address = address_text(self);

    raise_steal(err, address == NULL ? NULL
                                     : PyUnicode_FromFormat(
                                           "Connect call failed %U", address));
    Py_XDECREF(address);
    al_candidate_note_error(self);
}

/* --- binding ------------------------------------------------------------------ */

static void
bind_failed(al_candidate *self, PyObject *address)
{
    int err = errno;

    PyErr_SetFromErrno(PyExc_OSError);
    PyObject *error = al_err_take();
#if AL_BIND_ERROR_HAS_NUMBER
    PyObject *text = PyObject_Str(error);
#else
    PyObject *text = PyObject_GetAttrString(error, "strerror");
#endif
    PyObject *lower =
        text == NULL ? NULL : PyObject_CallMethod(text, "lower", NULL);
    raise_steal(err, lower == NULL
                         ? NULL
                         : PyUnicode_FromFormat(
                               "error while attempting to bind on address "
                               "%R: %S",
                               address, lower));
    Py_XDECREF(lower);
    Py_XDECREF(text);
    Py_DECREF(error);
    al_candidate_note_error(self);
}

/* Bind to the first of the local addresses that lets us. Did one? */
static bool
bind_to_one(al_candidate *self, PyObject *locals)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(locals); i++) {
        struct sockaddr_storage address;
        socklen_t len;
        info_parts parts;
        if (!take_apart(PyTuple_GET_ITEM(locals, i), &parts) ||
            parts.family != self->domain) {
            continue;
        }
        int rc =
            al_sockaddr_from_py(parts.family, parts.address, &address, &len);
        if (rc < 0) {
            al_candidate_note_error(self);
        }
        else if (rc > 0 &&
                 bind(self->fd, (struct sockaddr *)&address, len) == 0) {
            return true;
        }
        else {
            bind_failed(self, parts.address);
        }
    }
    if (self->errors == NULL) {
        PyErr_Format(PyExc_OSError,
                     "no matching local address with family=%R found",
                     self->family);
        al_candidate_note_error(self);
    }
    return false;
}

/* --- trying ------------------------------------------------------------------- */

/* A socket that neither blocks nor is inherited, or -1 with errno. */
static int
open_socket(int domain, int type, int proto)
{
#ifdef SOCK_NONBLOCK
    return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
#else
    int fd = socket(domain, type, proto);
    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
                    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
        int err = errno;
        (void)close(fd);
        errno = err;
        fd = -1;
    }
    return fd;
#endif
}

static al_try
start_connecting(al_candidate *self, LoopObject *loop)
{
    const struct sockaddr *to = (const struct sockaddr *)&self->to;

    if (connect(self->fd, to, self->len) == 0) {
        return AL_TRY_CONNECTED;
    }
    if (errno != EINPROGRESS && errno != EINTR) {
        PyErr_SetFromErrno(PyExc_OSError);
        al_candidate_note_error(self);
        return AL_TRY_FAILED;
    }
    if (connect(self->fd, to, self->len) == 0 || errno == EISCONN) {
        return AL_TRY_CONNECTED;
    }
    if (errno != EALREADY && errno != EINPROGRESS && errno != EINTR) {
        connect_failed(self, errno);
        return AL_TRY_FAILED;
    }
    if (al_watch_set_user(loop, self->fd, AL_WATCH_WRITE, &self->user) < 0) {
        al_candidate_note_error(self);
        return AL_TRY_FAILED;
    }
    return AL_TRY_WAITS;
}

al_try
al_candidate_try(al_candidate *self, LoopObject *loop, PyObject *locals)
{
    int fd = open_socket(self->domain, self->type, self->proto);

    if (fd < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        al_candidate_note_error(self);
        return AL_TRY_FAILED;
    }
    self->fd = fd;
    al_watch_forget_stale(loop, fd); /* may run foreign code */
    if (self->fd != fd) {
        return AL_TRY_FAILED; /* given up meanwhile */
    }
    al_try outcome = locals != NULL && !bind_to_one(self, locals)
                         ? AL_TRY_FAILED
                         : start_connecting(self, loop);
    if (outcome == AL_TRY_FAILED) {
        al_candidate_close(self, loop);
    }
    return outcome;
}

al_try
al_candidate_finish(al_candidate *self, LoopObject *loop)
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
        err = errno;
    }
    if (err == 0) {
        return AL_TRY_CONNECTED;
    }
    connect_failed(self, err);
    al_candidate_close(self, loop);
    return AL_TRY_FAILED;
}

void
al_candidate_close(al_candidate *self, LoopObject *loop)
{
    int fd = self->fd;

    if (fd >= 0) {
        self->fd = -1;
        al_watch_leave(loop, fd);
        (void)close(fd);
    }
}
