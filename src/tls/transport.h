/* transport.h - making TLS connections, and their Python type. */
#ifndef AL_TLS_TRANSPORT_H
#define AL_TLS_TRANSPORT_H

#include "tls/connection.h"
#include "tls/storm.h"

/* What is to be known beforehand; all borrowed. */
typedef struct {
    PyObject *sslcontext;        /* None: a client's default */
    PyObject *waiter;            /* a future, or NULL */
    PyObject *server_hostname;   /* or NULL */
    PyObject *handshake_timeout; /* seconds; None: asyncio's default */
    PyObject *shutdown_timeout;
    bool server_side;
    bool call_connection_made; /* or has the protocol heard it already? */
    bool accepted;             /* there is nobody to raise to */
} al_tls_options;

/* A connection, to be given to a transport as its protocol. New reference, or
 * NULL with an exception set. */
al_tls *al_tls_new(LoopObject *loop, PyObject *protocol,
                   const al_tls_options *options);

PyObject *al_tls_py_make(PyObject *op, PyObject *args, PyObject *kwargs);

#define AL_TLS_LOOP_METHODS                                                   \
    {"_make_tls", _PyCFunction_CAST(al_tls_py_make),                          \
     METH_VARARGS | METH_KEYWORDS, NULL},                                     \
    {                                                                         \
        "_continue_handshakes", al_tls_py_continue_handshakes, METH_NOARGS,   \
            NULL                                                              \
    }

/* For tests: have the pump serve new connections, or no longer. */
PyObject *al_tls_py_force_pump(PyObject *module, PyObject *flag);

#define AL_TLS_MODULE_FUNCTIONS                                               \
    {                                                                         \
        "_force_tls_pump", al_tls_py_force_pump, METH_O, NULL                 \
    }

int al_tls_setup(PyObject *module, struct al_state *st);

#endif
