/* candidate.h - one address that a connector may try, and the trying.
 *
 * A candidate is filled in from an address as getaddrinfo gives it; trying it
 * opens a socket, binds it and calls connect(2).
 *
 * Ownership: `fd` is open and the candidate's while it is not -1. Neither the
 * connector nor the transport has it then; whoever takes it sets -1.
 * Threads: the loop's.
 */
#ifndef AL_SERVERS_CANDIDATE_H
#define AL_SERVERS_CANDIDATE_H

#include "loop/loop.h"
#include "watch/watch.h"

#include <sys/socket.h>

typedef struct {
    al_watch_user user; /* its owner is the connector */
    PyObject *family;   /* strong: as it was given, for messages; or NULL */
    PyObject *address;  /* strong: likewise */
    PyObject *errors;   /* strong: a list of what went wrong, or NULL */
    struct sockaddr_storage to;
    socklen_t len;
    int domain; /* what socket(2) is called with */
    int type;
    int proto;
    int fd;
} al_candidate;

/* How trying ended. */
typedef enum {
    AL_TRY_CONNECTED,
    AL_TRY_WAITS, /* the kernel is at it: wait until `fd` can be written */
    AL_TRY_FAILED /* the reasons are in `errors`, and `fd` is closed */
} al_try;

/* Fill in a candidate (zeroed memory) from (family, type, proto, name,
 * address). 1; or 0 where it is not as the socket module gives it, or needs
 * to be resolved: asyncio's code has the words for that; -1: an exception. */
int al_candidate_from_info(al_candidate *self, PyObject *info);

/* Can each of these be bound to, like al_candidate_from_info? */
int al_candidate_check_locals(PyObject *locals);

/* Try it. `locals` is a tuple of addresses to bind to, or NULL. May run
 * foreign code, in which `fd` may be closed. */
al_try al_candidate_try(al_candidate *self, LoopObject *loop,
                        PyObject *locals);

/* The event is there: did it connect? CONNECTED or FAILED. */
al_try al_candidate_finish(al_candidate *self, LoopObject *loop);

/* Close `fd`, if it is open. May run foreign code. */
void al_candidate_close(al_candidate *self, LoopObject *loop);

/* Move the exception that is set to `errors`. */
void al_candidate_note_error(al_candidate *self);

#endif
