/* socket.h - the transport of TCP and Unix stream sockets. */
#ifndef AL_TRANSPORTS_SOCKET_H
#define AL_TRANSPORTS_SOCKET_H

#include "transports/transport.h"

/* A transport for a connected, non-blocking socket that is not yet adopted;
 * the caller calls al_transport_adopt and al_transport_begin. New reference,
 * or NULL with an exception set. `extra` and `server` may be NULL. */
al_transport *al_socket_transport_new(LoopObject *loop, PyObject *protocol,
                                      PyObject *extra, PyObject *server);

/* Small writes are not to wait for acknowledgements. */
void al_socket_set_nodelay(int fd);

PyObject *al_socket_py_make_transport(PyObject *op, PyObject *args,
                                      PyObject *kwargs);

#define AL_SOCKET_LOOP_METHODS                                                \
    {                                                                         \
        "_make_socket_transport",                                             \
            _PyCFunction_CAST(al_socket_py_make_transport),                   \
            METH_VARARGS | METH_KEYWORDS, NULL                                \
    }

int al_socket_setup(PyObject *module, struct al_state *st);

#endif
