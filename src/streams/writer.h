/* writer.h - asyncio.StreamWriter in C.
 *
 * An adopted writer is like an adopted reader (reader.h): a class derived from
 * asyncio's, and a WriterState in its dict for what its attributes are. What it
 * writes to is called through an outlet (transports/inlet.h) where it has one.
 *
 * Ownership: the writer's dict owns the state; fields say the rest.
 * Threads: the loop's.
 */
#ifndef AL_STREAMS_WRITER_H
#define AL_STREAMS_WRITER_H

#include "streams/reader.h"
#include "transports/inlet.h"

typedef struct {
    PyObject_HEAD
    struct al_state *st;         /* borrowed: the type keeps the module */
    LoopObject *loop;            /* strong */
    PyObject *transport;         /* strong; this and the next two: or None */
    PyObject *protocol;          /* strong */
    PyObject *reader;            /* strong */
    ReaderState *reader_state;   /* strong; NULL: the reader has none */
    const al_outlet_ops *outlet; /* the transport's, or NULL */
} WriterState;

/* Of a writer of asyncio's exact class: take over what its dict has. New
 * reference; NULL without an exception if it is not plain, or with one. */
WriterState *al_writer_state_new(struct al_state *st, PyObject *dict);

extern PyGetSetDef al_writer_getset[];

PyObject *al_writer_py_write(PyObject *op, PyObject *const *args,
                             Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_writer_py_writelines(PyObject *op, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_writer_py_is_closing(PyObject *op, PyObject *unused);
PyObject *al_writer_py_close(PyObject *op, PyObject *unused);
PyObject *al_writer_py_drain(PyObject *op, PyObject *unused);

#define AL_WRITER_METHODS                                                     \
    {"write", _PyCFunction_CAST(al_writer_py_write),                          \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "write($self, data)\n--\n\nSend bytes, without blocking."},              \
        {"writelines", _PyCFunction_CAST(al_writer_py_writelines),            \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "writelines($self, data)\n--\n\nSend several pieces."},              \
        {"is_closing", al_writer_py_is_closing, METH_NOARGS,                  \
         "is_closing($self, /)\n--\n\nIs it closing or closed?"},             \
        {"close", al_writer_py_close, METH_NOARGS,                            \
         "close($self, /)\n--\n\nClose after what is written is sent."},      \
    {                                                                         \
        "drain", al_writer_py_drain, METH_NOARGS,                             \
            "drain($self, /)\n--\n\n"                                         \
            "Wait until what is written is mostly sent."                      \
    }

int al_writer_setup(PyObject *module, struct al_state *st);

#endif
