/* send_batch.h - datagrams that have been written and not sent, and sending
 * many of them in one system call.
 *
 * Consecutive datagrams of one size for one address leave as one message
 * that the network cuts into segments (UDP_SEGMENT); the others are messages
 * of their own. Messages go by sendmmsg.
 *
 * Ownership: the queue holds a reference to the data and address of each.
 */
#ifndef AL_TRANSPORTS_SEND_BATCH_H
#define AL_TRANSPORTS_SEND_BATCH_H

#include "py/sockaddr.h"

typedef struct {
    PyObject *data;     /* strong: bytes */
    PyObject *to;       /* strong, or NULL: `address` says it */
    al_address address; /* AF_UNSPEC with no `to`: the connected peer */
    bool by_object;     /* only the socket module knows how to send it */
} al_datagram;

typedef struct {
    al_datagram *items; /* NULL until the first */
    uint32_t head;      /* index of the first */
    uint32_t count;
    uint32_t room;
    size_t size; /* of the data, and of what is counted for each besides */
} al_dgram_queue;

static inline al_datagram *
al_dgram_first(const al_dgram_queue *self)
{
    return &self->items[self->head];
}

/* Add one; steals its references, also on failure.
 * 0, or -1 with MemoryError set. */
int al_dgram_add_steal(al_dgram_queue *self, al_datagram datagram);

/* Take out the first. May run foreign code. */
void al_dgram_drop(al_dgram_queue *self);

/* Take out all and free the memory. May run foreign code. */
void al_dgram_clear(al_dgram_queue *self);

/* Can runs leave as segments through this socket? */
bool al_dgram_can_segment(int fd);

/* Send the first datagrams, of at most `limit`, up to one that goes by object
 * (the first must not). Runs of datagrams shorter than `segment_below` go as
 * segments. The number sent, or -1 with errno; then `*run` is the number of
 * datagrams in the message that failed, which are as they were. */
int al_dgram_send(const al_dgram_queue *self, int fd, uint32_t limit,
                  size_t segment_below, unsigned *run);

#endif
