/* transport.c - the life of a transport, whatever it moves.
 *
 * Ownership: see transport.h.
 * Threads: the loop's.
 */

#include "transports/transport.h"

#include "loop/run.h"
#include "loop/sched.h"
#include "py/error.h"
#include "transports/extra.h"
#include "transports/server_link.h"

#include <errno.h>
#include <unistd.h>

/* --- making ---------------------------------------------------------------- */

static void transport_on_event(al_watch_user *user, al_watch_side side);
static void transport_on_drop(al_watch_user *user, al_watch_side side,
                              bool gone);
static void force_close_quietly(al_transport *self, PyObject *error);

int
al_transport_init(al_transport *self, LoopObject *loop, PyObject *protocol,
                  PyObject *extra, PyObject *server)
{
    bool failed;

    self->st = loop->st;
    AL_LEDGER_MADE(self->st, transport);
    self->fd = -1;
    self->user.owner = (PyObject *)self;
    self->user.on_event = transport_on_event;
    self->user.on_drop = transport_on_drop;
    self->user.owns_fd = true;
    self->high_water = AL_HIGH_WATER;
    self->low_water = AL_HIGH_WATER / 4;
    self->context = al_sched_copy_context(&failed);
    if (failed) {
        return -1;
    }
    if (extra != NULL && extra != Py_None) {
        self->extra = Py_NewRef(extra);
    }
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    if (al_transport_set_protocol(self, protocol) < 0) {
        return -1;
    }
    if (server != NULL && server != Py_None) {
        if (al_server_attach(server, self) < 0) {
            return -1;
        }
        self->server = Py_NewRef(server);
    }
    return 0;
}

void
al_transport_adopt(al_transport *self, int fd, PyObject *file)
{
    self->fd = fd;
    self->fd_open = true;
    self->file = Py_XNewRef(file);
}

void
al_transport_disown(al_transport *self)
{
    self->fd_open = false;
    Py_CLEAR(self->file);
    if (self->server != NULL) {
        PyObject *error = al_err_take();
        if (al_server_detach(self->server, self) < 0) {
            PyErr_Clear();
        }
        Py_CLEAR(self->server);
        al_err_give_back_steal(error);
    }
}

int
al_transport_call_soon(al_transport *self, PyObject *callback,
                       PyObject *const *args, size_t nargs)
{
    return al_sched_call_in(self->loop, self->context, callback, args, nargs);
}

/* Queue a call of a method, given by name. 0, or -1 with an exception. */
static int
call_method_soon(al_transport *self, PyObject *object, PyObject *name,
                 PyObject *arg)
{
    PyObject *method = PyObject_GetAttr(object, name);
    if (method == NULL) {
        return -1;
    }
    int rc = al_transport_call_soon(self, method, &arg, arg != NULL);
    Py_DECREF(method);
    return rc;
}

int
al_transport_begin(al_transport *self, PyObject *waiter)
{
    struct al_state *st = self->st;

    if (call_method_soon(self, self->protocol, st->str_connection_made,
                         (PyObject *)self) < 0 ||
        call_method_soon(self, (PyObject *)self, st->str__start_reading,
                         NULL) < 0) {
        return -1;
    }
    if (waiter != NULL && waiter != Py_None) {
        PyObject *args[] = {waiter, Py_None};
        return al_transport_call_soon(
            self, st->aio_set_result_unless_cancelled, args, 2);
    }
    return 0;
}

int
al_transport_set_protocol(al_transport *self, PyObject *protocol)
{
    int buffered =
        PyObject_IsInstance(protocol, self->st->aio_BufferedProtocol);
    al_inlet inlet;

    if (buffered < 0 ||
        al_inlet_find(self->st, (PyObject *)self, protocol, &inlet) < 0) {
        return -1;
    }
    al_inlet before = self->inlet;
    self->inlet = inlet; /* its reference is ours */
    self->buffered = buffered;
    self->connected = true;
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
    al_inlet_clear(&before);
    return 0;
}

/* --- the watch ------------------------------------------------------------- */

static inline al_transport *
transport_of(al_watch_user *user)
{
    return (al_transport *)user->owner;
}

static void
transport_on_event(al_watch_user *user, al_watch_side side)
{
    al_transport *self = transport_of(user);

    /* From `lost` on the watch is left as it is, to save a system call: the
     * descriptor is closed in the next turn. */
    if (self->loop == NULL || self->lost) {
        return;
    }
    if (side == AL_WATCH_READ) {
        self->kind->read_ready(self);
    }
    else {
        self->kind->write_ready(self);
    }
}

