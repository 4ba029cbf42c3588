/* connector.c - see connector.h. */

#include "servers/connector.h"

#include "futures/create.h"
#include "futures/waiter.h"
#include "loop/sched.h"
#include "py/sockaddr.h"
#include "servers/candidate.h"
#include "transports/socket.h"

#include <errno.h>
#include <unistd.h>

typedef struct {
    PyObject_VAR_HEAD LoopObject *loop; /* strong */
    PyObject *locals;    /* strong: a tuple of addresses to bind to, or NULL */
    PyObject *delay;     /* strong: seconds between two starts, or NULL */
    PyObject *timer;     /* strong: for the next start, or NULL */
    PyObject *pending;   /* strong: the future awaited while trying, or NULL */
    PyObject *transport; /* strong: what was made, or NULL */
    Py_ssize_t next;     /* the first candidate that was not tried yet */
    Py_ssize_t winner;   /* the one that connected */
    int fd;              /* of the winner, ours; or -1 */
    bool closed;
    al_candidate candidates[];
} ConnectorObject;

/* --- the states ----------------------------------------------------------------- */

static void
cancel_timer(ConnectorObject *self)
{
    PyObject *timer = self->timer;

    if (timer != NULL) {
        self->timer = NULL;
        al_handle_cancel((HandleObject *)timer);
        Py_DECREF(timer);
    }
}

static void
close_candidates(ConnectorObject *self)
{
    for (Py_ssize_t i = 0; i < self->next; i++) {
        al_candidate_close(&self->candidates[i], self->loop);
    }
}

static void
on_connected(ConnectorObject *self, al_candidate *candidate)
{
    self->fd = candidate->fd;
    self->winner = candidate - self->candidates;
    candidate->fd = -1; /* it is the connector's now */
    cancel_timer(self);
    close_candidates(self);
}

/* Start the next candidate when the delay has passed. Without memory for it,
 * that is when this one has failed. */
static void
set_timer(ConnectorObject *self)
{
    PyObject *callback =
        PyObject_GetAttr((PyObject *)self, self->loop->st->str__start_next);
    PyObject *args[] = {self->delay, callback};

    if (callback != NULL) {
        self->timer =
            al_sched_py_call_later((PyObject *)self->loop, args, 2, NULL);
        Py_DECREF(callback);
    }
    if (self->timer == NULL) {
        PyErr_Clear();
    }
}

/* Try candidates until one of them waits or connects, or none is left. */
static void
start_next(ConnectorObject *self)
{
    while (self->next < Py_SIZE(self) && self->fd < 0 && !self->closed) {
        al_candidate *candidate = &self->candidates[self->next++];
        al_try outcome = al_candidate_try(candidate, self->loop, self->locals);
        if (outcome == AL_TRY_CONNECTED) {
            on_connected(self, candidate);
        }
        else if (outcome == AL_TRY_WAITS) {
            if (self->delay != NULL && self->next < Py_SIZE(self)) {
                set_timer(self);
            }
            return;
        }
    }
}

static bool
is_trying(const ConnectorObject *self)
{
    bool tries = self->next < Py_SIZE(self);

    for (Py_ssize_t i = 0; i < self->next; i++) {
        tries = tries || self->candidates[i].fd >= 0;
    }
    return tries && self->fd < 0 && !self->closed;
}

/* Wake the task that waits, once there is nothing left to wait for. */
static void
wake_when_over(ConnectorObject *self)
{
    PyObject *pending = self->pending;

    if (pending == NULL || is_trying(self)) {
        return;
    }
    self->pending = NULL;
    /* It may be cancelled, and its task not yet told. */
    int is_pending = al_waiter_is_pending(self->loop, pending);
    if (is_pending < 0 ||
        (is_pending && al_waiter_wake(self->loop, pending) < 0)) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_DECREF(pending);
}

/* A candidate has failed after it waited. Only the last one that was started
 * holds up the next. */
static void
on_failed(ConnectorObject *self, const al_candidate *candidate)
{
    if (candidate == &self->candidates[self->next - 1]) {
        cancel_timer(self);
        start_next(self);
    }
}

