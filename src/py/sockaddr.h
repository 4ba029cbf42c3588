/* sockaddr.h - socket addresses as Python sees them, and back. */
#ifndef AL_PY_SOCKADDR_H
#define AL_PY_SOCKADDR_H

#include "py/compat.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* An address of the families that most sockets have, in little room. */
typedef struct {
    union {
        sa_family_t family; /* AF_UNSPEC: not known */
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
} al_address;

/* Keep a kernel's address when it is of a family that fits; else `to` is made
 * AF_UNSPEC. */
void al_address_set(al_address *to, const struct sockaddr *from,
                    socklen_t len);

/* What `sock.getpeername()` returns for it. New reference; NULL with an
 * exception set. Families other than AF_INET, AF_INET6 and AF_UNIX give
 * NotImplemented: ask the socket object. */
PyObject *al_sockaddr_to_py(const struct sockaddr *address, socklen_t len);

/* The other way, for a numeric AF_INET or AF_INET6 tuple and an AF_UNIX path
 * or abstract name. 1: done; 0: it is something else (a host name, a wrong
 * type), for which the socket module has the words; -1: an exception. */
int al_sockaddr_from_py(int family, PyObject *address,
                        struct sockaddr_storage *to, socklen_t *len);

#endif
