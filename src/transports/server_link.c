/* server_link.c - see server_link.h. */

#include "transports/server_link.h"

void
al_server_link(al_server_base *server, al_transport *transport)
{
    transport->server_prev = NULL;
    transport->server_next = server->clients;
    if (server->clients != NULL) {
        server->clients->server_prev = transport;
    }
    server->clients = transport;
    server->active++;
}

void
al_server_unlink(al_server_base *server, al_transport *transport)
{
    if (transport->server_next != NULL) {
        transport->server_next->server_prev = transport->server_prev;
    }
    if (transport->server_prev != NULL) {
        transport->server_prev->server_next = transport->server_next;
    }
    else {
        server->clients = transport->server_next;
    }
    server->active--;
}

/* asyncio's _attach or _detach. */
static int
call_server(PyObject *server, PyObject *name, al_transport *transport)
{
#if AL_SERVER_KNOWS_CLIENTS
    PyObject *result =
        PyObject_CallMethodOneArg(server, name, (PyObject *)transport);
#else
    (void)transport;
    PyObject *result = PyObject_CallMethodNoArgs(server, name);
#endif
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Is the server ours, with nothing overridden? */
static bool
is_ours(PyObject *server, const struct al_state *st)
{
    return (PyObject *)Py_TYPE(server) == st->server_class;
}

int
al_server_attach(PyObject *server, al_transport *transport)
{
    if (!is_ours(server, transport->st)) {
        return call_server(server, transport->st->str__attach, transport);
    }
    al_server_link((al_server_base *)server, transport);
    return 0;
}

int
al_server_detach(PyObject *server, al_transport *transport)
{
    struct al_state *st = transport->st;

    if (!is_ours(server, st)) {
        return call_server(server, st->str__detach, transport);
    }
    al_server_base *base = (al_server_base *)server;
    al_server_unlink(base, transport);
    if (base->active != 0) {
        return 0;
    }
    /* The last one: a closed server's waiters have waited for it. */
    PyObject *result = PyObject_CallMethodNoArgs(server, st->str__when_idle);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
