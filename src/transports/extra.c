/* extra.c - see extra.h.
 *
 * The addresses, and the socket object behind a descriptor, are made when
 * somebody asks: most connections live and die without.
 *
 * Threads: the loop's.
 */

#include "transports/extra.h"

#include "loop/run.h"

/* --- socket and addresses --------------------------------------------------- */

PyObject *
al_transport_file(al_transport *self)
{
    if (self->file != NULL || !self->fd_open) {
        return self->file;
    }
    /* Without family and type the socket module asks the kernel. */
    int protocol = self->socket_family == AF_UNIX ? 0 : IPPROTO_TCP;
    PyObject *socket =
        self->socket_family == AF_UNSPEC
            ? PyObject_CallFunction(self->st->socket_class, "iiii", -1, -1, -1,
                                    self->fd)
            : PyObject_CallFunction(self->st->socket_class, "iiii",
                                    self->socket_family, SOCK_STREAM, protocol,
                                    self->fd);
    /* From here on it owns the descriptor, and closing it is how we close. */
    self->file = socket;
    PyObject *result = socket == NULL
                           ? NULL
                           : PyObject_CallMethod(socket, "settimeout", "i", 0);
    Py_XDECREF(result);
    return result == NULL ? NULL : socket;
}

static PyObject *
extra_dict(al_transport *self)
{
    if (self->extra == NULL) {
        self->extra = PyDict_New();
    }
    return self->extra;
}

/* What the socket module says; asyncio takes an error for None. */
static PyObject *
ask_socket(al_transport *self, PyObject *method)
{
    PyObject *socket = al_transport_file(self);
    if (socket == NULL) {
        return NULL;
    }
    PyObject *address = PyObject_CallMethodNoArgs(socket, method);
    if (address == NULL && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return address;
}

typedef int (*name_call)(int fd, struct sockaddr *address, socklen_t *len);

static PyObject *
ask_kernel(al_transport *self, name_call call, PyObject *method)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    if (call(self->fd, (struct sockaddr *)&address, &len) < 0) {
        Py_RETURN_NONE;
    }
    PyObject *name = al_sockaddr_to_py((struct sockaddr *)&address, len);
    if (name == Py_NotImplemented) {
        Py_DECREF(name);
        return ask_socket(self, method);
    }
    return name;
}

static PyObject *
peer_name(al_transport *self)
{
    if (self->peer.family != AF_UNSPEC) {
        return al_sockaddr_to_py((struct sockaddr *)&self->peer,
                                 sizeof(self->peer));
    }
    return ask_kernel(self, getpeername, self->st->str_getpeername);
}

/* New reference, or NULL, without an exception when it cannot be told. */
static PyObject *
local_name(al_transport *self)
{
    if (self->local.family != AF_UNSPEC) {
        return al_sockaddr_to_py((struct sockaddr *)&self->local,
                                 sizeof(self->local));
    }
    return self->fd_open
               ? ask_kernel(self, getsockname, self->st->str_getsockname)
               : NULL;
}

/* A socket object that is closed, of the right family. */
static PyObject *
closed_socket(al_transport *self)
{
    int family = self->peer.family == AF_UNSPEC ? AF_UNIX : self->peer.family;
    PyObject *socket =
        PyObject_CallFunction(self->st->socket_class, "i", family);
    PyObject *closed =
        socket == NULL
            ? NULL
            : PyObject_CallMethodNoArgs(socket, self->st->str_close);
    if (closed == NULL) {
        Py_CLEAR(socket);
    }
    Py_XDECREF(closed);
    return socket;
}

static PyObject *
socket_face(al_transport *self)
{
    PyObject *socket = self->fd_open ? Py_XNewRef(al_transport_file(self))
                                     : closed_socket(self);
    PyObject *face =
        socket == NULL
            ? NULL
            : PyObject_CallOneArg(self->st->aio_TransportSocket, socket);
    Py_XDECREF(socket);
    return face;
}

/* Make what `name` stands for. A new reference; NULL without an exception
 * when it stands for nothing, or cannot be told any more. */
