/* listener.c - see listener.h. */

#include "servers/listener.h"

#include "loop/run.h"
#include "loop/sched.h"
#include "py/args.h"
#include "py/error.h"
#include "py/sockaddr.h"
#include "tls/transport.h"
#include "transports/socket.h"
#include "watch/watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The largest batch: more wait for the next poll, after others. */
#define MOST 64

/* A batch that is filled so often in a row is too small. */
#define FILLED_OFTEN 4

typedef struct {
    PyObject_HEAD
    struct al_state *st; /* borrowed */
    LoopObject *loop;    /* strong */
    PyObject *sock;      /* strong: the listening socket's object */
    PyObject *factory;   /* strong: makes protocols */
    PyObject *server;    /* strong, or NULL */
    PyObject *context;   /* strong: the caller's; NULL: the empty one */
    /* For TLS: strong, NULL without. */
    PyObject *ssl_context;
    PyObject *ssl_arguments; /* (handshake timeout, shutdown timeout) */
    al_watch_user user;
    al_address local; /* every connection's own name, if one is bound to */
    uint64_t last_turn;
    int fd;
    int backlog;
    int filled; /* times in a row that the batch was full */
    int batch;  /* connections to take before others have their turn */
    bool is_inet;
    bool listening; /* the watch has us, or the retry timer will */
    bool starved;   /* out of descriptors or memory, and that was told */
} ListenerObject;

/* --- one connection ------------------------------------------------------------- */

/* The exception that is set came up while a connection was made. */
static void
connection_failed(ListenerObject *self, PyObject *protocol)
{
    LoopObject *loop = self->loop;
    struct al_state *st = loop->st;

    if (al_err_leaves_loop()) {
        al_run_leave_with_error(loop);
        return;
    }
    if (!loop->debug) {
        PyErr_Clear(); /* asyncio tells of it in debug mode only */
        return;
    }
    PyObject *error = al_err_take();
    PyObject *report =
        Py_BuildValue("{sssO}", "message",
                      "Error on transport creation for incoming connection",
                      "exception", error);
    PyObject *result = NULL;
    if (report != NULL &&
        (protocol == NULL ||
         PyDict_SetItem(report, st->str_protocol, protocol) == 0)) {
        result = PyObject_CallMethodOneArg(
            (PyObject *)loop, st->str_call_exception_handler, report);
    }
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
    Py_XDECREF(report);
    Py_DECREF(error);
}

/* Call the factory in a context of the connection's own, which is entered
 * then. NULL with an exception set. */
static PyObject *
make_protocol(ListenerObject *self)
{
    PyObject *context = NULL;

    if (self->context != NULL) {
        context = PyContext_Copy(self->context);
        if (context == NULL) {
            return NULL;
        }
    }
    int rc = al_run_enter_context(self->loop, context);
    Py_XDECREF(context); /* entered, the loop's thread has it */
    return rc < 0 ? NULL : PyObject_CallNoArgs(self->factory);
}

/* What the connection's transport talks to: the protocol, or TLS before it.
 * New reference, or NULL with an exception set. */
static PyObject *
make_talker(ListenerObject *self, PyObject *protocol)
{
    if (self->ssl_context == NULL) {
        return Py_NewRef(protocol);
    }
    al_tls_options options = {
        .sslcontext = self->ssl_context,
        .handshake_timeout = PyTuple_GET_ITEM(self->ssl_arguments, 0),
        .shutdown_timeout = PyTuple_GET_ITEM(self->ssl_arguments, 1),
        .server_side = true,
        .call_connection_made = true,
        .accepted = true,
    };
    return (PyObject *)al_tls_new(self->loop, protocol, &options);
}

/* Debug mode: asyncio's line. */
static void
tell_of_connection(ListenerObject *self, al_transport *transport)
{
    if (!self->loop->debug) {
        return;
    }
    PyObject *result = PyObject_CallMethod(
        self->loop->st->aio_logger, "debug", "sOO",
        "%r got a new connection: %r",
        self->server == NULL ? Py_None : self->server, transport);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
}

