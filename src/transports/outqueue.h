/* outqueue.h - what a stream has been given to write and has not sent.
 *
 * A queue of `bytes`, the first of which may be sent in part. A few fit into
 * the queue itself; more of them go to the heap until the queue is empty.
 *
 * Ownership: the queue holds a reference to each.
 */
#ifndef AL_TRANSPORTS_OUTQUEUE_H
#define AL_TRANSPORTS_OUTQUEUE_H

#include "py/compat.h"

#include <sys/uio.h>

#define AL_OUTQUEUE_INLINE 2
#define AL_OUTQUEUE_IOV 256 /* of one system call */

typedef struct {
    PyObject **items; /* `few`, or memory of its own */
    uint32_t head;    /* index of the first */
    uint32_t count;
    uint32_t room; /* entries that `items` can hold */
    size_t offset; /* bytes of the first that are sent */
    size_t size;   /* bytes that are not sent */
    PyObject *few[AL_OUTQUEUE_INLINE];
} al_outqueue;

void al_outqueue_init(al_outqueue *self);

/* Add a bytes object; steals it. 0, or -1 with MemoryError set. */
int al_outqueue_add_steal(al_outqueue *self, PyObject *bytes);

/* Describe the first pieces; the number of entries filled. */
int al_outqueue_iov(const al_outqueue *self, struct iovec *iov, int room);

/* So many bytes were sent. */
void al_outqueue_consume(al_outqueue *self, size_t sent);

void al_outqueue_clear(al_outqueue *self);

/* The pieces as a list, what is sent left out; NULL with an exception set. */
PyObject *al_outqueue_as_list(const al_outqueue *self);

#endif
