/* datagram.h - the transport of datagrams: UDP and Unix sockets.
 *
 * Reading (datagram_read.c): what waits is received in batches, one for each
 * event, and delivered one by one. When the protocol pauses reading in the
 * middle of a batch, or an exception leaves the loop, the rest is held and
 * delivered before anything else.
 *
 * Writing (datagram_write.c): what a callback or a task's step writes is
 * queued and leaves when it is through; at once when a lot is queued, when
 * the loop does not run, and before anything whose answer depends on it. What
 * the kernel does not take waits for the watch.
 *
 * Errors: an error of the system costs one datagram, which error_received is
 * told of; those behind it are sent. When the peer of a connected socket
 * refuses, the kernel tells that in the place of sending the next datagram;
 * inside a system call for several it tells only how far it came, so that
 * datagram is sent again, and the protocol hears of the last refusal.
 *
 * Threads: the loop's.
 */
#ifndef AL_TRANSPORTS_DATAGRAM_H
#define AL_TRANSPORTS_DATAGRAM_H

#include "transports/send_batch.h"
#include "transports/transport.h"

typedef struct {
    al_transport base;
    al_flush flush;
    al_dgram_queue queue;
    PyObject *address; /* strong: the only one to send to, or NULL */
    PyObject *held;    /* strong: a list of (data, address), or NULL */
    PyObject *last_to; /* strong: what `last_address` was made from */
    al_address last_address;
    size_t segment_below; /* runs of shorter datagrams may go as segments */
    sa_family_t family;
    bool segments_known : 1;  /* segment_below was found out */
    bool has_peer : 1;        /* send() goes there; with `address` or not */
    bool peer_is_unnamed : 1; /* a Unix socket's; an address goes first */
    bool by_object : 1;       /* a kind of socket that is left to the module */
    bool sending : 1;         /* send_queued is at work */
} al_dgram;

/* --- what the protocol is told: datagram.c --- */

/* A method of the protocol raised, in an event: that is reported, or leaves
 * the loop. The transport stays. */
void al_dgram_event_failed(al_dgram *self, const char *message);

/* The exception that is set goes to error_received. `inside` a method that
 * the user called the context stays the caller's, and -1 says that the
 * protocol's own exception is set; otherwise that is dealt with. */
int al_dgram_tell_error(al_dgram *self, bool inside);

/* Does errno say that the descriptor is no longer a socket of ours? Then that
 * was the end. */
bool al_dgram_is_gone(al_dgram *self, const char *message);

/* --- datagram_read.c --- */

void al_dgram_read_ready(al_transport *base);

/* Deliver what was held. False: not all of it, or no more may be. */
bool al_dgram_deliver_held(al_dgram *self);

/* Have that done in the next turn, if it may be. */
void al_dgram_deliver_held_soon(al_dgram *self);

/* --- datagram_write.c --- */

/* Members of al_transport_kind and of al_flush. */
size_t al_dgram_pending(al_transport *base);
void al_dgram_discard(al_transport *base);
void al_dgram_send_now(al_transport *base);
void al_dgram_write_ready(al_transport *base);
void al_dgram_on_flush(al_flush *flush);

PyObject *al_dgram_py_sendto(PyObject *op, PyObject *const *args,
                             Py_ssize_t nargs, PyObject *kwnames);

/* --- datagram.c --- */

PyObject *al_datagram_py_make_transport(PyObject *op, PyObject *args,
                                        PyObject *kwargs);

#define AL_DATAGRAM_LOOP_METHODS                                              \
    {                                                                         \
        "_make_datagram_transport",                                           \
            _PyCFunction_CAST(al_datagram_py_make_transport),                 \
            METH_VARARGS | METH_KEYWORDS, NULL                                \
    }

int al_datagram_setup(PyObject *module, struct al_state *st);

#define AL_DGRAM_WRITE_ERROR "Fatal write error on datagram transport"

#endif
