/* face.c - the Python methods of a connection.
 *
 * They are those of asyncio's _SSLProtocolTransport and those of a protocol,
 * which the transport below calls where it has no better way.
 *
 * Threads: the loop's.
 */

#include "tls/face.h"

#include "loop/sched.h"
#include "py/args.h"
#include "tls/engine.h"

static inline al_tls *
tls_of(PyObject *op)
{
    return (al_tls *)op;
}

/* None, or NULL when `rc` is -1. */
static PyObject *
none_or_error(int rc)
{
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* --- from the transport below ------------------------------------------------------- */

static int
inlet_receive(PyObject *target, PyObject *transport, const char *data,
              size_t count)
{
    al_tls *self = tls_of(target);
    LoopObject *loop = self->loop;
    bool lent = data == loop->io_buffer;

    (void)transport;
    if (lent) {
        /* Whoever reads meanwhile shall have another buffer. */
        loop->io_buffer = NULL;
    }
    int rc = al_tls_enter(self);
    if (rc == 0) {
        rc = al_tls_received(self, data, count);
    }
    al_tls_leave(self);
    if (lent) {
        free(loop->io_buffer);
        loop->io_buffer = (char *)data;
    }
    return rc;
}

static int
inlet_eof(PyObject *target, PyObject *transport)
{
    al_tls *self = tls_of(target);

    (void)transport;
    int keep_open = al_tls_enter(self) < 0 ? -1 : al_tls_eof(self);
    al_tls_leave(self);
    return keep_open;
}

static const al_inlet_ops tls_inlet = {
    .receive = inlet_receive,
    .eof = inlet_eof,
};

int
al_tls_find_inlet(struct al_state *st, PyObject *transport, PyObject *protocol,
                  al_inlet *inlet)
{
    (void)transport;
    if (!Py_IS_TYPE(protocol, st->tls_transport_type)) {
        return 0;
    }
    inlet->ops = &tls_inlet;
    inlet->target = Py_NewRef(protocol);
    return 1;
}

static PyObject *
tls_py_connection_made(PyObject *op, PyObject *raw)
{
    return none_or_error(al_tls_connection_made(tls_of(op), raw));
}

static PyObject *
tls_py_connection_lost(PyObject *op, PyObject *error)
{
    return none_or_error(al_tls_connection_lost(tls_of(op), error));
}

static PyObject *
tls_py_data_received(PyObject *op, PyObject *data)
{
    Py_buffer view;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    int rc = al_tls_received(tls_of(op), view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return none_or_error(rc);
}

static PyObject *
tls_py_eof_received(PyObject *op, PyObject *unused)
{
    (void)unused;
    int keep_open = al_tls_eof(tls_of(op));
    return keep_open < 0 ? NULL : PyBool_FromLong(keep_open);
}

static PyObject *
tls_py_pause_writing(PyObject *op, PyObject *unused)
{
    (void)unused;
    tls_of(op)->raw_full = true;
    Py_RETURN_NONE;
}

static PyObject *
tls_py_resume_writing(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    self->raw_full = false;
    return none_or_error(self->state == AL_TLS_WRAPPED
                             ? al_tls_send(self, false)
                             : al_tls_process_outgoing(self));
}

/* --- what was queued ---------------------------------------------------------------- */

static PyObject *
tls_py_check_handshake_timeout(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    if (self->state != AL_TLS_HANDSHAKE) {
        Py_RETURN_NONE;
    }
    PyErr_Format(PyExc_ConnectionAbortedError,
                 "SSL handshake is taking longer than %S seconds: aborting "
                 "the connection",
                 self->handshake_timeout);
    return none_or_error(al_tls_fatal(self, "Fatal error on transport"));
}

static PyObject *
tls_py_check_shutdown_timeout(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    if (self->raw == NULL ||
        (self->state != AL_TLS_FLUSHING && self->state != AL_TLS_SHUTDOWN)) {
        Py_RETURN_NONE;
    }
    PyObject *error = PyObject_CallFunction(PyExc_TimeoutError, "s",
                                            "SSL shutdown timed out");
    PyObject *result =
        error == NULL
            ? NULL
            : al_tls_call(self->raw, self->st->str__force_close, error);
    Py_XDECREF(error);
    return result;
}

static PyObject *
tls_py_do_read(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    self->read_queued = false;
    return none_or_error(al_tls_read(self));
}

/* Reading was resumed. */
static PyObject *
tls_py_read_on(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);
    int rc = 0;

    (void)unused;
    switch (self->state) {
    case AL_TLS_WRAPPED:
        rc = al_tls_read(self);
        break;
    case AL_TLS_FLUSHING:
        rc = al_tls_do_flush(self);
        break;
    case AL_TLS_SHUTDOWN:
        rc = al_tls_do_shutdown(self);
        break;
    default:
        break;
    }
    return none_or_error(rc);
}

/* What was read before TLS began and belongs to it. */
static PyObject *
tls_py_feed(PyObject *op, PyObject *data)
{
    al_tls *self = tls_of(op);
    Py_buffer view;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    int rc = self->engine->feed(self, view.buf, (size_t)view.len);
    if (rc == 0) {
        rc = self->engine->settle(self);
    }
    PyBuffer_Release(&view);
    return none_or_error(rc);
}

/* --- the transport ------------------------------------------------------------------ */

static PyObject *
tls_py_set_protocol(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    al_tls *self = tls_of(op);
    PyObject *protocol = al_args_one("set_protocol", self->st->str_protocol,
                                     args, nargs, kwnames);

    if (protocol == NULL) {
        return NULL;
    }
    /* What was written is the old protocol's, and so is a pause that it
     * causes. */
    if (self->state == AL_TLS_WRAPPED && self->backlog.count != 0 &&
        al_tls_send(self, false) < 0) {
        return NULL;
    }
    return none_or_error(al_tls_set_protocol(self, protocol));
}

static PyObject *
tls_py_get_protocol(PyObject *op, PyObject *unused)
{
    (void)unused;
    PyObject *protocol = tls_of(op)->protocol;
    return Py_NewRef(protocol == NULL ? Py_None : protocol);
}

static bool
tls_is_closing(PyObject *op)
{
    al_tls *self = tls_of(op);

    return self->closed || (self->raw != NULL && self->outlet != NULL &&
                            self->outlet->is_closing(self->raw));
}

static PyObject *
tls_py_is_closing(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    if (self->closed || self->raw == NULL || self->outlet != NULL) {
        return PyBool_FromLong(tls_is_closing(op));
    }
    return al_tls_call(self->raw, self->st->str_is_closing, NULL);
}

static PyObject *
tls_py_close(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    if (self->closed) {
        al_tls_release(self);
        Py_RETURN_NONE;
    }
    self->closed = true;
    return none_or_error(al_tls_start_shutdown(self));
}

static PyObject *
tls_py_abort(PyObject *op, PyObject *unused)
{
    (void)unused;
    return none_or_error(al_tls_abort(tls_of(op), Py_None));
}

static PyObject *
tls_py_force_close(PyObject *op, PyObject *error)
{
    return none_or_error(al_tls_abort(tls_of(op), error));
}

static PyObject *
tls_py_is_reading(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(!tls_of(op)->app_paused);
}

static PyObject *
tls_py_pause_reading(PyObject *op, PyObject *unused)
{
    (void)unused;
    tls_of(op)->app_paused = true;
    Py_RETURN_NONE;
}

static PyObject *
tls_py_resume_reading(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    if (!self->app_paused) {
        Py_RETURN_NONE;
    }
    self->app_paused = false;
    PyObject *method = PyObject_GetAttr(op, self->st->str__read_on);
    int rc = method == NULL ? -1
                            : al_sched_call_in(self->loop, self->context,
                                               method, NULL, 0);
    Py_XDECREF(method);
    return none_or_error(rc);
}

/* --- limits --------------------------------------------------------------------------- */

/* The arguments of both methods. 0, or -1. */
static int
parse_limits(PyObject *args, PyObject *kwargs, const char *format,
             Py_ssize_t fallback, size_t *high_water, size_t *low_water)
{
    static char *names[] = {"high", "low", NULL};
    PyObject *high = Py_None, *low = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &high,
                                     &low)) {
        return -1;
    }
    /* Beyond the range of a size there is no limit. */
    Py_ssize_t low_value = low == Py_None ? 0 : PyNumber_AsSsize_t(low, NULL);
    Py_ssize_t high_value = high != Py_None  ? PyNumber_AsSsize_t(high, NULL)
                            : low == Py_None ? fallback
                            : low_value > PY_SSIZE_T_MAX / 4 ? PY_SSIZE_T_MAX
                                                             : 4 * low_value;
    if (PyErr_Occurred()) {
        return -1;
    }
    if (low == Py_None) {
        low_value = high_value >= 0 ? high_value / 4 : high_value;
    }
    if (high_value < low_value || low_value < 0) {
        PyErr_Format(PyExc_ValueError,
                     "high (%zd) must be >= low (%zd) must be >= 0",
                     high_value, low_value);
        return -1;
    }
    *high_water = (size_t)high_value;
    *low_water = (size_t)low_value;
    return 0;
}

