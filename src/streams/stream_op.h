/* stream_op.h - what the coroutine methods of readers and writers return.
 *
 * A family of futures/op.h. A read that has to wait yields the future that
 * asyncio would make, reader._waiter, and goes on in the task when whoever
 * feeds the reader has completed it.
 *
 * Threads: the loop's.
 */
#ifndef AL_STREAMS_STREAM_OP_H
#define AL_STREAMS_STREAM_OP_H

#include "futures/op.h"
#include "streams/reader.h"
#include "streams/writer.h"

typedef struct {
    OpObject op;         /* args: those of the method */
    PyObject *owner;     /* strong: the reader or writer */
    ReaderState *state;  /* strong: of that reader, or NULL */
    WriterState *writer; /* strong: of that writer, or NULL */
    PyObject *blocks;    /* strong: a list, what read() has so far; or NULL */
    Py_ssize_t wanted;   /* how many bytes */
    Py_ssize_t block_limit; /* the reader's limit when the block was begun */
    Py_ssize_t offset;      /* before it there is no separator */
    bool waiting;           /* we have set reader._waiter */
} StreamOpObject;

/* A call of a method of `owner`; its state is the caller's to set. New
 * reference, or NULL with an exception set. */
StreamOpObject *al_stream_op_new(const al_op_kind *kind, LoopObject *loop,
                                 PyObject *owner, PyObject *const *values);

extern const al_op_family al_reader_family;
extern const al_op_family al_writer_family;

/* "Not, or not now, for data": reader._waiter is None again. */
void al_stream_op_stop_waiting(StreamOpObject *self);

int al_stream_op_setup(PyObject *module, struct al_state *st);

#endif
