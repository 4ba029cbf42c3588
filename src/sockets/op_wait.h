/* op_wait.h - how an operation waits for its descriptor. */
#ifndef AL_SOCKETS_OP_WAIT_H
#define AL_SOCKETS_OP_WAIT_H

#include "sockets/sock_op.h"

/* Become the reader or writer. 0, or -1 with an exception set. */
int al_op_watch(SockOpObject *self);

/* No longer be it. The caller holds a reference. Leaves the exception state
 * alone. */
void al_op_unwatch(SockOpObject *self);

/* The members of al_watch_user. */
void al_op_on_event(al_watch_user *user, al_watch_side side);
void al_op_on_drop(al_watch_user *user, al_watch_side side, bool gone);

/* A function: the callback of an operation that makes its call from the ready
 * ring. */
extern PyMethodDef al_op_try_again_def;

#endif