/* Send what only waits for the callback to end. 0, or -1. */
static int
send_deferred(al_tls *self)
{
    if (self->state != AL_TLS_WRAPPED || self->backlog.count == 0 ||
        self->raw_full) {
        return 0;
    }
    return al_tls_send(self, false);
}

static PyObject *
tls_py_set_write_limits(PyObject *op, PyObject *args, PyObject *kwargs)
{
    al_tls *self = tls_of(op);

    if (parse_limits(args, kwargs, "|OO:set_write_buffer_limits",
                     AL_TLS_WRITE_HIGH, &self->high_water,
                     &self->low_water) < 0 ||
        send_deferred(self) < 0) {
        return NULL;
    }
    return none_or_error(al_tls_control_writing(self));
}

static PyObject *
tls_py_set_read_limits(PyObject *op, PyObject *args, PyObject *kwargs)
{
    al_tls *self = tls_of(op);

    if (parse_limits(args, kwargs, "|OO:set_read_buffer_limits",
                     AL_TLS_READ_HIGH, &self->read_high_water,
                     &self->read_low_water) < 0) {
        return NULL;
    }
    return none_or_error(al_tls_control_reading(self));
}

static PyObject *
tls_py_get_write_limits(PyObject *op, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("nn", (Py_ssize_t)tls_of(op)->low_water,
                         (Py_ssize_t)tls_of(op)->high_water);
}

