/* sockaddr.c - see sockaddr.h.
 *
 * Threads: any, with the GIL.
 */

#include "py/sockaddr.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

void
al_address_set(al_address *to, const struct sockaddr *from, socklen_t len)
{
    if (len >= sizeof(struct sockaddr_in) && from->sa_family == AF_INET) {
        memcpy(&to->in, from, sizeof(to->in));
    }
    else if (len >= sizeof(struct sockaddr_in6) &&
             from->sa_family == AF_INET6) {
        memcpy(&to->in6, from, sizeof(to->in6));
    }
    else {
        to->family = AF_UNSPEC;
    }
}

static PyObject *
unix_to_py(const struct sockaddr_un *address, socklen_t len)
{
    size_t room = len <= offsetof(struct sockaddr_un, sun_path)
                      ? 0
                      : len - offsetof(struct sockaddr_un, sun_path);

    if (room > 0 && address->sun_path[0] == 0) {
        return PyBytes_FromStringAndSize(address->sun_path, (Py_ssize_t)room);
    }
    return PyUnicode_DecodeFSDefaultAndSize(
        address->sun_path, (Py_ssize_t)strnlen(address->sun_path, room));
}

/* ('host', port), built without a format string: it is made for each
 * datagram. */
static PyObject *
host_and_port(int family, const void *host, uint16_t port, Py_ssize_t size)
{
    char text[INET6_ADDRSTRLEN];

    if (inet_ntop(family, host, text, sizeof(text)) == NULL) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *tuple = PyTuple_New(size);
    PyObject *name = PyUnicode_FromString(text);
    PyObject *number = PyLong_FromLong(ntohs(port));
    if (tuple == NULL || name == NULL || number == NULL) {
        Py_XDECREF(tuple);
        Py_XDECREF(name);
        Py_XDECREF(number);
        return NULL;
    }
    PyTuple_SET_ITEM(tuple, 0, name);
    PyTuple_SET_ITEM(tuple, 1, number);
    return tuple;
}

static PyObject *
in6_to_py(const struct sockaddr_in6 *address)
{
    PyObject *tuple =
        host_and_port(AF_INET6, &address->sin6_addr, address->sin6_port, 4);
    PyObject *flow = PyLong_FromUnsignedLong(ntohl(address->sin6_flowinfo));
    PyObject *scope = PyLong_FromUnsignedLong(address->sin6_scope_id);

    if (tuple == NULL || flow == NULL || scope == NULL) {
        Py_XDECREF(tuple);
        Py_XDECREF(flow);
        Py_XDECREF(scope);
        return NULL;
    }
    PyTuple_SET_ITEM(tuple, 2, flow);
    PyTuple_SET_ITEM(tuple, 3, scope);
    return tuple;
}

PyObject *
al_sockaddr_to_py(const struct sockaddr *address, socklen_t len)
{
    if (len < sizeof(sa_family_t)) {
        Py_RETURN_NONE; /* no address, as of a socket pair's datagram */
    }
    switch (address->sa_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return host_and_port(AF_INET, &in->sin_addr, in->sin_port, 2);
    }
    case AF_INET6:
        return in6_to_py((const struct sockaddr_in6 *)address);
    case AF_UNIX:
        return unix_to_py((const struct sockaddr_un *)address, len);
    default:
        Py_RETURN_NOTIMPLEMENTED;
    }
}

/* A tuple's item as a number from 0 to `max`. False where it is not that. */
static bool
item_number(PyObject *tuple, Py_ssize_t at, unsigned long max,
            unsigned long *number)
{
    PyObject *item = PyTuple_GET_ITEM(tuple, at);

    if (!PyLong_CheckExact(item)) {
        return false;
    }
    *number = PyLong_AsUnsignedLong(item);
    if (*number == (unsigned long)-1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return *number <= max;
}

static int
inet_from_py(int family, PyObject *address, struct sockaddr_storage *to,
             socklen_t *len)
{
    unsigned long port, flow = 0, scope = 0;
    Py_ssize_t size;

    if (!PyTuple_CheckExact(address)) {
        return 0;
    }
    size = PyTuple_GET_SIZE(address);
    bool right_size = family == AF_INET ? size == 2 : size >= 2 && size <= 4;
    if (!right_size || !item_number(address, 1, 0xffff, &port) ||
        !PyUnicode_CheckExact(PyTuple_GET_ITEM(address, 0)) ||
        (size > 2 && !item_number(address, 2, 0xfffff, &flow)) ||
        (size > 3 && !item_number(address, 3, 0xffffffff, &scope))) {
        return 0;
    }
    const char *host = PyUnicode_AsUTF8(PyTuple_GET_ITEM(address, 0));
    if (host == NULL) {
        PyErr_Clear();
        return 0;
    }
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        memset(in, 0, sizeof(*in));
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *len = sizeof(*in);
        return inet_pton(AF_INET, host, &in->sin_addr) == 1;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    memset(in6, 0, sizeof(*in6));
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    in6->sin6_flowinfo = htonl((uint32_t)flow);
    in6->sin6_scope_id = (uint32_t)scope;
    *len = sizeof(*in6);
    return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
}

static int
unix_from_py(PyObject *address, struct sockaddr_storage *to, socklen_t *len)
{
    struct sockaddr_un *un = (struct sockaddr_un *)to;
    PyObject *path = NULL;

    if (PyUnicode_CheckExact(address)) {
        path = PyUnicode_EncodeFSDefault(address);
        if (path == NULL) {
            return -1;
        }
    }
    else if (PyBytes_CheckExact(address)) {
        path = Py_NewRef(address);
    }
    else {
        return 0;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(path);
    /* A path needs room for its end; an abstract name starts with a zero. */
    bool is_abstract = size > 0 && PyBytes_AS_STRING(path)[0] == 0;
    bool fits = size + !is_abstract <= sizeof(un->sun_path);
    if (fits) {
        memset(un, 0, sizeof(*un));
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, PyBytes_AS_STRING(path), size);
        *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size +
                           !is_abstract);
    }
    Py_DECREF(path);
    return fits;
}

int
al_sockaddr_from_py(int family, PyObject *address, struct sockaddr_storage *to,
                    socklen_t *len)
{
    if (family == AF_INET || family == AF_INET6) {
        return inet_from_py(family, address, to, len);
    }
    return family == AF_UNIX ? unix_from_py(address, to, len) : 0;
}
