/* pump.c - the engine for an `ssl` that cannot be reached from C.
 *
 * A statically linked OpenSSL, another layout, another library: then the
 * SSLObject's own methods move the bytes, over two MemoryBIO objects, and this
 * calls them. Nothing but the public interface of `ssl` is used.
 *
 * Threads: the loop's.
 */

#include "tls/engine.h"

/* Call a method of a MemoryBIO with some bytes. 0, or -1. */
static int
write_to(al_tls *self, PyObject *bio, const char *data, size_t count)
{
    PyObject *view =
        PyMemoryView_FromMemory((char *)data, (Py_ssize_t)count, PyBUF_READ);
    PyObject *result =
        view == NULL
            ? NULL
            : PyObject_CallMethodOneArg(bio, self->st->str_write, view);

    Py_XDECREF(view);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The attribute `pending`; a MemoryBIO has no other way to fail than memory. */
static size_t
pending_of(const al_tls *self, PyObject *bio)
{
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    PyObject *number =
        bio == NULL ? NULL : PyObject_GetAttr(bio, self->st->str_pending);
    size_t pending = number == NULL ? 0 : PyLong_AsSize_t(number);

    Py_XDECREF(number);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        pending = 0;
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
    return pending;
}

static int
pump_feed(al_tls *self, const char *data, size_t count)
{
    return write_to(self, self->incoming, data, count);
}

static int
pump_settle(al_tls *self)
{
    (void)self;
    return 0;
}

static al_tls_result
pump_handshake(al_tls *self)
{
    return al_tls_ask_object(self, self->st->str_do_handshake, NULL, NULL,
                             NULL);
}

static al_tls_result
pump_shutdown(al_tls *self)
{
    return al_tls_ask_object(self, self->st->str_unwrap, NULL, NULL, NULL);
}

/* The number that the method answers with. */
static al_tls_result
take_number_steal(PyObject *number, size_t *count)
{
    *count = PyLong_AsSize_t(number);
    Py_DECREF(number);
    if (*count == (size_t)-1 && PyErr_Occurred()) {
        *count = 0;
        return AL_TLS_FAILED;
    }
    return AL_TLS_DONE;
}

static al_tls_result
pump_read(al_tls *self, char *buffer, size_t size, size_t *count)
{
    al_tls_result result = AL_TLS_FAILED;
    PyObject *number = NULL;
    PyObject *length = PyLong_FromSize_t(size);
    PyObject *view =
        PyMemoryView_FromMemory(buffer, (Py_ssize_t)size, PyBUF_WRITE);

    *count = 0;
    if (length != NULL && view != NULL) {
        result =
            al_tls_ask_object(self, self->st->str_read, length, view, &number);
    }
    if (result == AL_TLS_DONE) {
        result = take_number_steal(number, count);
        if (result == AL_TLS_DONE && *count == 0) {
            result = AL_TLS_ENDED;
        }
    }
    Py_XDECREF(view);
    Py_XDECREF(length);
    return result;
}

static al_tls_result
pump_write(al_tls *self, const char *data, size_t size, size_t plan,
           size_t *count)
{
    al_tls_result result = AL_TLS_DONE;

    (void)plan;
    *count = 0;
    while (result == AL_TLS_DONE && *count < size) {
        size_t done = 0;
        PyObject *number = NULL;
        PyObject *view = PyMemoryView_FromMemory(
            (char *)data + *count, (Py_ssize_t)(size - *count), PyBUF_READ);
        result = view == NULL ? AL_TLS_FAILED
                              : al_tls_ask_object(self, self->st->str_write,
                                                  view, NULL, &number);
        Py_XDECREF(view);
        if (result == AL_TLS_DONE) {
            result = take_number_steal(number, &done);
            *count += done;
        }
    }
    return result;
}

static bool
pump_is_drained(const al_tls *self)
{
    (void)self;
    return false;
}

static size_t
pump_readable(const al_tls *self)
{
    (void)self;
    return 0;
}

static size_t
pump_incoming(const al_tls *self)
{
    return pending_of(self, self->incoming);
}

static size_t
pump_outgoing(const al_tls *self)
{
    return pending_of(self, self->outgoing);
}

static PyObject *
pump_take(al_tls *self)
{
    if (pump_outgoing(self) == 0) {
        return NULL;
    }
    return PyObject_CallMethodNoArgs(self->outgoing, self->st->str_read);
}

static void
pump_discard(al_tls *self)
{
    PyObject *lost = pump_take(self);

    if (lost == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(lost);
}

const al_tls_engine al_tls_pump_engine = {
    .feed = pump_feed,
    .settle = pump_settle,
    .handshake = pump_handshake,
    .shutdown = pump_shutdown,
    .read = pump_read,
    .write = pump_write,
    .is_drained = pump_is_drained,
    .readable = pump_readable,
    .incoming = pump_incoming,
    .outgoing = pump_outgoing,
    .take = pump_take,
    .discard = pump_discard,
};