/* --- events --------------------------------------------------------------------- */

static void
candidate_on_event(al_watch_user *user, al_watch_side side)
{
    ConnectorObject *self = (ConnectorObject *)user->owner;
    al_candidate *candidate = (al_candidate *)user;

    (void)side;
    if (candidate->fd < 0) {
        return;
    }
    int fd = candidate->fd;
    if (al_candidate_finish(candidate, self->loop) == AL_TRY_CONNECTED) {
        on_connected(self, candidate);
        al_watch_clear_user(self->loop, fd, AL_WATCH_WRITE, user);
    }
    else {
        on_failed(self, candidate);
    }
    wake_when_over(self);
}

static void
candidate_on_drop(al_watch_user *user, al_watch_side side, bool gone)
{
    ConnectorObject *self = (ConnectorObject *)user->owner;
    al_candidate *candidate = (al_candidate *)user;

    (void)side;
    if (!gone || candidate->fd < 0) {
        return;
    }
    candidate->fd = -1; /* somebody closed it: the number is not ours */
    errno = EBADF;
    PyErr_SetFromErrno(PyExc_OSError);
    al_candidate_note_error(candidate);
    /* Not from within the watch: it is about to tell others. */
    PyObject *callback =
        PyObject_GetAttr((PyObject *)self, self->loop->st->str__start_next);
    PyObject *handle = NULL;
    if (callback != NULL) {
        handle =
            al_sched_py_call_soon((PyObject *)self->loop, &callback, 1, NULL);
    }
    if (handle == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(handle);
    Py_XDECREF(callback);
}

/* The timer's callback. */
static PyObject *
connector_py_start_next(PyObject *op, PyObject *unused)
{
    ConnectorObject *self = (ConnectorObject *)op;

    (void)unused;
    cancel_timer(self);
    start_next(self);
    wake_when_over(self);
    Py_RETURN_NONE;
}

/* --- what comes of it --------------------------------------------------------- */

/* The address of the winner, where the kernel would give it back as it is: it
 * puts another in place of "any", and knows better of scopes. */
static void
learn_peer(const ConnectorObject *self, al_transport *transport)
{
    const al_candidate *winner = &self->candidates[self->winner];
    const struct sockaddr_in *in = (const struct sockaddr_in *)&winner->to;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&winner->to;
    bool as_it_is = winner->domain == AF_INET
                        ? in->sin_addr.s_addr != INADDR_ANY
                        : winner->domain == AF_INET6 &&
                              in6->sin6_flowinfo == 0 &&
                              in6->sin6_scope_id == 0 &&
                              !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);

    if (as_it_is) {
        al_address_set(&transport->peer, (const struct sockaddr *)&winner->to,
                       winner->len);
    }
    else if (winner->domain != AF_UNIX) {
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        if (getpeername(self->fd, (struct sockaddr *)&address, &len) == 0) {
            al_address_set(&transport->peer, (struct sockaddr *)&address, len);
        }
    }
    transport->socket_family = (uint8_t)winner->domain;
}

/* Give the descriptor to a transport. `context` is the factory's caller's, NULL
 * if it is empty. NULL with an exception set, and then the descriptor still is
 * ours. */
static al_transport *
new_transport(ConnectorObject *self, PyObject *protocol, PyObject *context)
{
    al_transport *transport =
        al_socket_transport_new(self->loop, protocol, NULL, NULL);

    if (transport == NULL) {
        return NULL;
    }
    if (AL_CONTEXT_BEFORE_FACTORY) {
        Py_XSETREF(transport->context, Py_XNewRef(context));
    }
    learn_peer(self, transport);
    if (transport->socket_family != AF_UNIX) {
        al_socket_set_nodelay(self->fd);
    }
    al_transport_adopt(transport, self->fd, NULL);
    if (al_transport_begin(transport, NULL) < 0) {
        al_transport_disown(transport);
        Py_CLEAR(transport);
        return NULL;
    }
    self->fd = -1; /* the transport's */
    return transport;
}

