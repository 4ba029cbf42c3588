/* connection.c - handshake, shutdown and the end of a connection; see
 * connection.h. The steps and their order are asyncio's.
 *
 * Threads: the loop's.
 */

#include "tls/connection.h"

#include "base/clock.h"
#include "loop/run.h"
#include "loop/sched.h"
#include "py/error.h"
#include "tls/engine.h"

#define FATAL "Fatal error on transport"

/* --- calling ---------------------------------------------------------------------- */

PyObject *
al_tls_call(PyObject *object, PyObject *name, PyObject *arg)
{
    PyObject *args[] = {object, arg};

    Py_INCREF(object); /* the call may drop it */
    PyObject *result =
        PyObject_VectorcallMethod(name, args, arg == NULL ? 1 : 2, NULL);
    Py_DECREF(object);
    return result;
}

/* The same where the result does not matter. 0, or -1. */
static int
call_for_nothing(PyObject *object, PyObject *name, PyObject *arg)
{
    PyObject *result = al_tls_call(object, name, arg);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
al_tls_enter(al_tls *self)
{
    return self->loop->running
               ? al_run_enter_context(self->loop, self->context)
               : 0;
}

void
al_tls_leave(al_tls *self)
{
    LoopObject *loop = self->loop;

    if (self->context == NULL && loop->entered != NULL &&
        loop->entered == loop->empty_context &&
        !al_context_is_empty(loop->entered)) {
        /* A callback has set a variable, which the next is to see. */
        self->context = Py_NewRef(loop->entered);
    }
}

/* --- telling ---------------------------------------------------------------------- */

/* loop.call_exception_handler({...}). The result, or NULL. */
static PyObject *
call_handler(al_tls *self, const char *message, PyObject *error,
             PyObject *transport, PyObject *protocol)
{
    PyObject *context = Py_BuildValue(
        "{s:s,s:O,s:O,s:O}", "message", message, "exception", error,
        "transport", transport == NULL ? Py_None : transport, "protocol",
        protocol == NULL ? Py_None : protocol);
    PyObject *result =
        context == NULL
            ? NULL
            : PyObject_CallMethodOneArg((PyObject *)self->loop,
                                        self->st->str_call_exception_handler,
                                        context);

    Py_XDECREF(context);
    return result;
}

int
al_tls_report(al_tls *self, const char *message, PyObject *transport)
{
    PyObject *error = al_err_take();
    PyObject *result =
        call_handler(self, message, error, transport, (PyObject *)self);

    Py_DECREF(error);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* logger.debug("%r: %s", self, message, exc_info=error) */
static PyObject *
log_error(al_tls *self, const char *message, PyObject *error)
{
    PyObject *method =
        PyObject_GetAttr(self->st->aio_logger, self->st->str_debug);
    PyObject *args = Py_BuildValue("sOs", "%r: %s", self, message);
    PyObject *kwargs = Py_BuildValue("{s:O}", "exc_info", error);
    PyObject *result = NULL;

    if (method != NULL && args != NULL && kwargs != NULL) {
        result = PyObject_Call(method, args, kwargs);
    }
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

/* Tell of what ended the connection. */
static void
tell_of_fatal(al_tls *self, const char *message, PyObject *error)
{
    PyObject *result;

    if (PyErr_GivenExceptionMatches(error, PyExc_OSError)) {
        if (!self->loop->debug) {
            return;
        }
        result = log_error(self, message, error);
    }
    else if (PyErr_GivenExceptionMatches(error, self->st->CancelledError)) {
        return;
    }
    else {
        result =
            call_handler(self, message, error, self->raw, (PyObject *)self);
    }
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
}

int
al_tls_fatal(al_tls *self, const char *message)
{
    if (al_err_leaves_loop()) {
        return -1;
    }
    PyObject *error = al_err_take();
    if (self->raw != NULL &&
        call_for_nothing(self->raw, self->st->str__force_close, error) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    tell_of_fatal(self, message, error);
    Py_DECREF(error);
    return 0;
}

int
al_tls_fatal_if_exception(al_tls *self, const char *message)
{
    return PyErr_ExceptionMatches(PyExc_Exception)
               ? al_tls_fatal(self, message)
               : -1;
}

/* What `format` says of the connection, in debug mode. */
static void
log_debug(al_tls *self, const char *format)
{
    if (!self->loop->debug) {
        return;
    }
    PyObject *result =
        PyObject_CallMethod(self->st->aio_logger, "debug", "sO", format, self);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
}

/* --- timers ------------------------------------------------------------------------ */

/* loop.call_later(timeout, self.<method>) */
static int
start_timer(al_tls *self, PyObject **timer, PyObject *timeout,
            PyObject *method)
{
    PyObject *callback = PyObject_GetAttr((PyObject *)self, method);
    PyObject *args[] = {(PyObject *)self->loop, timeout, callback};

    if (callback == NULL) {
        return -1;
    }
    PyObject *handle =
        PyObject_VectorcallMethod(self->st->str_call_later, args, 3, NULL);
    Py_DECREF(callback);
    Py_XSETREF(*timer, handle);
    return handle == NULL ? -1 : 0;
}

static void
cancel_timer(al_tls *self, PyObject **timer)
{
    PyObject *handle = *timer;

    if (handle == NULL) {
        return;
    }
    *timer = NULL;
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    if (call_for_nothing(handle, self->st->str_cancel, NULL) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_DECREF(handle);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

/* --- the waiter -------------------------------------------------------------------- */

/* A listener's connection has no waiter: asyncio's task reports what the
 * waiter would have been told. */
static int
report_failed_accept(al_tls *self, PyObject *error)
{
    PyObject *protocol = self->protocol;

    if (!self->loop->debug || error == Py_None) {
        return 0;
    }
    PyObject *result = call_handler(
        self, "Error on transport creation for incoming connection", error,
        (PyObject *)self, protocol);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The handshake is over; `error` may be None. 0, or -1. */
static int
wake_waiter(al_tls *self, PyObject *error)
{
    struct al_state *st = self->st;
    PyObject *waiter = self->waiter;
    int rc = 0;

    if (waiter == NULL) {
        bool tell = self->accepted;
        self->accepted = false;
        return tell ? report_failed_accept(self, error) : 0;
    }
    self->waiter = NULL;
    PyObject *cancelled = al_tls_call(waiter, st->str_cancelled, NULL);
    int is_cancelled = cancelled == NULL ? -1 : PyObject_IsTrue(cancelled);
    Py_XDECREF(cancelled);
    if (is_cancelled == 0) {
        rc = call_for_nothing(waiter,
                              error == Py_None ? st->str_set_result
                                               : st->str_set_exception,
                              error);
    }
    Py_DECREF(waiter);
    return is_cancelled < 0 ? -1 : rc;
}

/* --- handshake --------------------------------------------------------------------- */

/* It failed with the exception that is set. 0, or -1. */
static int
handshake_failed(al_tls *self)
{
    PyObject *error = al_err_take();
    const char *message =
        PyErr_GivenExceptionMatches(error, self->st->ssl_CertificateError)
            ? "SSL handshake failed on verifying the certificate"
            : "SSL handshake failed";

    cancel_timer(self, &self->handshake_timer);
    self->state = AL_TLS_UNWRAPPED;
    al_err_give_back_steal(Py_NewRef(error));
    int rc = al_tls_fatal(self, message);
    if (rc == 0) {
        rc = wake_waiter(self, error);
    }
    Py_DECREF(error);
    return rc;
}

static void
log_handshake(al_tls *self)
{
    if (!self->loop->debug || self->started == 0) {
        return;
    }
    PyObject *result = PyObject_CallMethod(
        self->st->aio_logger, "debug", "sOd", "%r: SSL handshake took %.1f ms",
        self, (double)(al_clock_ns() - self->started) / AL_NS_PER_MS);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
}

/* It is done: from here on the protocol is connected. 0, or -1. */
static int
handshake_done(al_tls *self)
{
    cancel_timer(self, &self->handshake_timer);
    self->state = AL_TLS_WRAPPED;
    self->established = true;
    log_handshake(self);
    if (self->app_state == AL_APP_INIT) {
        self->app_state = AL_APP_MADE;
        if (call_for_nothing(self->protocol, self->st->str_connection_made,
                             (PyObject *)self) < 0) {
            return -1;
        }
    }
    if (wake_waiter(self, Py_None) < 0) {
        return -1;
    }
    return al_tls_read(self);
}

int
al_tls_do_handshake(al_tls *self)
{
    switch (self->engine->handshake(self)) {
    case AL_TLS_AGAIN:
        return al_tls_process_outgoing(self);
    case AL_TLS_DONE:
        return handshake_done(self);
    default:
        return PyErr_ExceptionMatches(self->st->ssl_SSLError)
                   ? handshake_failed(self)
                   : -1;
    }
}

int
al_tls_connection_made(al_tls *self, PyObject *raw)
{
    struct al_state *st = self->st;

    if (self->protocol == NULL) {
        return 0; /* start_tls of a closed transport: it is lost already */
    }
    Py_XSETREF(self->raw, Py_NewRef(raw));
    self->outlet = al_outlet_of(st, raw);
    if (self->closed) {
        /* Given up before it was there, by create_connection say. */
        return al_tls_abort(self, Py_None);
    }
    log_debug(self, "%r starts SSL handshake");
    self->started = self->loop->debug ? al_clock_ns() : 0;
    self->state = AL_TLS_HANDSHAKE;
    if (start_timer(self, &self->handshake_timer, self->handshake_timeout,
                    st->str__check_handshake_timeout) < 0) {
        return -1;
    }
    if (self->server_side && self->engine->incoming(self) == 0) {
        return 0; /* the client speaks first */
    }
    return al_tls_do_handshake(self);
}

/* --- shutdown ---------------------------------------------------------------------- */

/* It ended, with the exception that is set or without. 0, or -1. */
static int
shutdown_complete(al_tls *self, bool failed)
{
    struct al_state *st = self->st;

    if (failed) {
        cancel_timer(self, &self->shutdown_timer);
        return al_tls_fatal(self, FATAL);
    }
    /* A peer that does not read could delay the transport's end for ever. */
    if (self->shutdown_timer == NULL &&
        start_timer(self, &self->shutdown_timer, self->shutdown_timeout,
                    st->str__check_shutdown_timeout) < 0) {
        return -1;
    }
    PyObject *raw = self->raw;
    if (raw == NULL) {
        return 0;
    }
    PyObject *close = PyObject_GetAttr(raw, st->str_close);
    int rc = close == NULL
                 ? -1
                 : al_sched_call_in(self->loop, self->context, close, NULL, 0);
    Py_XDECREF(close);
    return rc;
}

int
al_tls_do_shutdown(al_tls *self)
{
    al_tls_result result =
        self->eof_received ? AL_TLS_DONE : self->engine->shutdown(self);

    if (result == AL_TLS_AGAIN) {
        return al_tls_process_outgoing(self);
    }
    if (result == AL_TLS_FAILED) {
        return PyErr_ExceptionMatches(self->st->ssl_SSLError)
                   ? shutdown_complete(self, true)
                   : -1;
    }
    if (al_tls_process_outgoing(self) < 0 || al_tls_call_eof(self) < 0) {
        return -1;
    }
    return shutdown_complete(self, false);
}

int
al_tls_do_flush(al_tls *self)
{
    if (al_tls_read(self) < 0) {
        return -1;
    }
    if (self->state == AL_TLS_FLUSHING && al_tls_send(self, true) < 0 &&
        al_tls_fatal_if_exception(self, "Fatal error on SSL protocol") < 0) {
        return -1;
    }
    if (self->state != AL_TLS_FLUSHING) {
        return 0;
    }
    self->state = AL_TLS_SHUTDOWN;
    return al_tls_do_shutdown(self);
}

int
al_tls_start_shutdown(al_tls *self)
{
    if (self->state == AL_TLS_FLUSHING || self->state == AL_TLS_SHUTDOWN ||
        self->state == AL_TLS_UNWRAPPED) {
        return 0;
    }
    self->closed = true;
    if (self->state == AL_TLS_HANDSHAKE) {
        return al_tls_abort(self, Py_None);
    }
    self->state = AL_TLS_FLUSHING;
    if (start_timer(self, &self->shutdown_timer, self->shutdown_timeout,
                    self->st->str__check_shutdown_timeout) < 0) {
        return -1;
    }
    return al_tls_do_flush(self);
}

/* --- from below -------------------------------------------------------------------- */

int
al_tls_received(al_tls *self, const char *data, size_t count)
{
    int rc = 0;

    if (self->state == AL_TLS_UNWRAPPED) {
        return 0;
    }
    if (self->engine->feed(self, data, count) < 0) {
        return -1;
    }
    switch (self->state) {
    case AL_TLS_HANDSHAKE:
        rc = self->server_side ? al_tls_handshake_in_turn(self)
                               : al_tls_do_handshake(self);
        break;
    case AL_TLS_WRAPPED:
        rc = al_tls_read(self);
        break;
    case AL_TLS_FLUSHING:
        rc = al_tls_do_flush(self);
        break;
    default:
        rc = al_tls_do_shutdown(self);
        break;
    }
    PyObject *error = rc < 0 ? al_err_take() : NULL;
    int settled = self->engine->settle(self);
    if (error == NULL) {
        return settled;
    }
    if (settled < 0) {
        PyErr_Clear();
    }
    al_err_give_back_steal(error);
    return -1;
}

/* What al_tls_eof does: 1, 0, or -1. */
static int
end_of_stream(al_tls *self)
{
    switch (self->state) {
    case AL_TLS_HANDSHAKE:
        PyErr_SetNone(PyExc_ConnectionResetError);
        return handshake_failed(self);
    case AL_TLS_WRAPPED:
        self->state = AL_TLS_FLUSHING;
        if (self->app_paused) {
            return 1;
        }
        return al_tls_do_flush(self);
    case AL_TLS_FLUSHING:
        if (al_tls_send(self, true) < 0) {
            return -1;
        }
        if (self->state != AL_TLS_FLUSHING) {
            return 0;
        }
        self->state = AL_TLS_SHUTDOWN;
        return al_tls_do_shutdown(self);
    case AL_TLS_SHUTDOWN:
        return al_tls_do_shutdown(self);
    default:
        return 0;
    }
}

int
al_tls_eof(al_tls *self)
{
    self->eof_received = true;
    log_debug(self, "%r received EOF");
    int keep_open = end_of_stream(self);
    if (keep_open < 0 && self->raw != NULL &&
        PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = al_err_take();
        if (call_for_nothing(self->raw, self->st->str_close, NULL) < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
        al_err_give_back_steal(error);
    }
    return keep_open;
}

int
al_tls_connection_lost(al_tls *self, PyObject *error)
{
    struct al_state *st = self->st;
    bool connected =
        self->state != AL_TLS_HANDSHAKE &&
        (self->app_state == AL_APP_MADE || self->app_state == AL_APP_EOF);
    PyObject *protocol = self->protocol;
    PyObject *raw = self->raw;
    int rc = 0;

    al_tls_discard(self);
    self->late_writes++;
    self->closed = true;
    self->state = AL_TLS_UNWRAPPED;
    self->raw = NULL;
    self->outlet = NULL;
    self->protocol = NULL;
    if (connected && protocol != NULL) {
        self->app_state = AL_APP_LOST;
        PyObject *method = PyObject_GetAttr(protocol, st->str_connection_lost);
        rc = method == NULL ? -1
                            : al_sched_call_in(self->loop, self->context,
                                               method, &error, 1);
        Py_XDECREF(method);
    }
    cancel_timer(self, &self->handshake_timer);
    cancel_timer(self, &self->shutdown_timer);
    if (rc == 0) {
        rc = wake_waiter(self, error);
    }
    PyObject *raised = rc < 0 ? al_err_take() : NULL;
    if (self->released) {
        al_tls_release(self);
    }
    al_inlet_clear(&self->inlet);
    Py_XDECREF(protocol);
    Py_XDECREF(raw);
    if (raised != NULL) {
        al_err_give_back_steal(raised);
    }
    return rc;
}

void
al_tls_release(al_tls *self)
{
    self->released = true;
    if (self->raw != NULL || self->state != AL_TLS_UNWRAPPED) {
        return; /* when it is lost */
    }
    /* asyncio's transport lets go of its SSLProtocol then, and with it of the
     * context, however long the user keeps the transport. */
    self->established = false;
    al_tls_close_engine(self);
    Py_CLEAR(self->sslobj);
    Py_CLEAR(self->sslcontext);
}

/* --- the end ----------------------------------------------------------------------- */

int
al_tls_abort(al_tls *self, PyObject *error)
{
    PyObject *raw = self->raw;

    if (self->state == AL_TLS_WRAPPED && self->backlog.count != 0 &&
        al_tls_send(self, false) < 0) {
        PyErr_Clear(); /* asyncio would have sent it when it was written */
    }
    self->closed = true;
    self->state = AL_TLS_UNWRAPPED;
    if (raw == NULL || self->raw == NULL) {
        return 0;
    }
    return error == Py_None
               ? call_for_nothing(raw, self->st->str_abort, NULL)
               : call_for_nothing(raw, self->st->str__force_close, error);
}

/* protocol.eof_received(): 1, 0, or -1. */
static int
ask_protocol_eof(al_tls *self)
{
    if (self->inlet.ops != NULL) {
        PyObject *target = Py_NewRef(self->inlet.target);
        int keep_open = self->inlet.ops->eof(target, (PyObject *)self);
        Py_DECREF(target);
        return keep_open;
    }
    PyObject *result =
        al_tls_call(self->protocol, self->st->str_eof_received, NULL);
    int keep_open = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return keep_open;
}

int
al_tls_call_eof(al_tls *self)
{
    if (self->app_state != AL_APP_MADE || self->protocol == NULL) {
        return 0;
    }
    self->app_state = AL_APP_EOF;
    int keep_open = ask_protocol_eof(self);
    if (keep_open > 0) {
        PyObject *result = PyObject_CallMethod(
            self->st->aio_logger, "warning", "s",
            "returning true from eof_received() has no effect when using ssl");
        keep_open = result == NULL ? -1 : 0;
        Py_XDECREF(result);
    }
    return keep_open < 0 ? al_tls_fatal(self, "Error calling eof_received()")
                         : 0;
}
