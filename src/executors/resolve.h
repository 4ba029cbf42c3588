/* resolve.h - getaddrinfo and getnameinfo, as methods of Loop.
 *
 * Both return an operation (futures/op.h). What is numeric is answered in its
 * first step. Names are looked up in threads of their own (the loop's
 * `resolver`, asyncloop/_resolver.py), never in the executor: slow names do
 * not delay functions, nor the other way round.
 *
 * As in asyncio, it is `socket.getaddrinfo` that is called, as it is at that
 * time: where somebody has replaced it, the replacement is called, in such a
 * thread. In debug mode `_getaddrinfo_debug` is.
 */
#ifndef AL_EXECUTORS_RESOLVE_H
#define AL_EXECUTORS_RESOLVE_H

#include "loop/loop.h"

PyObject *al_resolve_py_getaddrinfo(PyObject *op, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_resolve_py_getnameinfo(PyObject *op, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames);

int al_resolve_setup(PyObject *module, struct al_state *st);

/* One line for each. */
/* clang-format off */
#define AL_RESOLVE_LOOP_METHODS                                               \
    {"getaddrinfo", _PyCFunction_CAST(al_resolve_py_getaddrinfo),             \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "getaddrinfo($self, host, port, *, family=0, type=0, proto=0, "          \
     "flags=0)\n--\n\nThe addresses of a host and a service: as "             \
     "socket.getaddrinfo."},                                                  \
    {"getnameinfo", _PyCFunction_CAST(al_resolve_py_getnameinfo),             \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "getnameinfo($self, sockaddr, flags=0)\n--\n\n"                          \
     "The names of an address: as socket.getnameinfo."}
/* clang-format on */

#endif
