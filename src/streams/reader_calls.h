/* reader_calls.h - the coroutine methods of a reader.
 *
 * Each does what asyncio's method does, in its order: what it checks, what it
 * takes from the buffer before it raises, when it resumes the transport.
 * Arguments that are not plain are left to asyncio's.
 *
 * Threads: the loop's.
 */
#ifndef AL_STREAMS_READER_CALLS_H
#define AL_STREAMS_READER_CALLS_H

#include "streams/stream_op.h"

static inline StreamOpObject *
stream_op(OpObject *op)
{
    return (StreamOpObject *)op;
}

/* Before the first step: is the reader to be read in C? */
static inline bool
al_read_may_begin(StreamOpObject *self)
{
    return al_reader_is_plain(self->state, self->owner);
}

/* 0, or -1 with the reader's exception set, if it has one. */
int al_read_check(const ReaderState *state);

/* _wait_for_data(name) */
al_op_outcome al_read_wait(const ReaderState *state, const char *name);

/* Take so many bytes as the result, which makes room. */
al_op_outcome al_read_take(StreamOpObject *self, Py_ssize_t count);

/* Raise IncompleteReadError(all there is, expected); NULL: None. */
al_op_outcome al_read_incomplete(StreamOpObject *self, PyObject *expected);

/* Make the operation, or asyncio's coroutine. New reference, or NULL. */
PyObject *al_read_call(const al_op_kind *kind, PyObject *reader,
                       PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames);

PyObject *al_read_py_read(PyObject *op, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_read_py_readexactly(PyObject *op, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames);
/* reader_lines.c */
PyObject *al_read_py_readuntil(PyObject *op, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_read_py_readline(PyObject *op, PyObject *unused);
PyObject *al_read_py_anext(PyObject *op, PyObject *unused);

#define AL_READ_METHODS                                                       \
    {"read", _PyCFunction_CAST(al_read_py_read),                              \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "read($self, n=-1)\n--\n\nUp to n bytes, or all until the end."},        \
        {"readexactly", _PyCFunction_CAST(al_read_py_readexactly),            \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "readexactly($self, n)\n--\n\nExactly n bytes."},                    \
        {"readuntil", _PyCFunction_CAST(al_read_py_readuntil),                \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "readuntil($self, separator=b'\\n')\n--\n\n"                         \
         "All up to a separator, and that."},                                 \
        {"readline", al_read_py_readline, METH_NOARGS,                        \
         "readline($self, /)\n--\n\nA line with its end."},                   \
    {                                                                         \
        "__anext__", al_read_py_anext, METH_NOARGS, NULL                      \
    }

#endif