/* Make a connection's protocol and transport. `fd` is taken over. */
static void
serve(ListenerObject *self, int fd, const struct sockaddr *address,
      socklen_t len)
{
    PyObject *protocol = make_protocol(self);
    PyObject *talker = NULL;
    al_transport *transport = NULL;
    al_address peer;

    if (protocol == NULL) {
        goto failed;
    }
    if (al_loop_check_closed(self->loop) < 0) {
        goto failed;
    }
    talker = make_talker(self, protocol);
    if (talker == NULL) {
        goto failed;
    }
    transport =
        al_socket_transport_new(self->loop, talker, NULL, self->server);
    if (transport == NULL) {
        goto failed;
    }
    al_address_set(&peer, address, len);
    transport->peer = peer;
    transport->local = self->local;
    transport->socket_family = (uint8_t)(len == 0 ? 0 : address->sa_family);
    al_transport_adopt(transport, fd, NULL);
    if (al_transport_begin(transport, NULL) < 0) {
        al_transport_disown(transport);
        goto failed;
    }
    tell_of_connection(self, transport);
    Py_DECREF(transport);
    Py_DECREF(talker);
    Py_DECREF(protocol);
    return;

failed:
    close(fd);
    connection_failed(self, protocol);
    Py_XDECREF(transport);
    Py_XDECREF(talker);
    Py_XDECREF(protocol);
}

/* --- the batch -------------------------------------------------------------------- */

/* Tell the exception handler about the socket. */
static void
report_socket(ListenerObject *self, const char *message)
{
    struct al_state *st = self->loop->st;
    PyObject *error = al_err_take();
    PyObject *face = PyObject_CallOneArg(st->aio_TransportSocket, self->sock);
    PyObject *report = face == NULL
                           ? NULL
                           : Py_BuildValue("{sssOsO}", "message", message,
                                           "exception", error, "socket", face);
    PyObject *result = report == NULL
                           ? NULL
                           : PyObject_CallMethodOneArg(
                                 (PyObject *)self->loop,
                                 st->str_call_exception_handler, report);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
    Py_XDECREF(report);
    Py_XDECREF(face);
    Py_DECREF(error);
}

/* No descriptor or memory for another connection: those that wait keep the
 * socket readable, so it is left alone for a while. */
static void
back_off(ListenerObject *self)
{
    LoopObject *loop = self->loop;

    PyErr_SetFromErrno(PyExc_OSError);
    if (self->starved) {
        PyErr_Clear(); /* told once, until one is accepted */
    }
    else {
        self->starved = true;
        report_socket(self, "socket.accept() out of system resource");
    }
    if (!self->listening) {
        return; /* the exception handler has closed the server */
    }
    al_watch_clear_user(loop, self->fd, AL_WATCH_READ, &self->user);
    PyObject *timer = PyObject_CallMethod(
        (PyObject *)loop, "call_later", "ON", loop->st->aio_accept_delay,
        PyObject_GetAttrString((PyObject *)self, "_resume"));
    if (timer == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(timer);
}

static bool
is_short_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS ||
           error == ENOMEM;
}

/* Linux passes errors of the network on to accept: they are the connection's,
 * not the listener's. */
static bool
is_lost_connection(int error)
{
    return error == ECONNABORTED || error == EPROTO || error == ENETDOWN ||
           error == ENOPROTOOPT || error == EHOSTDOWN ||
           error == EHOSTUNREACH || error == ENETUNREACH || error == EPERM;
}

