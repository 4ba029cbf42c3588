/* datagram_read.c - receiving datagrams; see datagram.h.
 *
 * Threads: the loop's.
 */

#include "transports/datagram.h"

#include "transports/recv_batch.h"

#include <errno.h>

#define READ_ERROR "Fatal read error on datagram transport"

/* asyncio's max_size. */
#define RECEIVED_AT_MOST (256 * 1024)

/* Deliver one; may anything more be delivered now? */
static bool
deliver(al_dgram *self, PyObject *data, PyObject *sender)
{
    al_transport *base = &self->base;
    LoopObject *loop = base->loop;
    PyObject *result = al_transport_call_two(
        base, base->st->str_datagram_received, data, sender);

    if (result == NULL) {
        al_dgram_event_failed(self, "protocol.datagram_received() failed");
    }
    Py_XDECREF(result);
    return base->loop != NULL && al_transport_is_reading(base) &&
           loop->leaving == NULL;
}

static PyObject *
pair_steal(PyObject *data, PyObject *sender)
{
    PyObject *pair = NULL;

    if (data != NULL && sender != NULL) {
        pair = PyTuple_Pack(2, data, sender);
    }
    Py_XDECREF(data);
    Py_XDECREF(sender);
    return pair;
}

void
al_dgram_deliver_held_soon(al_dgram *self)
{
    if (!al_transport_is_reading(&self->base)) {
        return; /* resume_reading comes here again */
    }
    PyObject *method =
        PyObject_GetAttrString((PyObject *)self, "_deliver_held");
    if (method == NULL ||
        al_transport_call_soon(&self->base, method, NULL, 0) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(method);
}

/* Keep the datagrams of a batch from `at` on for later. */
static void
hold_rest(al_dgram *self, const al_dgram_batch *batch, int at, int count)
{
    if (self->held == NULL) {
        self->held = PyList_New(0);
    }
    for (; self->held != NULL && at < count; at++) {
        PyObject *pair =
            pair_steal(al_dgram_data(batch, at), al_dgram_sender(batch, at));
        int rc = pair == NULL ? -1 : PyList_Append(self->held, pair);
        Py_XDECREF(pair);
        if (rc < 0) {
            break;
        }
    }
    if (PyErr_Occurred()) {
        /* As a network may, we lose some. */
        al_dgram_event_failed(self, "No memory for received datagrams");
    }
    if (self->held != NULL && self->base.loop != NULL) {
        al_dgram_deliver_held_soon(self);
    }
}

bool
al_dgram_deliver_held(al_dgram *self)
{
    /* An exception that leaves the loop is on its way: later, then. */
    bool more = self->base.loop->leaving == NULL;

    while (more && self->held != NULL) {
        PyObject *held = self->held;
        if (PyList_GET_SIZE(held) == 0) {
            self->held = NULL;
            Py_DECREF(held);
            break;
        }
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(held, 0));
        if (PyList_SetSlice(held, 0, 1, NULL) < 0) {
            Py_DECREF(pair);
            al_dgram_event_failed(self, READ_ERROR);
            return false;
        }
        more = deliver(self, PyTuple_GET_ITEM(pair, 0),
                       PyTuple_GET_ITEM(pair, 1));
        Py_DECREF(pair);
    }
    if (!more && self->held != NULL && self->base.loop != NULL) {
        al_dgram_deliver_held_soon(self);
    }
    return more;
}

/* An exception of receiving is set, which was not of the protocol's making. */
static void
receive_failed(al_dgram *self)
{
    if (PyErr_ExceptionMatches(PyExc_BlockingIOError) ||
        PyErr_ExceptionMatches(PyExc_InterruptedError)) {
        PyErr_Clear();
    }
    else if (PyErr_ExceptionMatches(PyExc_OSError)) {
        (void)al_dgram_tell_error(self, false);
    }
    else {
        al_transport_fatal(&self->base, READ_ERROR);
    }
}

/* Receive one by the socket object, which knows every kind of address. */
static void
receive_by_object(al_dgram *self)
{
    PyObject *socket = Py_NewRef(self->base.file);
    PyObject *pair =
        PyObject_CallMethod(socket, "recvfrom", "i", RECEIVED_AT_MOST);

    Py_DECREF(socket);
    if (pair == NULL) {
        receive_failed(self);
    }
    else if (self->base.loop != NULL && al_transport_is_reading(&self->base)) {
        (void)deliver(self, PyTuple_GET_ITEM(pair, 0),
                      PyTuple_GET_ITEM(pair, 1));
    }
    Py_XDECREF(pair);
}

static void
receive_batch(al_dgram *self, al_dgram_batch *batch)
{
    int count =
        al_dgram_receive(batch, self->base.fd, self->family == AF_UNIX);

    if (count < 0) {
        if (!al_dgram_is_gone(self, READ_ERROR)) {
            PyErr_SetFromErrno(PyExc_OSError);
            receive_failed(self);
        }
        return;
    }
    for (int i = 0; i < count; i++) {
        PyObject *data = al_dgram_data(batch, i);
        PyObject *sender = data == NULL ? NULL : al_dgram_sender(batch, i);
        bool more = false;
        if (sender != NULL) {
            more = deliver(self, data, sender);
        }
        else {
            al_transport_fatal(&self->base, READ_ERROR);
        }
        Py_XDECREF(data);
        Py_XDECREF(sender);
        if (!more) {
            if (self->base.loop != NULL && !self->base.closing &&
                i + 1 < count) {
                hold_rest(self, batch, i + 1, count);
            }
            return;
        }
    }
}

void
al_dgram_read_ready(al_transport *base)
{
    al_dgram *self = (al_dgram *)base;
    LoopObject *loop = base->loop;

    if (base->lost || !base->fd_open || loop->leaving != NULL ||
        (self->held != NULL && !al_dgram_deliver_held(self))) {
        return;
    }
    if (self->by_object) {
        receive_by_object(self);
        return;
    }
    al_dgram_batch *batch = al_dgram_batch_take(loop);
    if (batch == NULL) {
        PyErr_NoMemory();
        al_transport_fatal(base, READ_ERROR);
        return;
    }
    Py_INCREF(loop); /* its last user may go */
    receive_batch(self, batch);
    al_dgram_batch_give(loop, batch);
    Py_DECREF(loop);
}