/* A future that gets (transport, protocol) when connection_made was called.
 * None if nothing has connected. */
static PyObject *
connector_py_make_transport(PyObject *op, PyObject *factory)
{
    ConnectorObject *self = (ConnectorObject *)op;
    LoopObject *loop = self->loop;
    PyObject *waiter = NULL, *pair = NULL, *context = NULL;

    if (self->fd < 0) {
        Py_RETURN_NONE;
    }
    if (AL_CONTEXT_BEFORE_FACTORY) {
        bool failed;
        context = al_sched_copy_context(&failed);
        if (failed) {
            return NULL;
        }
    }
    PyObject *protocol = PyObject_CallNoArgs(factory);
    if (protocol == NULL || al_loop_check_closed(loop) < 0) {
        goto done;
    }
    waiter = al_create_py_future((PyObject *)loop, NULL);
    if (waiter == NULL) {
        goto done;
    }
    al_transport *transport = new_transport(self, protocol, context);
    if (transport == NULL) {
        goto done;
    }
    self->transport = (PyObject *)transport;
    pair = PyTuple_Pack(2, transport, protocol);
    PyObject *args[] = {waiter, pair};
    if (pair == NULL ||
        al_transport_call_soon(transport,
                               loop->st->aio_set_result_unless_cancelled, args,
                               2) < 0) {
        goto done; /* close() will close the transport */
    }
    Py_DECREF(protocol);
    Py_DECREF(pair);
    Py_XDECREF(context);
    return waiter;

done:
    Py_XDECREF(context);
    Py_XDECREF(protocol);
    Py_XDECREF(waiter);
    Py_XDECREF(pair);
    return NULL;
}

/* The connection as a socket object, which owns it; None if there is none. */
static PyObject *
connector_py_detach(PyObject *op, PyObject *unused)
{
    ConnectorObject *self = (ConnectorObject *)op;

    (void)unused;
    if (self->fd < 0) {
        Py_RETURN_NONE;
    }
    const al_candidate *winner = &self->candidates[self->winner];
    PyObject *sock = PyObject_CallFunction(
        self->loop->st->socket_class, "iiii", winner->domain, winner->type,
        winner->proto, self->fd);
    if (sock != NULL) {
        al_watch_leave(self->loop, self->fd);
        self->fd = -1; /* the socket object's */
    }
    return sock;
}

/* What went wrong, in the order of the candidates. */
static PyObject *
connector_py_errors(PyObject *op, PyObject *unused)
{
    ConnectorObject *self = (ConnectorObject *)op;
    PyObject *all = PyList_New(0);

    (void)unused;
    for (Py_ssize_t i = 0; all != NULL && i < Py_SIZE(self); i++) {
        PyObject *errors = self->candidates[i].errors;
        Py_ssize_t end = PyList_GET_SIZE(all);
        if (errors != NULL && PyList_SetSlice(all, end, end, errors) < 0) {
            Py_CLEAR(all);
        }
    }
    return all;
}

/* Give up: close what is ours, the transport as a user would. */
static PyObject *
connector_py_close(PyObject *op, PyObject *unused)
{
    ConnectorObject *self = (ConnectorObject *)op;
    LoopObject *loop = self->loop;
    int fd = self->fd;

    (void)unused;
    self->closed = true;
    self->fd = -1;
    al_loop_part_from_parent(loop);
    cancel_timer(self);
    close_candidates(self);
    if (fd >= 0) {
        al_watch_leave(loop, fd);
        (void)close(fd);
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_CLEAR(self->candidates[i].errors);
    }
    Py_CLEAR(self->pending);
    PyObject *transport = self->transport;
    self->transport = NULL;
    int rc =
        transport == NULL ? 0 : al_transport_close((al_transport *)transport);
    Py_XDECREF(transport);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* --- the type ------------------------------------------------------------------- */

static int
connector_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    ConnectorObject *self = (ConnectorObject *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->locals);
    Py_VISIT(self->delay);
    Py_VISIT(self->timer);
    Py_VISIT(self->pending);
    Py_VISIT(self->transport);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_VISIT(self->candidates[i].family);
        Py_VISIT(self->candidates[i].address);
        Py_VISIT(self->candidates[i].errors);
    }
    return 0;
}