static PyObject *
tls_py_get_read_limits(PyObject *op, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("nn", (Py_ssize_t)tls_of(op)->read_low_water,
                         (Py_ssize_t)tls_of(op)->read_high_water);
}

static PyObject *
tls_py_write_size(PyObject *op, PyObject *unused)
{
    al_tls *self = tls_of(op);

    (void)unused;
    return send_deferred(self) < 0 ? NULL
                                   : PyLong_FromSize_t(al_tls_pending(self));
}

static PyObject *
tls_py_read_size(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(tls_of(op)->engine->incoming(tls_of(op)));
}

/* --- writing --------------------------------------------------------------------------- */

/* May the user write? 1; 0: not any more, which was counted; -1: the log
 * raised. */
static int
may_write(al_tls *self)
{
    PyObject *result = Py_None;

    if (self->state == AL_TLS_HANDSHAKE || self->state == AL_TLS_WRAPPED) {
        return 1;
    }
    long threshold = PyLong_AsLong(self->st->aio_conn_lost_threshold);
    if (threshold == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (self->late_writes >= (unsigned long)threshold) {
        result = PyObject_CallMethod(self->st->aio_logger, "warning", "s",
                                     "SSL connection is closed");
        if (result == NULL) {
            return -1;
        }
        Py_DECREF(result);
    }
    self->late_writes++;
    return 0;
}

static int
check_data(PyObject *data)
{
    if (PyBytes_Check(data) || PyByteArray_Check(data) ||
        PyMemoryView_Check(data)) {
        return 0;
    }
    PyObject *name = PyType_GetName(Py_TYPE(data));
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError,
                     "data: expecting a bytes-like instance, got %U", name);
        Py_DECREF(name);
    }
    return -1;
}

