/* datagram_write.c - sending datagrams; see datagram.h.
 *
 * Ownership: the queue holds what is not sent; the loop's send list holds the
 * transport while it is on it.
 * Threads: the loop's.
 */

#include "transports/datagram.h"

#include "loop/run.h"
#include "py/args.h"
#include "py/error.h"

#include <errno.h>

#define LATE_WRITE "socket.send() raised exception."

/* Queued datagrams are sent at once when they are so many, or this large. */
#define SEND_AT_ONCE 256
#define SEND_AT_ONCE_BYTES ((size_t)64 * 1024)

size_t
al_dgram_pending(al_transport *base)
{
    return ((al_dgram *)base)->queue.size;
}

void
al_dgram_discard(al_transport *base)
{
    al_dgram_clear(&((al_dgram *)base)->queue);
}

/* Send the first by the socket object. 1: done; 0: the kernel takes nothing;
 * -1: an exception is set, and the datagram is gone. */
static int
send_by_object(al_dgram *self)
{
    al_datagram *first = al_dgram_first(&self->queue);
    PyObject *data = Py_NewRef(first->data);
    PyObject *to = Py_NewRef(first->to == NULL ? Py_None : first->to);
    PyObject *socket = Py_NewRef(self->base.file);
    PyObject *result =
        first->to == NULL
            ? PyObject_CallMethod(socket, "send", "O", data)
            : PyObject_CallMethod(socket, "sendto", "OO", data, to);
    int rc = result == NULL ? -1 : 1;

    if (result == NULL && (PyErr_ExceptionMatches(PyExc_BlockingIOError) ||
                           PyErr_ExceptionMatches(PyExc_InterruptedError))) {
        PyErr_Clear();
        rc = 0;
    }
    Py_XDECREF(result);
    /* The call may have run anything, that is to say an abort. */
    if (rc != 0 && self->queue.count != 0 &&
        al_dgram_first(&self->queue)->data == data) {
        PyObject *error = rc < 0 ? al_err_take() : NULL;
        al_dgram_drop(&self->queue);
        if (error != NULL) {
            al_err_give_back_steal(error);
        }
    }
    Py_DECREF(data);
    Py_DECREF(to);
    Py_DECREF(socket);
    return rc;
}

/* What a send_queued knows of segments. */
struct attempt {
    bool no_segments;  /* they were refused */
    bool may_be_size;  /* and these are why, perhaps: nothing since */
    size_t below_then; /* what segment_below is when it was that */
};

/* Errno says why a message of `run` datagrams was not sent as segments. Can it
 * be that they were segments? Then try without, in this send. */
static bool
segments_refused(al_dgram *self, unsigned run, struct attempt *attempt)
{
    if (run == 1) {
        return false;
    }
    switch (errno) {
    case EINVAL:
    case EMSGSIZE: /* larger than what the way there takes */
        attempt->below_then =
            (size_t)PyBytes_GET_SIZE(al_dgram_first(&self->queue)->data);
        attempt->may_be_size = true;
        break;
    case EIO: /* the device cannot make checksums */
    case EOPNOTSUPP:
    case ENOPROTOOPT:
        attempt->below_then = 0;
        attempt->may_be_size = true;
        break;
    case ENOBUFS:
    case ENOMEM: /* a smaller piece of memory may do */
        break;
    default:
        return false;
    }
    attempt->no_segments = true;
    return true;
}

/* The first datagram was sent, or refused for itself, after it had been part
 * of a message that was refused: was that because of the segments? */
static void
learn_from(al_dgram *self, struct attempt *attempt, bool was_sent)
{
    if (attempt->may_be_size && was_sent) {
        self->segment_below = attempt->below_then;
    }
    attempt->may_be_size = false;
}

/* Send some of the first `limit` datagrams. How many are gone; 0: the kernel
 * takes nothing now; -1: an exception is set, and one is gone. */
