/* stream.h - transports that send bytes in order: sockets and write pipes.
 *
 * Writing: what callbacks write is queued, and leaves in one system call when
 * the loop sends (loop.h, al_flush); at once when 64 KiB
 * are queued, when the loop does not run, and before anything whose answer
 * depends on it (close, get_write_buffer_size, set_protocol ...). What the
 * kernel does not take waits for the watch; pause_writing is called only
 * after that.
 */
#ifndef AL_TRANSPORTS_STREAM_H
#define AL_TRANSPORTS_STREAM_H

#include "transports/outqueue.h"
#include "transports/transport.h"

#define AL_SEND_AT_ONCE ((size_t)64 * 1024)

typedef struct {
    al_transport base;
    al_flush flush;
    al_outqueue queue;
} al_stream;

/* Fill in what a stream has beyond the transport, of a new object. */
void al_stream_init(al_stream *self);

/* The members of al_transport_kind. */
size_t al_stream_pending(al_transport *self);
void al_stream_discard(al_transport *self);
void al_stream_send_now(al_transport *self);

/* Send what the kernel takes. False: it failed, and the connection ends. */
bool al_stream_send_queued(al_stream *self);

void al_stream_write_ready(al_transport *self);

/* Queue any bytes-like object; nothing that forbids it holds.
 * 0, or -1 with an exception set, or a fatal error reported. */
int al_stream_write(al_stream *self, PyObject *data);

/* A new object of `type`, with `kind`; NULL with an exception set. */
al_stream *al_stream_new(PyTypeObject *type, const al_transport_kind *kind);

/* asyncio's TypeError for what cannot be written. 0, or -1 when set. */
int al_stream_check_data(PyObject *data);

/* can_write_eof of both kinds: True. */
PyObject *al_stream_py_can_write_eof(PyObject *op, PyObject *unused);

#endif
