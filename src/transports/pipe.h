/* pipe.h - transports of connect_read_pipe and connect_write_pipe: pipes,
 * sockets and character devices, one direction each. */
#ifndef AL_TRANSPORTS_PIPE_H
#define AL_TRANSPORTS_PIPE_H

#include "transports/transport.h"

PyObject *al_pipe_py_make_reader(PyObject *op, PyObject *args,
                                 PyObject *kwargs);
PyObject *al_pipe_py_make_writer(PyObject *op, PyObject *args,
                                 PyObject *kwargs);

#define AL_PIPE_LOOP_METHODS                                                  \
    {"_make_read_pipe_transport", _PyCFunction_CAST(al_pipe_py_make_reader),  \
     METH_VARARGS | METH_KEYWORDS, NULL},                                     \
    {                                                                         \
        "_make_write_pipe_transport",                                         \
            _PyCFunction_CAST(al_pipe_py_make_writer),                        \
            METH_VARARGS | METH_KEYWORDS, NULL                                \
    }

int al_pipe_setup(PyObject *module, struct al_state *st);

#endif
