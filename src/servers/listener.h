/* listener.h - accepting connections.
 *
 * A listener is a C object that the watch calls when connections wait: it
 * takes in a batch of them and makes protocol and transport for each without
 * a task. It serves one listening socket, which stays the server's.
 *
 * Ownership: the watch holds the listener while it listens, the retry timer
 * while it waits for descriptors; the socket object is held, and closed by
 * whoever called _start_serving.
 * Threads: the loop's.
 */
#ifndef AL_SERVERS_LISTENER_H
#define AL_SERVERS_LISTENER_H

#include "loop/loop.h"

PyObject *al_listener_py_start_serving(PyObject *op, PyObject *args,
                                       PyObject *kwargs);
PyObject *al_listener_py_stop_listening(PyObject *op, PyObject *sock);

#define AL_LISTENER_LOOP_METHODS                                              \
    {"_start_serving", _PyCFunction_CAST(al_listener_py_start_serving),       \
     METH_VARARGS | METH_KEYWORDS, NULL},                                     \
    {                                                                         \
        "_stop_listening", al_listener_py_stop_listening, METH_O, NULL        \
    }

int al_listener_setup(PyObject *module, struct al_state *st);

#endif
