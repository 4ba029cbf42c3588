/* server_link.h - how a transport and the server that it belongs to know of
 * each other.
 *
 * A server of ours (servers/server.c) begins with this struct: its transports
 * are in a list through their own fields, at no cost but two pointers. Any
 * other server gets the calls of asyncio's: _attach and _detach.
 *
 * Ownership: the transport holds the server; the list holds nobody, and a
 * transport leaves it when it is released, or dies.
 * Threads: the loop's.
 */
#ifndef AL_TRANSPORTS_SERVER_LINK_H
#define AL_TRANSPORTS_SERVER_LINK_H

#include "transports/transport.h"

typedef struct al_server_base {
    PyObject_HEAD
    al_transport *clients; /* borrowed; linked by server_next */
    size_t active;         /* how many, foreign transports included */
} al_server_base;

/* A connection begins or ends. 0, or -1 with an exception set. */
int al_server_attach(PyObject *server, al_transport *transport);
int al_server_detach(PyObject *server, al_transport *transport);

/* The list's part of it, for a server of ours. */
void al_server_link(al_server_base *server, al_transport *transport);
void al_server_unlink(al_server_base *server, al_transport *transport);

#endif
