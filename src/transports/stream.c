/* stream.c - the sending half of streams; see stream.h.
 *
 * Ownership: the queue holds what is not sent; the loop's send list holds the
 * transport while it is on it.
 * Threads: the loop's.
 */

#include "transports/stream.h"

#include "loop/run.h"

#include <errno.h>
#include <unistd.h>

size_t
al_stream_pending(al_transport *self)
{
    return ((al_stream *)self)->queue.size;
}

void
al_stream_discard(al_transport *self)
{
    al_outqueue_clear(&((al_stream *)self)->queue);
}

void
al_stream_send_now(al_transport *self)
{
    al_stream *stream = (al_stream *)self;

    if (!self->lost && !self->write_waits && self->fd_open) {
        (void)al_stream_send_queued(stream);
    }
}

/* After the protocol had its say, which may have written more. */
static void
stream_look_if_drained(al_stream *self)
{
    if (self->base.loop != NULL && !self->base.lost &&
        self->queue.count == 0) {
        self->base.kind->drained(&self->base);
    }
}

/* It is time to send (al_flush). */
static void
stream_on_flush(al_flush *flush)
{
    al_stream *self = (al_stream *)flush->owner;

    al_stream_send_now(&self->base);
    if (self->base.loop != NULL && !self->base.lost &&
        al_transport_check_high(&self->base, false) < 0) {
        al_run_leave_with_error(self->base.loop);
    }
    if (self->base.closing) {
        stream_look_if_drained(self); /* written by resume_writing */
    }
}

void
al_stream_init(al_stream *self)
{
    self->flush.owner = (PyObject *)self;
    self->flush.send = stream_on_flush;
    al_outqueue_init(&self->queue);
}

al_stream *
al_stream_new(PyTypeObject *type, const al_transport_kind *kind)
{
    al_stream *self = (al_stream *)type->tp_alloc(type, 0);

    if (self != NULL) {
        self->base.kind = kind;
        al_stream_init(self);
    }
    return self;
}

/* --- the system call --------------------------------------------------------- */

/* Bytes sent, or -1 with errno. */
static ssize_t
send_pieces(const al_transport *self, struct iovec *iov, int count)
{
    if (self->is_pipe) {
        return count == 1 ? write(self->fd, iov->iov_base, iov->iov_len)
                          : writev(self->fd, iov, count);
    }
    if (count == 1) {
        return send(self->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    }
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    return sendmsg(self->fd, &message, MSG_NOSIGNAL);
}

/* Errno says why a send did not happen. Is it the end of the connection? Then
 * that is dealt with. */
static bool
send_failed(al_stream *self)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return false;
    }
    bool gone = errno == EBADF;
    self->base.write_failed = true;
    PyErr_SetFromErrno(PyExc_OSError);
    if (gone) {
        al_transport_lose_descriptor(&self->base);
    }
    al_transport_fatal(&self->base, self->base.kind->write_error);
    return true;
}

bool
al_stream_send_queued(al_stream *self)
{
    struct iovec iov[AL_OUTQUEUE_IOV];
    al_outqueue *queue = &self->queue;

    while (queue->count != 0) {
        int count = al_outqueue_iov(queue, iov, AL_OUTQUEUE_IOV);
        size_t wanted = 0;
        for (int i = 0; i < count; i++) {
            wanted += iov[i].iov_len;
        }
        ssize_t sent = send_pieces(&self->base, iov, count);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (send_failed(self)) {
                return false;
            }
            break;
        }
        al_outqueue_consume(queue, (size_t)sent);
        if ((size_t)sent < wanted) {
            break;
        }
    }
    if (queue->count != 0) {
        al_transport_start_writing(&self->base);
    }
    else {
        al_transport_stop_writing(&self->base);
    }
    return !self->base.lost;
}

void
al_stream_write_ready(al_transport *self)
{
    al_stream *stream = (al_stream *)self;

    if (self->lost || !al_stream_send_queued(stream)) {
        return;
    }
    if (al_transport_check_low(self, false) < 0) {
        al_run_leave_with_error(self->loop);
    }
    stream_look_if_drained(stream);
}

/* --- queueing ----------------------------------------------------------------- */

/* `size` bytes were queued: when do they leave? 0, or -1 with an exception. */
static int
stream_after_write(al_stream *self, size_t size)
{
    al_transport *base = &self->base;

    if (!base->write_waits) {
        if (self->queue.size < AL_SEND_AT_ONCE && base->loop->running) {
            al_loop_send_later(base->loop, &self->flush, size);
            return 0;
        }
        if (!al_stream_send_queued(self)) {
            return 0;
        }
    }
    int rc = al_transport_check_high(base, true);
    if (base->closing) {
        stream_look_if_drained(self);
    }
    return rc;
}

/* A large buffer that may change later: send what goes at once, so that only
 * the rest is copied. The bytes sent, or -1: it failed and was dealt with. */
static ssize_t
send_directly(al_stream *self, const Py_buffer *view)
{
    struct iovec iov = {view->buf, (size_t)view->len};

    if ((size_t)view->len < AL_SEND_AT_ONCE || self->base.write_waits) {
        return 0;
    }
    if (self->queue.count != 0 &&
        (!al_stream_send_queued(self) || self->queue.count != 0)) {
        return self->base.lost ? -1 : 0;
    }
    ssize_t sent = send_pieces(&self->base, &iov, 1);
    if (sent < 0) {
        return send_failed(self) ? -1 : 0;
    }
    return sent;
}

/* Queue a copy of something that is not bytes.
 * 0: queued or sent; -1 with an exception set, or dealt with. */
static int
add_buffer(al_stream *self, PyObject *data)
{
    Py_buffer view;
    int rc = 0;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        /* Not contiguous: asyncio's socket.send() fails, which is fatal. */
        al_transport_fatal(&self->base, self->base.kind->write_error);
        return -1;
    }
    ssize_t sent = view.len == 0 ? 0 : send_directly(self, &view);
    if (sent < 0) {
        rc = -1;
    }
    else if (sent < view.len) {
        PyObject *rest = PyBytes_FromStringAndSize((char *)view.buf + sent,
                                                   view.len - sent);
        rc = rest == NULL ? -1 : al_outqueue_add_steal(&self->queue, rest);
    }
    PyBuffer_Release(&view);
    return rc;
}

int
al_stream_check_data(PyObject *data)
{
    if (PyBytes_CheckExact(data) || PyObject_CheckBuffer(data)) {
        return 0;
    }
    PyObject *name = PyType_GetName(Py_TYPE(data));
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError,
                     "data argument must be a bytes-like object, not %R",
                     name);
        Py_DECREF(name);
    }
    return -1;
}

int
al_stream_write(al_stream *self, PyObject *data)
{
    size_t before = self->queue.size;
    int rc;

    if (PyBytes_CheckExact(data)) {
        if (PyBytes_GET_SIZE(data) == 0) {
            return 0;
        }
        rc = al_outqueue_add_steal(&self->queue, Py_NewRef(data));
    }
    else {
        rc = add_buffer(self, data);
    }
    if (rc < 0) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (self->queue.count == 0) {
        return 0;
    }
    /* What was there before may have been sent by now. */
    size_t size = self->queue.size;
    return stream_after_write(self, size > before ? size - before : size);
}

PyObject *
al_stream_py_can_write_eof(PyObject *op, PyObject *unused)
{
    (void)op;
    (void)unused;
    Py_RETURN_TRUE;
}
