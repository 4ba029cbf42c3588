/* calls.h - sock_recv and its kin, as methods of Loop. */
#ifndef AL_SOCKETS_CALLS_H
#define AL_SOCKETS_CALLS_H

#include "loop/loop.h"

#define AL_CALL_METHOD(name)                                                  \
    PyObject *al_calls_py_##name(PyObject *op, PyObject *const *args,         \
                                 Py_ssize_t nargs, PyObject *kwnames)

AL_CALL_METHOD(recv);
AL_CALL_METHOD(recv_into);
AL_CALL_METHOD(recvfrom);
AL_CALL_METHOD(recvfrom_into);
AL_CALL_METHOD(sendall);
AL_CALL_METHOD(sendto);
AL_CALL_METHOD(connect);
AL_CALL_METHOD(accept);

#define AL_CALLS_LOOP_METHODS                                                 \
    {"sock_recv", _PyCFunction_CAST(al_calls_py_recv),                        \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "sock_recv($self, sock, n)\n--\n\n"                                      \
     "Receive at most n bytes from a socket; b'' at its end."},               \
        {"sock_recv_into", _PyCFunction_CAST(al_calls_py_recv_into),          \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "sock_recv_into($self, sock, buf)\n--\n\n"                           \
         "Receive into a buffer; how many bytes."},                           \
        {"sock_recvfrom", _PyCFunction_CAST(al_calls_py_recvfrom),            \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "sock_recvfrom($self, sock, bufsize)\n--\n\n"                        \
         "Receive a datagram; its bytes and the sender's address."},          \
        {"sock_recvfrom_into", _PyCFunction_CAST(al_calls_py_recvfrom_into),  \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "sock_recvfrom_into($self, sock, buf, nbytes=0)\n--\n\n"             \
         "Receive a datagram into a buffer; its length and the address."},    \
        {"sock_sendall", _PyCFunction_CAST(al_calls_py_sendall),              \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "sock_sendall($self, sock, data)\n--\n\n"                            \
         "Send all of the data."},                                            \
        {"sock_sendto", _PyCFunction_CAST(al_calls_py_sendto),                \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "sock_sendto($self, sock, data, address)\n--\n\n"                    \
         "Send a datagram; how many bytes were sent."},                       \
        {"sock_connect", _PyCFunction_CAST(al_calls_py_connect),              \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "sock_connect($self, sock, address)\n--\n\n"                         \
         "Connect a socket to an address."},                                  \
    {                                                                         \
        "sock_accept", _PyCFunction_CAST(al_calls_py_accept),                 \
            METH_FASTCALL | METH_KEYWORDS,                                    \
            "sock_accept($self, sock)\n--\n\n"                                \
            "Accept a connection; its socket and the peer's address."         \
    }

#endif
