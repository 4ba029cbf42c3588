/* reader.h - add_reader, add_writer and their removal, as methods of Loop. */
#ifndef AL_SOCKETS_READER_H
#define AL_SOCKETS_READER_H

#include "loop/loop.h"

PyObject *al_reader_py_add_reader(PyObject *op, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_reader_py_add_writer(PyObject *op, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_reader_py_remove_reader(PyObject *op, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_reader_py_remove_writer(PyObject *op, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_reader_py_transport_add_reader(PyObject *op,
                                            PyObject *const *args,
                                            Py_ssize_t nargs,
                                            PyObject *kwnames);
PyObject *al_reader_py_transport_add_writer(PyObject *op,
                                            PyObject *const *args,
                                            Py_ssize_t nargs,
                                            PyObject *kwnames);
PyObject *al_reader_py_transport_remove_reader(PyObject *op, PyObject *fd);
PyObject *al_reader_py_transport_remove_writer(PyObject *op, PyObject *fd);
PyObject *al_reader_py_ensure_fd_no_transport(PyObject *op, PyObject *fd);
PyObject *al_reader_py_watched_events(PyObject *op, PyObject *fd);

/* Is `fd` free of transports of this loop? 0, or -1 with RuntimeError set. */
int al_reader_ensure_free(LoopObject *self, int fd);

/* The names with an underscore are for transports, which own their
 * descriptor: no check that a transport has it. */
#define AL_READER_LOOP_METHODS                                                \
    {"add_reader", _PyCFunction_CAST(al_reader_py_add_reader),                \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "add_reader($self, fd, callback, *args)\n--\n\n"                         \
     "Call back whenever the descriptor can be read."},                       \
        {"remove_reader", _PyCFunction_CAST(al_reader_py_remove_reader),      \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "remove_reader($self, fd)\n--\n\n"                                   \
         "Stop watching the descriptor for reading."},                        \
        {"add_writer", _PyCFunction_CAST(al_reader_py_add_writer),            \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "add_writer($self, fd, callback, *args)\n--\n\n"                     \
         "Call back whenever the descriptor can be written."},                \
        {"remove_writer", _PyCFunction_CAST(al_reader_py_remove_writer),      \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "remove_writer($self, fd)\n--\n\n"                                   \
         "Stop watching the descriptor for writing."},                        \
        {"_add_reader", _PyCFunction_CAST(al_reader_py_transport_add_reader), \
         METH_FASTCALL | METH_KEYWORDS, NULL},                                \
        {"_remove_reader", al_reader_py_transport_remove_reader, METH_O,      \
         NULL},                                                               \
        {"_add_writer", _PyCFunction_CAST(al_reader_py_transport_add_writer), \
         METH_FASTCALL | METH_KEYWORDS, NULL},                                \
        {"_remove_writer", al_reader_py_transport_remove_writer, METH_O,      \
         NULL},                                                               \
        {"_watched_events", al_reader_py_watched_events, METH_O, NULL},       \
    {                                                                         \
        "_ensure_fd_no_transport", al_reader_py_ensure_fd_no_transport,       \
            METH_O, NULL                                                      \
    }

#endif