static int
connector_tp_clear(PyObject *op)
{
    ConnectorObject *self = (ConnectorObject *)op;

    Py_CLEAR(self->locals);
    Py_CLEAR(self->delay);
    Py_CLEAR(self->timer);
    Py_CLEAR(self->pending);
    Py_CLEAR(self->transport);
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_CLEAR(self->candidates[i].family);
        Py_CLEAR(self->candidates[i].address);
        Py_CLEAR(self->candidates[i].errors);
    }
    return 0;
}

/* Nobody waits any more, and nothing watches: else we would be held. */
static void
connector_tp_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    ConnectorObject *self = (ConnectorObject *)op;
    PyTypeObject *tp = Py_TYPE(op);

    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        if (self->candidates[i].fd >= 0) {
            (void)close(self->candidates[i].fd);
        }
    }
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    (void)connector_tp_clear(op);
    AL_LEDGER_FREED(self->loop->st, connector);
    Py_CLEAR(self->loop);
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyMethodDef connector_methods[] = {
    {"make_transport", connector_py_make_transport, METH_O, NULL},
    {"detach", connector_py_detach, METH_NOARGS, NULL},
    {"errors", connector_py_errors, METH_NOARGS, NULL},
    {"close", connector_py_close, METH_NOARGS, NULL},
    {"_start_next", connector_py_start_next, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef connector_members[] = {
    {"pending", T_OBJECT, offsetof(ConnectorObject, pending), READONLY, NULL},
    {NULL},
};

static PyType_Slot connector_slots[] = {
    {Py_tp_traverse, connector_tp_traverse},
    {Py_tp_clear, connector_tp_clear},
    {Py_tp_dealloc, connector_tp_dealloc},
    {Py_tp_methods, connector_methods},
    {Py_tp_members, connector_members},
    {Py_tp_doc, "Tries addresses until one connects."},
    {0, NULL},
};

static PyType_Spec connector_spec = {
    .name = "asyncloop._core.Connector",
    .basicsize = offsetof(ConnectorObject, candidates),
    .itemsize = sizeof(al_candidate),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = connector_slots,
};

int
al_connector_setup(PyObject *module, struct al_state *st)
{
    st->connector_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &connector_spec, NULL);
    return st->connector_type == NULL ? -1 : 0;
}

/* --- methods of Loop ------------------------------------------------------------ */

static ConnectorObject *
connector_new(LoopObject *loop, Py_ssize_t count)
{
    PyTypeObject *type = loop->st->connector_type;
    ConnectorObject *self = (ConnectorObject *)type->tp_alloc(type, count);

    if (self == NULL) {
        return NULL;
    }
    AL_LEDGER_MADE(loop->st, connector);
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    self->fd = -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        al_candidate *candidate = &self->candidates[i];
        candidate->fd = -1;
        candidate->user.owner = (PyObject *)self;
        candidate->user.on_event = candidate_on_event;
        candidate->user.on_drop = candidate_on_drop;
        candidate->user.connects = true;
    }
    return self;
}

/* Start trying. Steals the connector and returns it; NULL with an exception
 * set. */
static PyObject *
begin_steal(ConnectorObject *self)
{
    al_loop_part_from_parent(self->loop);
    start_next(self);
    if (is_trying(self)) {
        self->pending = al_waiter_new(self->loop);
        if (self->pending == NULL) {
            PyObject *error = al_err_take();
            Py_XDECREF(connector_py_close((PyObject *)self, NULL));
            Py_DECREF(self);
            al_err_give_back_steal(error);
            return NULL;
        }
    }
    return (PyObject *)self;
}