static int
tls_write(PyObject *op, PyObject *data)
{
    al_tls *self = tls_of(op);

    if (check_data(data) < 0) {
        return -1;
    }
    Py_ssize_t size = PyObject_Size(data);
    if (size <= 0) {
        return (int)size;
    }
    int may = may_write(self);
    return may <= 0 ? may : al_tls_write(self, data);
}

static PyObject *
tls_py_write(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    PyObject *data =
        al_args_one("write", tls_of(op)->st->str_data, args, nargs, kwnames);

    return data == NULL ? NULL : none_or_error(tls_write(op, data));
}

static PyObject *
tls_py_writelines(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    al_tls *self = tls_of(op);
    PyObject *list = al_args_one("writelines", self->st->str_list_of_data,
                                 args, nargs, kwnames);
    if (list == NULL) {
        return NULL;
    }
    int may = may_write(self);
    if (may <= 0) {
        return none_or_error(may);
    }
    PyObject *pieces = PySequence_Tuple(list);
    if (pieces == NULL) {
        return NULL;
    }
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyTuple_GET_SIZE(pieces); i++) {
        if (self->state != AL_TLS_HANDSHAKE && self->state != AL_TLS_WRAPPED) {
            break; /* one of them was fatal */
        }
        rc = al_tls_write(self, PyTuple_GET_ITEM(pieces, i));
    }
    Py_DECREF(pieces);
    return none_or_error(rc);
}

static PyObject *
tls_py_write_eof(PyObject *op, PyObject *unused)
{
    (void)op;
    (void)unused;
    /* asyncio's answer: TLS has no half-closed connections there. */
    PyErr_SetNone(PyExc_NotImplementedError);
    return NULL;
}

static PyObject *
tls_py_can_write_eof(PyObject *op, PyObject *unused)
{
    (void)op;
    (void)unused;
    Py_RETURN_FALSE;
}

/* Of asyncio's tests: as if a write had waited for data from the peer. */
static PyObject *
tls_py_append_backlog(PyObject *op, PyObject *data)
{
    return none_or_error(al_tls_add(tls_of(op), data));
}

const al_outlet_ops al_tls_outlet = {
    .write = tls_write,
    .is_closing = tls_is_closing,
};

/* --- attributes that cost something --------------------------------------------------- */

/* What the handshake has brought about: made when somebody asks. A new
 * reference, or NULL, without an exception when there is no such thing. */
static PyObject *
own_info(al_tls *self, PyObject *name)
{
    struct al_state *st = self->st;
    PyObject *methods[] = {st->str_peercert, st->str_cipher,
                           st->str_compression};

    if (PyUnicode_Compare(name, st->str_sslcontext) == 0) {
        return Py_XNewRef(self->sslcontext);
    }
    if (!self->established) {
        return NULL;
    }
    if (PyUnicode_Compare(name, st->str_ssl_object) == 0) {
        return Py_NewRef(self->sslobj);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(methods); i++) {
        if (PyUnicode_Compare(name, methods[i]) == 0) {
            return al_tls_call(
                self->sslobj, i == 0 ? st->str_getpeercert : methods[i], NULL);
        }
    }
    return NULL;
}

static PyObject *
tls_py_get_extra_info(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "default", NULL};
    al_tls *self = tls_of(op);
    PyObject *name, *fallback = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:get_extra_info", names,
                                     &name, &fallback)) {
        return NULL;
    }
    PyObject *found = PyUnicode_Check(name) ? own_info(self, name) : NULL;
    if (found != NULL || PyErr_Occurred()) {
        return found;
    }
    if (self->raw == NULL) {
        return Py_NewRef(fallback);
    }
    PyObject *call[] = {self->raw, name, fallback};
    return PyObject_VectorcallMethod(self->st->str_get_extra_info, call, 3,
                                     NULL);
}

/* --- the table ------------------------------------------------------------------------- */

