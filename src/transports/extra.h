/* extra.h - what a transport tells of itself: get_extra_info, repr, the
 * attributes that libraries read; and the server that counts it. */
#ifndef AL_TRANSPORTS_EXTRA_H
#define AL_TRANSPORTS_EXTRA_H

#include "transports/transport.h"

/* The descriptor is about to be closed: remember what is asked afterwards.
 * Leaves no exception. */
void al_extra_keep(al_transport *self);

/* Tell a server of a connection's begin and end. NULL with an exception. */
PyObject *al_server_attach(PyObject *server, struct al_state *st,
                           PyObject *transport);
PyObject *al_server_detach(PyObject *server, struct al_state *st,
                           PyObject *transport);

#endif