void
al_transport_lose_descriptor(al_transport *self)
{
    if (!self->fd_open) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    /* The number may be somebody else's by now: it must not be closed. */
    self->fd_open = false;
    if (self->loop != NULL) {
        al_watch_leave(self->loop, self->fd);
    }
    if (self->file != NULL) {
        PyObject *result =
            PyObject_CallMethodNoArgs(self->file, self->st->str_detach);
        if (result == NULL) {
            PyErr_Clear(); /* a pipe's file object has no detach we want */
        }
        Py_XDECREF(result);
        Py_CLEAR(self->file);
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

static void
transport_on_drop(al_watch_user *user, al_watch_side side, bool gone)
{
    al_transport *self = transport_of(user);

    if (side == AL_WATCH_WRITE) {
        self->write_waits = false;
    }
    if (!gone || !self->fd_open) {
        return;
    }
    al_transport_lose_descriptor(self);
    if (self->loop != NULL && !self->loop->closed && !self->lost) {
        errno = EBADF;
        PyErr_SetFromErrno(PyExc_OSError);
        PyObject *error = al_err_take();
        force_close_quietly(self, error);
        Py_DECREF(error);
    }
}

void
al_transport_start_reading(al_transport *self)
{
    if (!self->begun || !self->fd_open) {
        return;
    }
    if (al_watch_set_user(self->loop, self->fd, AL_WATCH_READ, &self->user) <
        0) {
        al_transport_fatal(self, "Fatal read error on transport");
    }
}

void
al_transport_stop_reading(al_transport *self)
{
    if (self->fd_open) {
        al_watch_clear_user(self->loop, self->fd, AL_WATCH_READ, &self->user);
    }
}

void
al_transport_start_writing(al_transport *self)
{
    if (self->write_waits || !self->fd_open) {
        return;
    }
    self->write_waits = true;
    if (al_watch_set_user(self->loop, self->fd, AL_WATCH_WRITE, &self->user) <
        0) {
        self->write_waits = false;
        al_transport_fatal(self, "Fatal write error on transport");
    }
}

void
al_transport_stop_writing(al_transport *self)
{
    if (self->write_waits) {
        self->write_waits = false;
        al_watch_clear_user(self->loop, self->fd, AL_WATCH_WRITE, &self->user);
    }
}

/* --- calling the protocol -------------------------------------------------- */

PyObject *
al_transport_call_two(al_transport *self, PyObject *name, PyObject *one,
                      PyObject *two)
{
    LoopObject *loop = self->loop;
    PyObject *protocol = self->protocol;
    PyObject *args[] = {protocol, one, two};
    size_t count = one == NULL ? 1 : two == NULL ? 2 : 3;

    if (al_run_enter_context(loop, self->context) < 0) {
        return NULL;
    }
    Py_INCREF(protocol); /* the call may set another one */
    PyObject *result = PyObject_VectorcallMethod(name, args, count, NULL);
    Py_DECREF(protocol);
    if (self->context == NULL && loop->entered != NULL &&
        loop->entered == loop->empty_context &&
        !al_context_is_empty(loop->entered)) {
        /* It has set a variable, which the next callback is to see; the loop
         * notices the reference and takes another empty context. */
        self->context = Py_NewRef(loop->entered);
    }
    return result;
}

PyObject *
al_transport_call(al_transport *self, PyObject *name, PyObject *arg)
{
    return al_transport_call_two(self, name, arg, NULL);
}

int
al_transport_deliver(al_transport *self, PyObject *bytes)
{
    if (self->inlet.ops != NULL) {
        return al_inlet_receive_bytes(&self->inlet, (PyObject *)self, bytes);
    }
    PyObject *result =
        al_transport_call(self, self->st->str_data_received, bytes);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

static PyObject *
call_inside(al_transport *self, PyObject *name)
{
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *result = PyObject_CallMethodNoArgs(protocol, name);
    Py_DECREF(protocol);
    return result;
}

/* pause_writing or resume_writing raised: not the connection's end. */
static int
flow_failed(al_transport *self, const char *message)
{
    if (al_err_leaves_loop()) {
        return -1;
    }
    al_transport_report(self, message);
    return PyErr_Occurred() ? -1 : 0;
}

static int
call_flow(al_transport *self, PyObject *name, bool inside, const char *message)
{
    if (self->protocol == NULL) {
        return 0;
    }
    PyObject *result =
        inside ? call_inside(self, name) : al_transport_call(self, name, NULL);
    if (result == NULL) {
        return flow_failed(self, message);
    }
    Py_DECREF(result);
    return 0;
}

int
al_transport_check_high(al_transport *self, bool inside)
{
    if (self->protocol_paused ||
        self->kind->pending(self) <= self->high_water) {
        return 0;
    }
    self->protocol_paused = true;
    return call_flow(self, self->st->str_pause_writing, inside,
                     "protocol.pause_writing() failed");
}

int
al_transport_check_low(al_transport *self, bool inside)
{
    if (!self->protocol_paused ||
        self->kind->pending(self) > self->low_water) {
        return 0;
    }
    self->protocol_paused = false;
    return call_flow(self, self->st->str_resume_writing, inside,
                     "protocol.resume_writing() failed");
}

/* --- the end ---------------------------------------------------------------- */

/* Tell the exception handler. The result of the call, or NULL. */
static PyObject *
call_exception_handler(al_transport *self, const char *message,
                       PyObject *error)
{
    struct al_state *st = self->st;
    PyObject *context = PyDict_New();
    PyObject *text = PyUnicode_FromString(message);
    PyObject *protocol = self->protocol ? self->protocol : Py_None;
    PyObject *result = NULL;

    if (context != NULL && text != NULL &&
        PyDict_SetItem(context, st->str_message, text) == 0 &&
        PyDict_SetItem(context, st->str_exception, error) == 0 &&
        PyDict_SetItem(context, st->str_transport, (PyObject *)self) == 0 &&
        PyDict_SetItem(context, st->str_protocol, protocol) == 0) {
        result = PyObject_CallMethodOneArg(
            (PyObject *)self->loop, st->str_call_exception_handler, context);
    }
    Py_XDECREF(text);
    Py_XDECREF(context);
    return result;
}

void
al_transport_report(al_transport *self, const char *message)
{
    PyObject *error = al_err_take();
    PyObject *result = call_exception_handler(self, message, error);

    Py_XDECREF(result);
    Py_DECREF(error);
}

static void
log_line(al_transport *self, const char *level, const char *format)
{
    if (!self->loop->debug) {
        return;
    }
    PyObject *result =
        PyObject_CallMethod(self->st->aio_logger, level, "sO", format, self);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
}

void
al_transport_log_debug(al_transport *self, const char *format)
{
    log_line(self, "debug", format);
}

void
al_transport_log_info(al_transport *self, const char *format)
{
    log_line(self, "info", format);
}

/* asyncio: a failing connection is debug news, anything else a fault. */
static void
tell_of_fatal(al_transport *self, const char *message, PyObject *error)
{
    PyObject *result;

    if (!PyErr_GivenExceptionMatches(error, PyExc_OSError)) {
        result = call_exception_handler(self, message, error);
    }
    else if (self->loop->debug) {
        PyObject *method =
            PyObject_GetAttr(self->st->aio_logger, self->st->str_debug);
        PyObject *args = Py_BuildValue("sOs", "%r: %s", self, message);
        PyObject *kwargs = Py_BuildValue("{s:O}", "exc_info", error);
        result = method == NULL || args == NULL || kwargs == NULL
                     ? NULL
                     : PyObject_Call(method, args, kwargs);
        Py_XDECREF(method);
        Py_XDECREF(args);
        Py_XDECREF(kwargs);
    }
    else {
        return;
    }
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
}

void
al_transport_fatal(al_transport *self, const char *message)
{
    if (al_err_leaves_loop()) {
        al_run_leave_with_error(self->loop);
        return;
    }
    PyObject *error = al_err_take();
    if (self->loop != NULL) {
        tell_of_fatal(self, message, error);
    }
    force_close_quietly(self, error);
    Py_DECREF(error);
}

int
al_transport_queue_lost(al_transport *self, PyObject *error)
{
    self->lost = true;
    PyObject *method = PyObject_GetAttr((PyObject *)self,
                                        self->st->str__call_connection_lost);
    if (method == NULL) {
        return -1;
    }
    int rc = al_transport_call_soon(self, method, &error, 1);
    Py_DECREF(method);
    return rc;
}

int
al_transport_force_close(al_transport *self, PyObject *error)
{
    if (self->lost || self->loop == NULL) {
        return 0;
    }
    self->kind->discard(self);
    self->closing = true;
    return al_transport_queue_lost(self, error);
}

/* The same where nobody can be told that it failed. */
static void
force_close_quietly(al_transport *self, PyObject *error)
{
    if (al_transport_force_close(self, error) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
}

bool
al_transport_is_closing(PyObject *op)
{
    return ((al_transport *)op)->closing;
}

int
al_transport_close(al_transport *self)
{
    if (self->closing || self->loop == NULL) {
        return 0;
    }
    self->closing = true;
    if (self->kind->pending(self) != 0) {
        self->kind->send_now(self);
    }
    if (self->lost || self->loop == NULL) {
        return 0;
    }
    if (self->kind->pending(self) != 0) {
        al_transport_stop_reading(self);
        return 0;
    }
    return al_transport_queue_lost(self, Py_None);
}

/* Close the descriptor. The exception state stays as it was. */
static void
close_descriptor(al_transport *self)
{
    if (!self->fd_open) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    al_extra_keep(self);
    self->fd_open = false;
    self->write_waits = false;
    PyObject *file = self->file;
    self->file = NULL;
    if (self->loop != NULL) {
        al_watch_leave(self->loop, self->fd);
    }
    if (file == NULL) {
        close(self->fd);
    }
    else {
        PyObject *result =
            PyObject_CallMethodNoArgs(file, self->st->str_close);
        if (result == NULL && PyErr_ExceptionMatches(PyExc_OSError)) {
            PyErr_Clear(); /* closed by somebody else; nothing is left */
        }
        else if (result == NULL) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
        Py_XDECREF(result);
        Py_DECREF(file);
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

/* Tell the server, and let go of everything that made it a connection. */
static void
release(al_transport *self)
{
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    PyObject *server = self->server;
    LoopObject *loop = self->loop;

    close_descriptor(self);
    self->server = NULL;
    self->loop = NULL;
    Py_CLEAR(self->protocol);
    al_inlet_clear(&self->inlet);
    Py_CLEAR(self->context);
    if (server != NULL) {
        if (al_server_detach(server, self) < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
        Py_DECREF(server);
    }
    Py_XDECREF(loop);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

int
al_transport_lose(al_transport *self, PyObject *error)
{
    PyObject *result = Py_None;

    if (self->loop == NULL) {
        return 0;
    }
    self->closing = true;
    self->lost = true;
    if (self->connected && self->protocol != NULL) {
        PyObject *protocol = Py_NewRef(self->protocol);
        result = PyObject_CallMethodOneArg(
            protocol, self->st->str_connection_lost, error);
        Py_DECREF(protocol);
    }
    if (self->kind->on_lost != NULL) {
        PyObject *raised = PyErr_Occurred() ? al_err_take() : NULL;
        self->kind->on_lost(self);
        if (raised != NULL) {
            al_err_give_back_steal(raised);
        }
    }
    release(self);
    if (result == NULL) {
        return -1;
    }
    if (result != Py_None) {
        Py_DECREF(result);
    }
    return 0;
}

int
al_transport_write_is_late(al_transport *self, const char *message)
{
    long threshold = PyLong_AsLong(self->st->aio_conn_lost_threshold);
    PyObject *result = NULL;

    if (threshold == -1 && PyErr_Occurred()) {
        return -1;
    }
    /* asyncio counts the end of a socket as the first, but not a pipe's. */
    unsigned before = self->is_pipe ? self->write_failed : 1;
    if (before + self->late_writes >= (unsigned long)threshold) {
        result =
            PyObject_CallMethod(self->st->aio_logger, "warning", "s", message);
        if (result == NULL) {
            return -1;
        }
        Py_DECREF(result);
    }
    self->late_writes++;
    return 0;
}

/* --- the type ---------------------------------------------------------------- */

PyTypeObject *
al_transport_make_type(PyObject *module, PyType_Spec *spec, PyObject *base,
                       size_t own)
{
    PyObject *bases = PyTuple_Pack(1, base);
    if (bases == NULL) {
        return NULL;
    }
    /* Our struct begins with the slots that asyncio's class has. */
    if (((PyTypeObject *)base)->tp_basicsize > (Py_ssize_t)own) {
        PyErr_Format(PyExc_SystemError, "%R has another size than expected",
                     base);
        Py_DECREF(bases);
        return NULL;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, spec, bases);
    Py_DECREF(bases);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

/* --- slots ----------------------------------------------------------------- */

int
al_transport_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    al_transport *self = (al_transport *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->extra);
    Py_VISIT(self->dict);
    Py_VISIT(self->loop);
    Py_VISIT(self->protocol);
    Py_VISIT(self->inlet.target);
    Py_VISIT(self->context);
    Py_VISIT(self->server);
    Py_VISIT(self->file);
    Py_VISIT(self->empty_waiter);
    return 0;
}

int
al_transport_tp_clear(PyObject *op)
{
    al_transport *self = (al_transport *)op;

    Py_CLEAR(self->extra);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->protocol);
    al_inlet_clear(&self->inlet);
    Py_CLEAR(self->context);
    Py_CLEAR(self->server);
    Py_CLEAR(self->file);
    Py_CLEAR(self->empty_waiter);
    Py_CLEAR(self->loop);
    return 0;
}

void
al_transport_tp_finalize(PyObject *op)
{
    al_transport *self = (al_transport *)op;

    if (!self->fd_open) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    self->kind->discard(self);
    self->closing = true;
    self->lost = true;
    release(self);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

void
al_transport_tp_dealloc(PyObject *op)
{
    al_transport *self = (al_transport *)op;
    PyTypeObject *tp = Py_TYPE(op);

    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return; /* somebody wants it again */
    }
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    if (self->kind != NULL) {
        self->kind->discard(self);
    }
    (void)tp->tp_clear(op); /* a kind's own, which calls ours */
    if (self->st != NULL) {
        AL_LEDGER_FREED(self->st, transport);
    }
    tp->tp_free(op);
    Py_DECREF(tp);
}