static int
accept_one(int listener, struct sockaddr_storage *address, socklen_t *len)
{
    *len = sizeof(*address);
#if defined(__linux__)
    return accept4(listener, (struct sockaddr *)address, len,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int fd = accept(listener, (struct sockaddr *)address, len);
    if (fd >= 0) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    return fd;
#endif
}

/* How many connections to take at once. Looking for one more than there is
 * costs a system call each time, and what is left behind is reported again at
 * once: so the batch grows only when it is filled again and again, turn after
 * turn. */
static void
learn_batch(ListenerObject *self, int accepted)
{
    uint64_t turn = self->loop->counters.iterations;

    if (accepted < self->batch) {
        self->batch = accepted > 0 ? accepted : 1;
        self->filled = 0;
    }
    else if (turn - self->last_turn > 1) {
        self->filled = 0;
    }
    else if (++self->filled >= FILLED_OFTEN) {
        int most = self->backlog < MOST ? self->backlog : MOST;
        self->batch = self->batch * 2 < most ? self->batch * 2 : most;
    }
    self->last_turn = turn;
}

/* accept() failed: is there any use in trying again at once? */
static bool
accept_failed(ListenerObject *self)
{
    if (errno == EINTR || is_lost_connection(errno)) {
        return true;
    }
    if (is_short_of_resources(errno)) {
        back_off(self);
    }
    else if (errno != EAGAIN && errno != EWOULDBLOCK) {
        PyErr_SetFromErrno(PyExc_OSError);
        report_socket(self, "socket.accept() failed");
        al_watch_clear_user(self->loop, self->fd, AL_WATCH_READ, &self->user);
        self->listening = false;
    }
    return false;
}

static void
listener_on_event(al_watch_user *user, al_watch_side side)
{
    ListenerObject *self = (ListenerObject *)user->owner;
    struct sockaddr_storage address;
    socklen_t len;
    int accepted = 0;

    (void)side;
    /* The factory is foreign code: it may close the server. */
    for (int i = 0; i < self->batch && self->listening; i++) {
        int fd = accept_one(self->fd, &address, &len);
        if (fd < 0) {
            if (accept_failed(self)) {
                continue;
            }
            break;
        }
        accepted++;
        self->starved = false;
        al_watch_forget_stale(self->loop, fd);
#if !defined(__linux__)
        if (self->is_inet) {
            al_socket_set_nodelay(fd);
        }
#endif
        serve(self, fd, (struct sockaddr *)&address, len);
    }
    learn_batch(self, accepted);
}

static void
listener_on_drop(al_watch_user *user, al_watch_side side, bool gone)
{
    (void)side;
    (void)gone;
    ((ListenerObject *)user->owner)->listening = false;
}

/* The pause after a shortage is over. */
static PyObject *
listener_py_resume(PyObject *op, PyObject *unused)
{
    ListenerObject *self = (ListenerObject *)op;

    (void)unused;
    /* The server may have been closed meanwhile. */
    int fd = al_args_fileno(self->sock, self->loop->st->str_fileno);
    if (fd < 0) {
        PyErr_Clear();
    }
    if (fd == self->fd && self->listening && !self->loop->closed &&
        al_watch_set_user(self->loop, self->fd, AL_WATCH_READ, &self->user) <
            0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* --- the type ----------------------------------------------------------------------- */

static int
listener_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    ListenerObject *self = (ListenerObject *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->sock);
    Py_VISIT(self->factory);
    Py_VISIT(self->server);
    Py_VISIT(self->context);
    Py_VISIT(self->ssl_context);
    Py_VISIT(self->ssl_arguments);
    return 0;
}

static int
listener_tp_clear(PyObject *op)
{
    ListenerObject *self = (ListenerObject *)op;

    Py_CLEAR(self->sock);
    Py_CLEAR(self->factory);
    Py_CLEAR(self->server);
    Py_CLEAR(self->context);
    Py_CLEAR(self->ssl_context);
    Py_CLEAR(self->ssl_arguments);
    Py_CLEAR(self->loop);
    return 0;
}

static void
listener_tp_dealloc(PyObject *op)
{
    PyTypeObject *tp = Py_TYPE(op);

    PyObject_GC_UnTrack(op);
    (void)listener_tp_clear(op);
    AL_LEDGER_FREED(((ListenerObject *)op)->st, listener);
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyMethodDef listener_methods[] = {
    {"_resume", listener_py_resume, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot listener_slots[] = {
    {Py_tp_traverse, listener_tp_traverse},
    {Py_tp_clear, listener_tp_clear},
    {Py_tp_dealloc, listener_tp_dealloc},
    {Py_tp_methods, listener_methods},
    {Py_tp_doc, "Accepts a listening socket's connections."},
    {0, NULL},
};

static PyType_Spec listener_spec = {
    .name = "asyncloop._core.Listener",
    .basicsize = sizeof(ListenerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = listener_slots,
};

int
al_listener_setup(PyObject *module, struct al_state *st)
{
    st->listener_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &listener_spec, NULL);
    return st->listener_type == NULL ? -1 : 0;
}

/* --- methods of Loop ----------------------------------------------------------------- */

static ListenerObject *
listener_new(LoopObject *loop, PyObject *factory, PyObject *sock,
             PyObject *server)
{
    PyTypeObject *type = loop->st->listener_type;
    ListenerObject *self = (ListenerObject *)type->tp_alloc(type, 0);
    bool failed;

    if (self == NULL) {
        return NULL;
    }
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    self->st = loop->st;
    AL_LEDGER_MADE(self->st, listener);
    self->factory = Py_NewRef(factory);
    self->sock = Py_NewRef(sock);
    self->server = server == Py_None ? NULL : Py_XNewRef(server);
    self->user.owner = (PyObject *)self;
    self->user.on_event = listener_on_event;
    self->user.on_drop = listener_on_drop;
    self->fd = al_args_fileno(sock, loop->st->str_fileno);
    self->context = al_sched_copy_context(&failed);
    if (self->fd < 0 || failed) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

/* What connections inherit or share with the listening socket, so that it
 * need not be asked or set for each: their own name, unless it listens on any
 * address; and on Linux the option that small writes do not wait. */
static void
prepare_socket(ListenerObject *self)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    if (getsockname(self->fd, (struct sockaddr *)&address, &len) < 0) {
        return;
    }
    al_address_set(&self->local, (struct sockaddr *)&address, len);
    bool is_any =
        self->local.family == AF_INET
            ? self->local.in.sin_addr.s_addr == htonl(INADDR_ANY)
            : self->local.family == AF_INET6 &&
                  memcmp(&self->local.in6.sin6_addr, &any, sizeof(any)) == 0;
    if (self->local.family != AF_UNSPEC) {
        self->is_inet = true;
#if defined(__linux__)
        al_socket_set_nodelay(self->fd);
#endif
    }
    if (is_any) {
        self->local.family = AF_UNSPEC;
    }
}

/* asyncio's private method, which its Server calls for each of its sockets
 * once they listen. */
PyObject *
al_listener_py_start_serving(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"protocol_factory",
                            "sock",
                            "sslcontext",
                            "server",
                            "backlog",
                            "ssl_handshake_timeout",
                            "ssl_shutdown_timeout",
                            "context",
                            NULL};
    LoopObject *loop = (LoopObject *)op;
    PyObject *factory, *sock;
    PyObject *ssl = Py_None, *server = Py_None, *handshake = Py_None,
             *shut = Py_None, *context = Py_None;
    int backlog = 100;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|OOiOOO:_start_serving",
                                     names, &factory, &sock, &ssl, &server,
                                     &backlog, &handshake, &shut, &context) ||
        al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    ListenerObject *self = listener_new(loop, factory, sock, server);
    if (self == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear(); /* a stand-in for a socket */
        return al_args_pass_on(loop->st->cold_methods, "_start_serving", op,
                               args, kwargs);
    }
    if (self == NULL) {
        return NULL;
    }
    self->backlog = backlog > 0 ? backlog : 1;
    self->batch = 1;
    prepare_socket(self);
    if (context != Py_None) {
        Py_XSETREF(self->context, Py_NewRef(context));
    }
    if (ssl != Py_None) {
        self->ssl_context = Py_NewRef(ssl);
        self->ssl_arguments = PyTuple_Pack(2, handshake, shut);
    }
    al_loop_part_from_parent(loop);
    self->listening = true;
    int rc =
        ssl != Py_None && self->ssl_arguments == NULL
            ? -1
            : al_watch_set_user(loop, self->fd, AL_WATCH_READ, &self->user);
    Py_DECREF(self); /* the watch has it */
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Stop accepting from a socket that is about to be closed. */
PyObject *
al_listener_py_stop_listening(PyObject *op, PyObject *sock)
{
    LoopObject *loop = (LoopObject *)op;
    int fd = al_args_fileno(sock, loop->st->str_fileno);

    if (fd < 0) {
        PyErr_Clear(); /* closed by its owner already */
    }
    else if (!loop->closed) {
        al_loop_part_from_parent(loop);
        al_watch_leave(loop, fd);
    }
    Py_RETURN_NONE;
}