static int
send_some(al_dgram *self, uint32_t limit, struct attempt *attempt)
{
    al_dgram_queue *queue = &self->queue;
    unsigned run;
    int sent;

    if (al_dgram_first(queue)->by_object) {
        return send_by_object(self);
    }
    if (limit > 1 && !self->segments_known) {
        self->segments_known = true;
        self->segment_below =
            al_dgram_can_segment(self->base.fd) ? UINT16_MAX : 0;
    }
    do {
        sent = al_dgram_send(queue, self->base.fd, limit,
                             attempt->no_segments ? 0 : self->segment_below,
                             &run);
    } while (sent < 0 &&
             (errno == EINTR || segments_refused(self, run, attempt)));
    if (sent == 0) {
        return send_by_object(self);
    }
    if (sent < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK ||
            al_dgram_is_gone(self, AL_DGRAM_WRITE_ERROR)) {
            return 0;
        }
        learn_from(self, attempt, false);
        PyErr_SetFromErrno(PyExc_OSError);
        PyObject *error = al_err_take();
        al_dgram_drop(queue);
        al_err_give_back_steal(error);
        return -1;
    }
    learn_from(self, attempt, true);
    for (int i = 0; i < sent && queue->count != 0; i++) {
        al_dgram_drop(queue);
    }
    return sent;
}

/* Sending one datagram raised. 0, or -1 with an exception for the caller. */
static int
send_failed(al_dgram *self, bool inside)
{
    al_transport *base = &self->base;

    if (!PyErr_ExceptionMatches(PyExc_OSError)) {
        if (inside && al_err_leaves_loop()) {
            return -1;
        }
        al_transport_fatal(base, AL_DGRAM_WRITE_ERROR);
        return 0;
    }
    return al_dgram_tell_error(self, inside);
}

/* The queue may be empty now, and the transport was only waiting for that. */
static void
end_if_sent(al_dgram *self)
{
    al_transport *base = &self->base;

    if (base->loop != NULL && base->closing && base->lost == 0 &&
        self->queue.count == 0) {
        al_transport_stop_writing(base);
        if (al_transport_queue_lost(base, Py_None) < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
    }
}

/* Send what is queued, but not what error_received adds, which would have no
 * end: that waits for the watch. `inside` a method that the user called: 0, or
 * -1 with the first exception that error_received raised; otherwise 0. */
static int
send_queued(al_dgram *self, bool inside)
{
    al_transport *base = &self->base;
    uint32_t limit = self->queue.count;
    PyObject *error = NULL;
    struct attempt attempt = {0};

    if (self->sending) {
        return 0;
    }
    self->sending = true;
    while (limit != 0 && self->queue.count != 0 && base->fd_open) {
        int sent = send_some(self, limit, &attempt);
        if (sent == 0) {
            break;
        }
        limit -= sent < 0 ? 1 : (uint32_t)sent;
        if (sent < 0 && send_failed(self, inside) < 0) {
            if (error == NULL) {
                error = al_err_take();
            }
            else {
                al_dgram_event_failed(self,
                                      "protocol.error_received() failed");
            }
        }
    }
    self->sending = false;
    if (base->loop != NULL && self->queue.count != 0) {
        al_transport_start_writing(base);
    }
    else if (base->loop != NULL) {
        al_transport_stop_writing(base);
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
        return -1;
    }
    return 0;
}

/* A user's call wants to know how much is left. */
void
al_dgram_send_now(al_transport *base)
{
    al_dgram *self = (al_dgram *)base;

    if (base->lost == 0 && !base->write_waits && base->fd_open &&
        send_queued(self, true) < 0) {
        al_dgram_event_failed(self, "protocol.error_received() failed");
    }
    end_if_sent(self);
}

/* The callback that wrote is through. */
void
al_dgram_on_flush(al_flush *flush)
{
    al_dgram *self = (al_dgram *)flush->owner;
    al_transport *base = &self->base;

    if (base->lost == 0 && !base->write_waits && base->fd_open) {
        (void)send_queued(self, false);
    }
    if (base->loop != NULL && base->lost == 0 &&
        al_transport_check_high(base, false) < 0) {
        al_run_leave_with_error(base->loop);
    }
    end_if_sent(self);
}

/* There is room to write. */
void
al_dgram_write_ready(al_transport *base)
{
    al_dgram *self = (al_dgram *)base;

    if (base->lost != 0) {
        return;
    }
    (void)send_queued(self, false);
    if (base->loop != NULL && base->lost == 0 &&
        al_transport_check_low(base, false) < 0) {
        al_run_leave_with_error(base->loop);
    }
    end_if_sent(self);
}

/* --- sendto ------------------------------------------------------------------- */

/* asyncio's TypeError for what it does not send. 0, or -1 when set. */
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
                     "data argument must be a bytes-like object, not %R",
                     name);
        Py_DECREF(name);
    }
    return -1;
}

