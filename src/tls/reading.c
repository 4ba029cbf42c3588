/* reading.c - from received records to the protocol.
 *
 * No connection keeps memory for this: records are decrypted into a buffer of
 * the loop's, from which `bytes` of the exact size are made, or into the
 * memory of a BufferedProtocol, or, when many are expected, into bytes.
 *
 * Threads: the loop's.
 */

#include "tls/engine.h"

#include "loop/sched.h"

/* As in transports/socket.c: bytes of such a size are made before they are
 * filled, which saves a copy; glibc maps and unmaps larger ones each time. */
#define LARGE_READ ((size_t)16 * 1024)
#define LARGEST_DIRECT_READ ((size_t)96 * 1024)

#define FATAL "Fatal error on SSL protocol"

/* --- flow control ------------------------------------------------------------------- */

int
al_tls_control_reading(al_tls *self)
{
    size_t size = self->engine->incoming(self);
    PyObject *method = NULL;

    if (self->raw == NULL) {
        return 0;
    }
    if (!self->raw_paused && size != 0 && size >= self->read_high_water) {
        self->raw_paused = true;
        method = self->st->str_pause_reading;
    }
    else if (self->raw_paused && size <= self->read_low_water) {
        self->raw_paused = false;
        method = self->st->str_resume_reading;
    }
    else {
        return 0;
    }
    PyObject *result = al_tls_call(self->raw, method, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Read on in the next turn. 0, or -1. */
static int
queue_read(al_tls *self)
{
    if (self->read_queued) {
        return 0;
    }
    PyObject *method =
        PyObject_GetAttr((PyObject *)self, self->st->str__do_read);
    int rc = method == NULL ? -1
                            : al_sched_call_in(self->loop, self->context,
                                               method, NULL, 0);
    Py_XDECREF(method);
    self->read_queued = rc == 0;
    return rc;
}

static inline bool
may_read(const al_tls *self)
{
    return (self->state == AL_TLS_WRAPPED || self->state == AL_TLS_FLUSHING) &&
           self->protocol != NULL;
}

/* --- data_received ------------------------------------------------------------------ */

static int
deliver_bytes(al_tls *self, PyObject *data)
{
    PyObject *result =
        al_tls_call(self->protocol, self->st->str_data_received, data);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
deliver(al_tls *self, const char *data, size_t count)
{
    if (self->inlet.ops != NULL) {
        return al_inlet_receive(&self->inlet, (PyObject *)self, data, count);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)count);
    int rc = bytes == NULL ? -1 : deliver_bytes(self, bytes);
    Py_XDECREF(bytes);
    return rc;
}

/* Decrypt until the memory is full or nothing is left. */
static al_tls_result
read_records(al_tls *self, char *buffer, size_t size, size_t *total)
{
    const al_tls_engine *engine = self->engine;
    size_t count;

    *total = 0;
    while (*total < size) {
        al_tls_result result =
            engine->read(self, buffer + *total, size - *total, &count);
        if (result != AL_TLS_DONE) {
            self->left_over = false;
            return result;
        }
        *total += count;
        self->left_over = *total == size;
        if (!self->left_over && engine->is_drained(self)) {
            return AL_TLS_AGAIN;
        }
    }
    return AL_TLS_DONE;
}

/* Into the loop's buffer, and from there. */
static al_tls_result
read_small(al_tls *self)
{
    LoopObject *loop = self->loop;
    char *buffer = al_loop_take_scratch(loop);
    size_t total;

    if (buffer == NULL) {
        PyErr_NoMemory();
        return AL_TLS_FAILED;
    }
    al_tls_result result =
        read_records(self, buffer, AL_IO_BUFFER_SIZE, &total);
    if (total != 0) {
        /* What came whole is delivered, whatever follows. */
        PyObject *error = result == AL_TLS_FAILED ? al_err_take() : NULL;
        if (deliver(self, buffer, total) < 0) {
            result = AL_TLS_FAILED;
            Py_XDECREF(error);
        }
        else if (error != NULL) {
            al_err_give_back_steal(error);
        }
    }
    al_loop_give_scratch(loop, buffer);
    return result;
}

/* Into bytes of the expected size. */
static al_tls_result
read_large(al_tls *self, size_t size)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    PyObject *error = NULL;
    size_t total;

    if (data == NULL) {
        return AL_TLS_FAILED;
    }
    al_tls_result result =
        read_records(self, PyBytes_AS_STRING(data), size, &total);
    if (result == AL_TLS_FAILED) {
        error = al_err_take();
    }
    if (total != 0 && total < size) {
        (void)_PyBytes_Resize(&data, (Py_ssize_t)total); /* NULL: it failed */
    }
    if (total != 0 && (data == NULL || deliver_bytes(self, data) < 0)) {
        result = AL_TLS_FAILED;
        Py_CLEAR(error);
    }
    Py_XDECREF(data);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
    return result;
}

/* 0, or -1. */
static int
read_copied(al_tls *self)
{
    al_tls_result result = AL_TLS_DONE;

    while (result == AL_TLS_DONE && may_read(self) && !self->app_paused) {
        size_t size = self->engine->readable(self);
        result = self->inlet.ops == NULL && size >= LARGE_READ &&
                         size <= LARGEST_DIRECT_READ
                     ? read_large(self, size)
                     : read_small(self);
    }
    if (result == AL_TLS_ENDED) {
        return al_tls_call_eof(self) < 0 ? -1 : al_tls_start_shutdown(self);
    }
    return result == AL_TLS_FAILED ? -1 : 0;
}

/* --- BufferedProtocol --------------------------------------------------------------- */

/* protocol.get_buffer(hint), for writing. 0, or -1. */
static int
get_buffer(al_tls *self, Py_buffer *view)
{
    PyObject *hint = PyLong_FromSize_t(self->engine->incoming(self));
    PyObject *buffer =
        hint == NULL
            ? NULL
            : al_tls_call(self->protocol, self->st->str_get_buffer, hint);
    int rc =
        buffer == NULL ? -1 : PyObject_GetBuffer(buffer, view, PyBUF_WRITABLE);

    Py_XDECREF(hint);
    Py_XDECREF(buffer);
    if (rc == 0 && view->len == 0) {
        PyBuffer_Release(view);
        PyErr_SetString(PyExc_RuntimeError,
                        "get_buffer() returned an empty buffer");
        rc = -1;
    }
    return rc;
}

static int
buffer_updated(al_tls *self, size_t count)
{
    PyObject *number = PyLong_FromSize_t(count);
    PyObject *result = number == NULL
                           ? NULL
                           : al_tls_call(self->protocol,
                                         self->st->str_buffer_updated, number);

    Py_XDECREF(number);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
read_buffered(al_tls *self)
{
    Py_buffer view;
    size_t total;

    if (get_buffer(self, &view) < 0) {
        return -1;
    }
    if (!may_read(self)) {
        PyBuffer_Release(&view); /* the protocol has aborted meanwhile */
        return 0;
    }
    al_tls_result result =
        read_records(self, view.buf, (size_t)view.len, &total);
    PyObject *error = result == AL_TLS_FAILED ? al_err_take() : NULL;
    PyBuffer_Release(&view);
    int rc = 0;
    if (result == AL_TLS_DONE) {
        rc = queue_read(self); /* it is full: ask for another one */
    }
    if (rc == 0 && total != 0) {
        rc = buffer_updated(self, total);
    }
    if (rc < 0) {
        Py_XDECREF(error);
        return -1;
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
        return -1;
    }
    if (result == AL_TLS_ENDED) {
        return al_tls_call_eof(self) < 0 ? -1 : al_tls_start_shutdown(self);
    }
    return 0;
}

/* --- both --------------------------------------------------------------------------- */

int
al_tls_read(al_tls *self)
{
    bool nested = self->reading;
    int rc = 0;

    if (!may_read(self)) {
        return 0;
    }
    if (!self->app_paused &&
        (self->left_over || !self->engine->is_drained(self))) {
        self->reading = true;
        rc = self->buffered && self->inlet.ops == NULL ? read_buffered(self)
                                                       : read_copied(self);
        self->reading = nested;
    }
    if (rc == 0 && self->state != AL_TLS_UNWRAPPED) {
        rc = al_tls_send(self, false);
    }
    if (rc == 0) {
        rc = al_tls_control_reading(self);
    }
    return rc < 0 ? al_tls_fatal_if_exception(self, FATAL) : 0;
}

int
al_tls_set_protocol(al_tls *self, PyObject *protocol)
{
    struct al_state *st = self->st;
    al_inlet inlet;
    int buffered = PyObject_IsInstance(protocol, st->aio_BufferedProtocol);

    if (buffered < 0 ||
        al_inlet_find(st, (PyObject *)self, protocol, &inlet) < 0) {
        return -1;
    }
    self->buffered = buffered;
    al_inlet before = self->inlet;
    self->inlet = inlet; /* its reference is ours */
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
    al_inlet_clear(&before); /* last: it may run foreign code */
    return 0;
}
