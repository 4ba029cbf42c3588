/* connector.h - making outgoing stream connections.
 *
 * A connector tries addresses until one connects: one after the other, or as
 * RFC 8305 has it ("happy eyeballs"), where the next one is started when the
 * last one has failed or a delay has passed, and the first to connect wins.
 * It starts when it is made. asyncloop/_connect.py awaits `pending`, if there
 * is one, and then make_transport(), in the task of the caller: the protocol
 * factory runs there and nowhere else.
 *
 *   trying --one connects--> connected --make_transport--> made
 *     `--the last one fails--> failed         close() from everywhere --> over
 *
 * Invariants:
 *   1. a descriptor is a candidate's while it is tried, then the connector's,
 *      then the transport's or the socket object's, and closed by who has it;
 *   2. `pending` is there exactly while it is trying after the constructor;
 *   3. a timer exists only while trying, and only if a candidate is left.
 *
 * Ownership: the awaiting coroutine holds the connector; so do the watch of
 * each candidate that waits, and the timer.
 * Threads: the loop's.
 */
#ifndef AL_SERVERS_CONNECTOR_H
#define AL_SERVERS_CONNECTOR_H

#include "loop/loop.h"

PyObject *al_connector_py_to_literal(PyObject *op, PyObject *const *args,
                                     Py_ssize_t nargs);
PyObject *al_connector_py_to_infos(PyObject *op, PyObject *const *args,
                                   Py_ssize_t nargs);
PyObject *al_connector_py_to_path(PyObject *op, PyObject *path);

#define AL_CONNECTOR_LOOP_METHODS                                             \
    {"_connect_literal", _PyCFunction_CAST(al_connector_py_to_literal),       \
     METH_FASTCALL, NULL},                                                    \
        {"_connect_infos", _PyCFunction_CAST(al_connector_py_to_infos),       \
         METH_FASTCALL, NULL},                                                \
    {                                                                         \
        "_connect_path", al_connector_py_to_path, METH_O, NULL                \
    }

int al_connector_setup(PyObject *module, struct al_state *st);

#endif