/* A transport with one address sends there only. 0, or -1 with ValueError or
 * what the comparison raised. */
static int
check_address(al_dgram *self, PyObject *to)
{
    if (to == Py_None || to == self->address) {
        return 0;
    }
    int same = PyObject_RichCompareBool(to, self->address, Py_EQ);
    if (same == 0) {
        PyErr_Format(PyExc_ValueError, "Invalid address: must be None or %S",
                     self->address);
    }
    return same > 0 ? 0 : -1;
}

/* Fill in where a datagram goes. It then owns `to`, where it has it. */
static void
set_address(al_dgram *self, al_datagram *datagram, PyObject *to)
{
    struct sockaddr_storage storage;
    socklen_t len;

    datagram->to = NULL;
    datagram->by_object = self->by_object;
    datagram->address.family = AF_UNSPEC;
    if (self->has_peer || (self->peer_is_unnamed && to == Py_None)) {
        return;
    }
    if (to == self->last_to) {
        datagram->address = self->last_address;
        return;
    }
    if (!self->by_object &&
        al_sockaddr_from_py(self->family, to, &storage, &len) == 1) {
        al_address_set(&datagram->address, (struct sockaddr *)&storage, len);
        if (datagram->address.family == AF_UNSPEC) {
            datagram->to = Py_NewRef(to); /* a path */
            return;
        }
        self->last_address = datagram->address;
        Py_XSETREF(self->last_to, Py_NewRef(to));
        return;
    }
    /* A name to be looked up, or something that the module has words for. */
    PyErr_Clear();
    datagram->by_object = true;
    datagram->to = Py_NewRef(to);
}

/* The data as bytes that nobody can change; new reference, or NULL with an
 * exception set: asyncio's socket.send() takes contiguous memory only. */
static PyObject *
snapshot(al_dgram *self, PyObject *data)
{
    Py_buffer view;

    if (PyBytes_CheckExact(data)) {
        return Py_NewRef(data);
    }
    if (self->base.write_waits) {
        return PyBytes_FromObject(data);
    }
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *copy = PyBytes_FromStringAndSize(view.buf, view.len);
    PyBuffer_Release(&view);
    return copy;
}

/* A datagram of `size` bytes was queued: when does it leave? 0, or -1 with an
 * exception that is the caller's. */
static int
after_queueing(al_dgram *self, size_t size, bool by_object)
{
    al_transport *base = &self->base;
    LoopObject *loop = base->loop;

    if (self->sending) {
        return 0; /* from error_received; send_queued sees to it */
    }
    if (!base->write_waits) {
        if (base->lost == 0 && loop->running && !by_object &&
            self->queue.count < SEND_AT_ONCE &&
            self->queue.size < SEND_AT_ONCE_BYTES &&
            /* Whoever has a limit learns in sendto that it is passed. */
            base->kind->pending(base) <= base->high_water) {
            al_loop_send_later(loop, &self->flush, size);
            return 0;
        }
        if (send_queued(self, true) < 0) {
            return -1;
        }
    }
    end_if_sent(self);
    if (base->loop == NULL) {
        return 0;
    }
    if (base->lost != 0) {
        /* Between close() and connection_lost asyncio tries once, too. */
        al_dgram_clear(&self->queue);
        al_transport_stop_writing(base);
        return 0;
    }
    return al_transport_check_high(base, true);
}

