/* server.h - the C half of what create_server returns.
 *
 * asyncloop.Server is asyncio's own Server, whose rules for closing and
 * waiting differ from version to version, with the bookkeeping of its
 * connections in C: type("Server", (ServerCore, asyncio.Server), ...), made
 * by asyncloop/_serve.py.
 */
#ifndef AL_SERVERS_SERVER_H
#define AL_SERVERS_SERVER_H

#include "py/state.h"

/* _set_server_class(cls): from here on it is the server whose connections are
 * counted without a call. */
PyObject *al_server_py_set_class(PyObject *module, PyObject *cls);

#define AL_SERVER_FUNCTIONS                                                   \
    {                                                                         \
        "_set_server_class", al_server_py_set_class, METH_O, NULL             \
    }

int al_server_setup(PyObject *module, struct al_state *st);

#endif
