/* writer.h - asyncio.StreamWriter in C.
 *
 * An adopted writer has a class derived from asyncio's, and nothing else
 * changes: its attributes stay in its dict. What it writes to is called
 * through an outlet (transports/inlet.h) where it has one.
 *
 * Threads: the loop's.
 */
#ifndef AL_STREAMS_WRITER_H
#define AL_STREAMS_WRITER_H

#include "py/state.h"

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

#endif