/* Nothing that forbids it holds. 0, or -1 with an exception set. */
static int
queue_datagram(al_dgram *self, PyObject *data, PyObject *to)
{
    al_datagram datagram;

    datagram.data = snapshot(self, data);
    if (datagram.data == NULL) {
        if (PyErr_ExceptionMatches(PyExc_MemoryError)) {
            return -1;
        }
        PyObject *error = al_err_take();
        al_dgram_send_now(&self->base); /* what came before */
        al_err_give_back_steal(error);
        al_transport_fatal(&self->base, AL_DGRAM_WRITE_ERROR);
        return 0;
    }
    set_address(self, &datagram, to);
    bool by_object = datagram.by_object;
    size_t size = (size_t)PyBytes_GET_SIZE(datagram.data);
    if (al_dgram_add_steal(&self->queue, datagram) < 0) {
        return -1;
    }
    return after_queueing(self, size, by_object);
}

/* The arguments of sendto, where they are not just one or two; `to` NULL if
 * there is none. 0, or -1 with TypeError set. */
static int
sendto_arguments(al_dgram *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames, PyObject **data, PyObject **to)
{
    struct al_state *st = self->base.st;
    bool has_keywords = kwnames != NULL && PyTuple_GET_SIZE(kwnames) != 0;
    size_t rest;

    if (al_args_take("sendto", &st->str_data, 1, st->str_addr, to, args, nargs,
                     kwnames, data, &rest) < 0) {
        return -1;
    }
    if (rest == 0) {
        return 0;
    }
    if (rest == 1 && has_keywords) {
        PyErr_SetString(PyExc_TypeError,
                        "sendto() got multiple values for argument 'addr'");
        return -1;
    }
    if (rest > 1) {
        PyErr_Format(PyExc_TypeError,
                     "sendto() takes from 2 to 3 positional arguments but "
                     "%zd were given",
                     nargs + 1);
        return -1;
    }
    *to = args[1];
    return 0;
}

/* Is there still somebody to send it to? After the end of a transport with
 * one address it is counted, as in asyncio. */
static int
may_send(al_dgram *self)
{
    al_transport *base = &self->base;

    if (base->lost != 0 &&
        (self->address != NULL || !base->fd_open || base->loop == NULL)) {
        return al_transport_write_is_late(base, LATE_WRITE);
    }
    /* With a lost descriptor connection_lost is on its way. */
    return base->fd_open;
}

PyObject *
al_dgram_py_sendto(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    al_dgram *self = (al_dgram *)op;
    PyObject *data, *to = NULL;

    if (kwnames == NULL && (nargs == 1 || nargs == 2)) {
        data = args[0];
        to = nargs == 2 ? args[1] : NULL;
    }
    else if (sendto_arguments(self, args, nargs, kwnames, &data, &to) < 0) {
        return NULL;
    }
    to = to == NULL ? Py_None : to;
    if (check_data(data) < 0) {
        return NULL;
    }
    if (!AL_DATAGRAM_MAY_BE_EMPTY) {
        Py_ssize_t size = PyObject_Size(data);
        if (size <= 0) {
            return size < 0 ? NULL : Py_NewRef(Py_None);
        }
    }
    if (self->address != NULL) {
        if (check_address(self, to) < 0) {
            return NULL;
        }
        to = self->address;
    }
    int may = may_send(self);
    if (may <= 0) {
        return may < 0 ? NULL : Py_NewRef(Py_None);
    }
    Py_INCREF(to);
    int rc = queue_datagram(self, data, to);
    Py_DECREF(to);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
