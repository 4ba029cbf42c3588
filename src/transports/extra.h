/* extra.h - what a transport tells of itself: get_extra_info, repr, the
 * attributes that libraries read. */
#ifndef AL_TRANSPORTS_EXTRA_H
#define AL_TRANSPORTS_EXTRA_H

#include "transports/transport.h"

/* The descriptor is about to be closed: remember what is asked afterwards.
 * Leaves no exception. */
void al_extra_keep(al_transport *self);

#endif
