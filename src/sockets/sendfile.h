/* sendfile.h - sock_sendfile, as a method of Loop. */
#ifndef AL_SOCKETS_SENDFILE_H
#define AL_SOCKETS_SENDFILE_H

#include "loop/loop.h"

PyObject *al_sendfile_py_sock(PyObject *op, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames);

#define AL_SENDFILE_LOOP_METHODS                                              \
    {                                                                         \
        "sock_sendfile", _PyCFunction_CAST(al_sendfile_py_sock),              \
            METH_FASTCALL | METH_KEYWORDS,                                    \
            "sock_sendfile($self, sock, file, offset=0, count=None, *, "      \
            "fallback=True)\n--\n\n"                                          \
            "Send a file through a socket, by sendfile(2) if possible."       \
    }

#endif