static PyObject *
make_info(al_transport *self, PyObject *name)
{
    struct al_state *st = self->st;

    if (self->is_pipe || !PyUnicode_Check(name)) {
        return NULL;
    }
    if (PyUnicode_Compare(name, st->str_peername) == 0) {
        return self->fd_open || self->peer.family != AF_UNSPEC
                   ? peer_name(self)
                   : NULL;
    }
    if (PyUnicode_Compare(name, st->str_socket) == 0) {
        return socket_face(self);
    }
    if (PyUnicode_Compare(name, st->str_sockname) == 0) {
        return local_name(self);
    }
    return NULL;
}

/* Look up or make and keep. New reference, or NULL, perhaps without an
 * exception. */
static PyObject *
find_info(al_transport *self, PyObject *name)
{
    PyObject *extra = extra_dict(self);
    if (extra == NULL) {
        return NULL;
    }
    if (PyDict_Check(extra)) {
        PyObject *found = PyDict_GetItemWithError(extra, name);
        if (found != NULL || PyErr_Occurred()) {
            return Py_XNewRef(found);
        }
    }
    PyObject *made = make_info(self, name);
    if (made != NULL && PyObject_SetItem(extra, name, made) < 0) {
        Py_CLEAR(made);
    }
    return made;
}

/* Ask for it now, for later. */
static void
keep_info(al_transport *self, PyObject *name)
{
    PyObject *kept = find_info(self, name);
    if (kept == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(kept);
}

void
al_extra_keep(al_transport *self)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    /* Nobody else has us: nobody will ask. */
    if (self->is_pipe || Py_REFCNT(self) <= 1) {
        return;
    }
    if (self->local.family == AF_UNSPEC &&
        getsockname(self->fd, (struct sockaddr *)&address, &len) == 0) {
        al_address_set(&self->local, (struct sockaddr *)&address, len);
    }
    if (self->local.family == AF_UNSPEC) {
        keep_info(self, self->st->str_sockname);
    }
    if (self->peer.family == AF_UNSPEC) {
        keep_info(self, self->st->str_peername);
    }
}

PyObject *
al_transport_py_get_extra_info(PyObject *op, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames)
{
    al_transport *self = (al_transport *)op;
    PyObject *fallback = Py_None;
    PyObject *name = NULL;

    if (nargs > 2) {
        PyErr_Format(PyExc_TypeError,
                     "get_extra_info() takes from 2 to 3 positional arguments "
                     "but %zd were given",
                     nargs + 1);
        return NULL;
    }
    name = nargs > 0 ? args[0] : NULL;
    fallback = nargs > 1 ? args[1] : Py_None;
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < keywords; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, i);
        if (name == NULL &&
            PyUnicode_CompareWithASCIIString(keyword, "name") == 0) {
            name = args[nargs + i];
        }
        else if (PyUnicode_CompareWithASCIIString(keyword, "default") == 0) {
            fallback = args[nargs + i];
        }
        else {
            PyErr_Format(PyExc_TypeError,
                         "get_extra_info() got an unexpected keyword argument "
                         "'%U'",
                         keyword);
            return NULL;
        }
    }
    if (name == NULL) {
        PyErr_SetString(
            PyExc_TypeError,
            "get_extra_info() missing 1 required positional argument: 'name'");
        return NULL;
    }
    PyObject *found = find_info(self, name);
    if (found == NULL && !PyErr_Occurred()) {
        return Py_NewRef(fallback);
    }
    return found;
}

/* --- repr ------------------------------------------------------------------- */

static const char *
polling_or_idle(al_transport *self, int event)
{
    return !self->lost && al_watch_events(self->loop, self->fd) & event
               ? "polling"
               : "idle";
}

