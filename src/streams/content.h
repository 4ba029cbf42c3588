/* content.h - the bytes that a reader has and nobody has read yet.
 *
 * To asyncio's users they are a bytearray, `reader._buffer`. What a transport
 * reads is kept as the `bytes` that it came in, so that a read that takes all
 * of it takes the object, and one that takes a part copies once. It moves into
 * the bytearray when somebody wants to see that, when more comes on top of
 * something large, and when a read has to wait for more.
 *
 * Invariant: with a chunk, the bytearray is empty and nobody else has it;
 * `at` is less than the chunk's size.
 *
 * Ownership: the content has a reference to both.
 */
#ifndef AL_STREAMS_CONTENT_H
#define AL_STREAMS_CONTENT_H

#include "py/compat.h"

typedef struct {
    PyObject *array; /* strong: a bytearray */
    PyObject *chunk; /* strong: bytes, or NULL */
    Py_ssize_t at;   /* what has been taken off the chunk */
} al_content;

static inline Py_ssize_t
al_content_len(const al_content *self)
{
    return self->chunk == NULL ? PyByteArray_GET_SIZE(self->array)
                               : PyBytes_GET_SIZE(self->chunk) - self->at;
}

/* Where they are; good until the content changes. */
static inline const char *
al_content_data(const al_content *self)
{
    return self->chunk == NULL ? PyByteArray_AS_STRING(self->array)
                               : PyBytes_AS_STRING(self->chunk) + self->at;
}

/* Each of the following: 0, or -1 with an exception set (MemoryError, or
 * BufferError where somebody looks into the bytearray) and nothing changed. */

/* Add to the end. Of `bytes`, exact bytes, a reference may be kept. */
int al_content_add(al_content *self, const char *data, Py_ssize_t count);
int al_content_add_bytes(al_content *self, PyObject *bytes);

/* Take `count` bytes off the front, no more than there are. */
int al_content_drop(al_content *self, Py_ssize_t count);

/* What is left has to wait for more: give back the memory of what has been
 * taken, if that is much. */
int al_content_trim(al_content *self);

/* Have all in the bytearray. */
int al_content_settle(al_content *self);

/* The same with what is taken as bytes: a new reference, or NULL. */
PyObject *al_content_take(al_content *self, Py_ssize_t count);

/* Where `what` begins at `from` or later, which may be beyond the end; -1:
 * nowhere. */
Py_ssize_t al_content_find(const al_content *self, const char *what,
                           Py_ssize_t len, Py_ssize_t from);

#endif
