/* addrinfo.h - what getaddrinfo is asked and what it answers, in C.
 *
 * As the socket module has it: lists of (family, type, proto, canonname,
 * sockaddr), whose first two are members of socket's enumerations.
 *
 * Ownership: a query borrows its texts from the objects that it was read
 * from.
 * Threads: any, with the GIL; al_addrinfo_py_look_up gives it up while the
 * system looks.
 */
#ifndef AL_EXECUTORS_ADDRINFO_H
#define AL_EXECUTORS_ADDRINFO_H

#include "py/state.h"

enum {
    AL_ASK_HOST,
    AL_ASK_PORT,
    AL_ASK_FAMILY,
    AL_ASK_TYPE,
    AL_ASK_PROTO,
    AL_ASK_FLAGS,
    AL_ASK_ARGS
};

typedef struct {
    const char *host; /* borrowed; NULL: none */
    const char *port; /* borrowed, or `digits`; NULL: none */
    char digits[8];
    int family;
    int type;
    int proto;
    int flags;
} al_query;

/* Read the six arguments (NULL: the default). False where one of them is not
 * of the usual kind, so that the socket module has to look at it: a name that
 * is not ASCII, a wrong type, a number out of range. Never sets an exception.
 */
bool al_query_read(al_query *self, PyObject *const *args);

/* Is this answered without a file, a server or another process being asked? */
bool al_query_is_numeric(const al_query *self);

/* The answer for an address in its usual form with a number for a port.
 * 1; 0: it is no such query; -1 with an exception set. */
int al_addrinfo_of_literal(struct al_state *st, const al_query *query,
                           PyObject *const *args, PyObject **answer);

/* look_up(host, port, family, type, proto, flags): ask the system, for a query
 * that al_query_read accepts. */
PyObject *al_addrinfo_py_look_up(PyObject *module, PyObject *const *args,
                                 Py_ssize_t nargs);

#endif