PyMethodDef al_tls_methods[] = {
    {"connection_made", tls_py_connection_made, METH_O, NULL},
    {"connection_lost", tls_py_connection_lost, METH_O, NULL},
    {"data_received", tls_py_data_received, METH_O, NULL},
    {"eof_received", tls_py_eof_received, METH_NOARGS, NULL},
    {"pause_writing", tls_py_pause_writing, METH_NOARGS, NULL},
    {"resume_writing", tls_py_resume_writing, METH_NOARGS, NULL},
    {"_check_handshake_timeout", tls_py_check_handshake_timeout, METH_NOARGS,
     NULL},
    {"_check_shutdown_timeout", tls_py_check_shutdown_timeout, METH_NOARGS,
     NULL},
    {"_do_read", tls_py_do_read, METH_NOARGS, NULL},
    {"_read_on", tls_py_read_on, METH_NOARGS, NULL},
    {"_feed", tls_py_feed, METH_O, NULL},
    {"_force_close", tls_py_force_close, METH_O, NULL},
    {"_test__append_write_backlog", tls_py_append_backlog, METH_O, NULL},
    {"get_extra_info", _PyCFunction_CAST(tls_py_get_extra_info),
     METH_VARARGS | METH_KEYWORDS,
     "get_extra_info($self, name, default=None)\n--\n\n"
     "What is known of the connection under this name."},
    {"set_protocol", _PyCFunction_CAST(tls_py_set_protocol),
     METH_FASTCALL | METH_KEYWORDS,
     "set_protocol($self, protocol)\n--\n\nChange the protocol."},
    {"get_protocol", tls_py_get_protocol, METH_NOARGS,
     "get_protocol($self, /)\n--\n\nThe protocol."},
    {"is_closing", tls_py_is_closing, METH_NOARGS,
     "is_closing($self, /)\n--\n\nIs it closing or closed?"},
    {"close", tls_py_close, METH_NOARGS,
     "close($self, /)\n--\n\nClose after what is written is sent."},
    {"abort", tls_py_abort, METH_NOARGS,
     "abort($self, /)\n--\n\nClose at once; what is not sent is lost."},
    {"is_reading", tls_py_is_reading, METH_NOARGS,
     "is_reading($self, /)\n--\n\nIs it receiving?"},
    {"pause_reading", tls_py_pause_reading, METH_NOARGS,
     "pause_reading($self, /)\n--\n\nDeliver no data until resumed."},
    {"resume_reading", tls_py_resume_reading, METH_NOARGS,
     "resume_reading($self, /)\n--\n\nDeliver data again."},
    {"set_write_buffer_limits", _PyCFunction_CAST(tls_py_set_write_limits),
     METH_VARARGS | METH_KEYWORDS,
     "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
     "When to pause and resume the protocol's writing."},
    {"get_write_buffer_limits", tls_py_get_write_limits, METH_NOARGS,
     "get_write_buffer_limits($self, /)\n--\n\n(low, high)."},
    {"get_write_buffer_size", tls_py_write_size, METH_NOARGS,
     "get_write_buffer_size($self, /)\n--\n\nBytes not sent yet."},
    {"set_read_buffer_limits", _PyCFunction_CAST(tls_py_set_read_limits),
     METH_VARARGS | METH_KEYWORDS,
     "set_read_buffer_limits($self, high=None, low=None)\n--\n\n"
     "When to pause and resume the transport below."},
    {"get_read_buffer_limits", tls_py_get_read_limits, METH_NOARGS,
     "get_read_buffer_limits($self, /)\n--\n\n(low, high)."},
    {"get_read_buffer_size", tls_py_read_size, METH_NOARGS,
     "get_read_buffer_size($self, /)\n--\n\nBytes not decrypted yet."},
    {"write", _PyCFunction_CAST(tls_py_write), METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\nSend bytes, without blocking."},
    {"writelines", _PyCFunction_CAST(tls_py_writelines),
     METH_FASTCALL | METH_KEYWORDS,
     "writelines($self, list_of_data)\n--\n\nSend several pieces."},
    {"write_eof", tls_py_write_eof, METH_NOARGS,
     "write_eof($self, /)\n--\n\nNot with TLS."},
    {"can_write_eof", tls_py_can_write_eof, METH_NOARGS,
     "can_write_eof($self, /)\n--\n\nFalse."},
    {NULL},
};