static const char *
type_name(PyObject *op)
{
    const char *name = Py_TYPE(op)->tp_name;
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

/* "<SocketTransport closing fd=7 read=polling write=<idle, bufsize=0>>", and
 * asyncio's shorter form for pipes. */
PyObject *
al_transport_tp_repr(PyObject *op)
{
    al_transport *self = (al_transport *)op;
    const char *state = self->loop == NULL || !self->fd_open ? " closed"
                        : self->closing                      ? " closing"
                                                             : "";

    if (self->loop == NULL || self->loop->closed || !self->fd_open) {
        return PyUnicode_FromFormat("<%s%s fd=%d%s>", type_name(op), state,
                                    self->fd,
                                    !self->is_pipe  ? ""
                                    : self->fd_open ? " open"
                                                    : " closed");
    }
    if (!self->is_pipe) {
        return PyUnicode_FromFormat(
            "<%s%s fd=%d read=%s write=<%s, bufsize=%zu>>", type_name(op),
            state, self->fd, polling_or_idle(self, UV_READABLE),
            polling_or_idle(self, UV_WRITABLE), self->kind->pending(self));
    }
    if (self->kind->send_now == NULL) {
        return PyUnicode_FromFormat("<%s%s fd=%d %s>", type_name(op), state,
                                    self->fd,
                                    polling_or_idle(self, UV_READABLE));
    }
    return PyUnicode_FromFormat(
        "<%s%s fd=%d %s bufsize=%zu>", type_name(op), state, self->fd,
        polling_or_idle(self, UV_WRITABLE), self->kind->pending(self));
}

/* --- attributes ------------------------------------------------------------- */

static PyObject *
object_or_none(PyObject *object)
{
    return Py_NewRef(object == NULL ? Py_None : object);
}

PyObject *
al_transport_get_extra(PyObject *op, void *closure)
{
    (void)closure;
    return Py_XNewRef(extra_dict((al_transport *)op));
}

int
al_transport_set_extra(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    Py_XSETREF(((al_transport *)op)->extra, Py_XNewRef(value));
    return 0;
}

PyObject *
al_transport_get_loop(PyObject *op, void *closure)
{
    (void)closure;
    return object_or_none((PyObject *)((al_transport *)op)->loop);
}

PyObject *
al_transport_get_protocol(PyObject *op, void *closure)
{
    (void)closure;
    return object_or_none(((al_transport *)op)->protocol);
}

int
al_transport_set_protocol_attr(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot be deleted");
        return -1;
    }
    return al_transport_set_protocol((al_transport *)op, value);
}

PyObject *
al_transport_get_server(PyObject *op, void *closure)
{
    (void)closure;
    return object_or_none(((al_transport *)op)->server);
}

PyObject *
al_transport_get_file(PyObject *op, void *closure)
{
    (void)closure;
    al_transport *self = (al_transport *)op;
    if (self->loop == NULL || !self->fd_open) {
        Py_RETURN_NONE;
    }
    return Py_XNewRef(al_transport_file(self));
}

/* Programs set it to None to have the transport forget its descriptor. */
int
al_transport_set_file(PyObject *op, PyObject *value, void *closure)
{
    al_transport *self = (al_transport *)op;

    (void)closure;
    if (value != Py_None) {
        PyErr_SetString(PyExc_AttributeError, "can only be set to None");
        return -1;
    }
    self->fd_open = false;
    if (self->loop != NULL && !self->loop->closed) {
        al_watch_leave(self->loop, self->fd);
    }
    Py_CLEAR(self->file);
    return 0;
}

PyObject *
al_transport_get_fd(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromLong(((al_transport *)op)->fd);
}

PyObject *
al_transport_get_lost(PyObject *op, void *closure)
{
    (void)closure;
    const al_transport *self = (al_transport *)op;
    return PyLong_FromUnsignedLong(self->lost + self->late_writes);
}

PyObject *
al_transport_get_flag(PyObject *op, void *closure)
{
    al_transport *self = (al_transport *)op;
    bool flags[] = {
        [AL_FLAG_CLOSING] = self->closing,
        [AL_FLAG_PAUSED] = self->paused,
        [AL_FLAG_EOF] = self->eof_written,
        [AL_FLAG_PROTOCOL_PAUSED] = self->protocol_paused,
    };
    return PyBool_FromLong(flags[(intptr_t)closure]);
}

PyMemberDef al_transport_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(al_transport, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(al_transport, weakrefs),
     READONLY, NULL},
    {"_low_water", T_PYSSIZET, offsetof(al_transport, low_water), READONLY,
     NULL},
    {"_high_water", T_PYSSIZET, offsetof(al_transport, high_water), READONLY,
     NULL},
    {NULL},
};