/* The candidates could not be filled in: None for `rc` 0. Steals self. */
static PyObject *
refuse_steal(ConnectorObject *self, int rc)
{
    Py_DECREF(self);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* _connect_literal(host, port, family, proto): None where asyncio would ask
 * the resolver, or where this is not for us. */
PyObject *
al_connector_py_to_literal(PyObject *op, PyObject *const *args,
                           Py_ssize_t nargs)
{
    LoopObject *loop = (LoopObject *)op;

    if (nargs != 4) {
        PyErr_SetString(PyExc_TypeError, "four arguments are expected");
        return NULL;
    }
    if (al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    if (loop->connecting_is_replaced || !PyUnicode_CheckExact(args[0]) ||
        !PyLong_CheckExact(args[1]) || !PyLong_Check(args[2]) ||
        !PyLong_Check(args[3])) {
        Py_RETURN_NONE;
    }
    long family = PyLong_AsLong(args[2]);
    long proto = PyLong_AsLong(args[3]);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    if (proto != 0 && proto != IPPROTO_TCP && proto != IPPROTO_UDP) {
        Py_RETURN_NONE;
    }
    ConnectorObject *self = connector_new(loop, 1);
    PyObject *address = PyTuple_Pack(2, args[0], args[1]);
    if (self == NULL || address == NULL) {
        Py_XDECREF(self);
        Py_XDECREF(address);
        return NULL;
    }
    al_candidate *candidate = &self->candidates[0];
    candidate->address = address; /* the candidate's */
    candidate->type = SOCK_STREAM;
    candidate->proto = IPPROTO_TCP;
    const int families[] = {AF_INET, AF_INET6};
    int rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++) {
        candidate->domain = families[i];
        if (family == AF_UNSPEC || family == families[i]) {
            rc = al_sockaddr_from_py(families[i], address, &candidate->to,
                                     &candidate->len);
        }
    }
    return rc <= 0 ? refuse_steal(self, rc) : begin_steal(self);
}

/* _connect_infos(infos, locals or None, delay or None), the first two as
 * getaddrinfo gives them: None where something is not plain in them, or
 * where this is not for us. */
PyObject *
al_connector_py_to_infos(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    LoopObject *loop = (LoopObject *)op;

    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "three arguments are expected");
        return NULL;
    }
    if (al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    if (loop->connecting_is_replaced || !PyList_CheckExact(args[0]) ||
        (args[1] != Py_None && !PyList_CheckExact(args[1]))) {
        Py_RETURN_NONE;
    }
    ConnectorObject *self = connector_new(loop, PyList_GET_SIZE(args[0]));
    if (self == NULL) {
        return NULL;
    }
    int rc = 1;
    for (Py_ssize_t i = 0; rc > 0 && i < Py_SIZE(self); i++) {
        rc = al_candidate_from_info(&self->candidates[i],
                                    PyList_GET_ITEM(args[0], i));
    }
    if (rc > 0 && args[1] != Py_None) {
        self->locals = PyList_AsTuple(args[1]);
        rc = self->locals == NULL ? -1
                                  : al_candidate_check_locals(self->locals);
    }
    if (rc > 0 && args[2] != Py_None) {
        double delay = PyFloat_AsDouble(args[2]);
        self->delay = delay == -1.0 && PyErr_Occurred()
                          ? NULL
                          : PyFloat_FromDouble(delay);
        rc = self->delay == NULL ? -1 : 1;
    }
    return rc <= 0 ? refuse_steal(self, rc) : begin_steal(self);
}

/* _connect_path(path), of a Unix socket: None where the socket module has the
 * words for what is wrong with it, or where this is not for us. */
PyObject *
al_connector_py_to_path(PyObject *op, PyObject *path)
{
    LoopObject *loop = (LoopObject *)op;

    if (al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    if (loop->connecting_is_replaced) {
        Py_RETURN_NONE;
    }
    ConnectorObject *self = connector_new(loop, 1);
    if (self == NULL) {
        return NULL;
    }
    al_candidate *candidate = &self->candidates[0];
    candidate->domain = AF_UNIX;
    candidate->type = SOCK_STREAM;
    candidate->address = Py_NewRef(path);
    int rc =
        al_sockaddr_from_py(AF_UNIX, path, &candidate->to, &candidate->len);
    return rc <= 0 ? refuse_steal(self, rc) : begin_steal(self);
}
