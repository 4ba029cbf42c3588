/* writing.c - from what the protocol writes to records.
 *
 * What is written is kept as it is, without a copy where it is bytes, until it
 * is sent: then the small pieces share a record. What the transport below has
 * no room for stays plain text.
 *
 * Threads: the loop's.
 */

#include "tls/engine.h"

#include "loop/run.h"
#include "py/error.h"

#define SEND_AT_ONCE ((size_t)64 * 1024)

/* Encrypted at one time, and given to the transport below in one piece. */
#define CHUNK ((size_t)256 * 1024)

/* What goes into a record of TLS. */
#define RECORD ((size_t)16 * 1024)

#define PIECES 64

size_t
al_tls_pending(const al_tls *self)
{
    return self->engine->outgoing(self) + self->backlog.size;
}

void
al_tls_discard(al_tls *self)
{
    al_outqueue_clear(&self->backlog);
    self->engine->discard(self);
}

/* --- flow control ------------------------------------------------------------------- */

/* pause_writing or resume_writing. 0, or -1. */
static int
tell_protocol(al_tls *self, PyObject *name, const char *message)
{
    PyObject *result = al_tls_call(self->protocol, name, NULL);

    Py_XDECREF(result);
    if (result != NULL) {
        return 0;
    }
    return al_err_leaves_loop()
               ? -1
               : al_tls_report(self, message, (PyObject *)self);
}

int
al_tls_control_writing(al_tls *self)
{
    if (self->protocol == NULL) {
        return 0;
    }
    size_t size = al_tls_pending(self);
    if (!self->writing_stopped && size != 0 && size >= self->high_water) {
        self->writing_stopped = true;
        return tell_protocol(self, self->st->str_pause_writing,
                             "protocol.pause_writing() failed");
    }
    if (self->writing_stopped && size <= self->low_water) {
        self->writing_stopped = false;
        return tell_protocol(self, self->st->str_resume_writing,
                             "protocol.resume_writing() failed");
    }
    return 0;
}

/* --- sending ------------------------------------------------------------------------ */

/* Give the transport below what is encrypted. 0, or -1. */
static int
pass_on(al_tls *self)
{
    PyObject *raw = self->raw;

    if (raw == NULL || self->raw_full) {
        return 0;
    }
    PyObject *data = self->engine->take(self);
    if (data == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    int rc;
    if (self->outlet != NULL) {
        Py_INCREF(raw);
        rc = self->outlet->write(raw, data);
        Py_DECREF(raw);
    }
    else {
        PyObject *result = al_tls_call(raw, self->st->str_write, data);
        rc = result == NULL ? -1 : 0;
        Py_XDECREF(result);
    }
    Py_DECREF(data);
    return rc;
}

int
al_tls_process_outgoing(al_tls *self)
{
    return pass_on(self) < 0 ? -1 : al_tls_control_writing(self);
}

/* Put small pieces together, up to a record. */
static size_t
gather(const struct iovec *iov, int count, char *record, size_t most)
{
    size_t used = 0;

    for (int i = 0; i < count && used < most; i++) {
        size_t some = iov[i].iov_len;
        if (some > most - used) {
            some = most - used;
        }
        memcpy(record + used, iov[i].iov_base, some);
        used += some;
    }
    return used;
}

/* Encrypt up to CHUNK bytes of the backlog. */
static al_tls_result
encrypt_some(al_tls *self)
{
    al_outqueue *queue = &self->backlog;
    size_t plan = queue->size < CHUNK ? queue->size : CHUNK;
    al_tls_result result = AL_TLS_DONE;
    struct iovec iov[PIECES];
    char record[RECORD];

    while (plan != 0 && result == AL_TLS_DONE) {
        size_t done;
        int count = al_outqueue_iov(queue, iov, PIECES);
        const char *data = iov[0].iov_base;
        size_t size = iov[0].iov_len;
        if (count > 1 && size < RECORD) {
            data = record;
            size = gather(iov, count, record, plan < RECORD ? plan : RECORD);
        }
        else if (size > plan) {
            size = plan;
        }
        else if (count > 1) {
            size -= size % RECORD; /* the rest goes with what follows */
        }
        result = self->engine->write(self, data, size, plan, &done);
        al_outqueue_consume(queue, done);
        plan -= done;
    }
    return result;
}

int
al_tls_send(al_tls *self, bool all)
{
    al_tls_result result = AL_TLS_DONE;

    while (result == AL_TLS_DONE && self->backlog.count != 0 &&
           self->raw != NULL && (all || !self->raw_full)) {
        result = encrypt_some(self);
        if (result == AL_TLS_FAILED || pass_on(self) < 0) {
            return -1;
        }
    }
    return al_tls_process_outgoing(self);
}

void
al_tls_on_flush(al_flush *flush)
{
    al_tls *self = (al_tls *)flush->owner;

    if (self->state != AL_TLS_WRAPPED || self->backlog.count == 0) {
        return;
    }
    if (al_tls_enter(self) < 0 ||
        (al_tls_send(self, false) < 0 &&
         al_tls_fatal_if_exception(self, "Fatal error on SSL protocol") < 0)) {
        al_run_leave_with_error(self->loop);
    }
    al_tls_leave(self);
}

/* --- writing ------------------------------------------------------------------------ */

int
al_tls_add(al_tls *self, PyObject *data)
{
    Py_buffer view;

    if (PyBytes_CheckExact(data)) {
        return PyBytes_GET_SIZE(data) == 0
                   ? 0
                   : al_outqueue_add_steal(&self->backlog, Py_NewRef(data));
    }
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int rc = 0;
    if (view.len != 0) {
        PyObject *copy = PyBytes_FromStringAndSize(view.buf, view.len);
        rc = copy == NULL ? -1 : al_outqueue_add_steal(&self->backlog, copy);
    }
    PyBuffer_Release(&view);
    return rc;
}

/* Something was added: when does it leave? 0, or -1. */
static int
after_write(al_tls *self, size_t size)
{
    if (self->state != AL_TLS_WRAPPED || self->backlog.count == 0) {
        return 0; /* after the handshake */
    }
    if (self->raw_full) {
        return al_tls_control_writing(self);
    }
    if (self->backlog.size < SEND_AT_ONCE) {
        if (self->reading) {
            return 0;
        }
        if (self->loop->running) {
            al_loop_send_later(self->loop, &self->flush, size);
            return 0;
        }
    }
    return al_tls_send(self, false);
}

int
al_tls_write(al_tls *self, PyObject *data)
{
    size_t before = self->backlog.size;

    if (al_tls_add(self, data) < 0 ||
        after_write(self, self->backlog.size - before) < 0) {
        return al_tls_fatal_if_exception(self, "Fatal error on SSL protocol");
    }
    return 0;
}
