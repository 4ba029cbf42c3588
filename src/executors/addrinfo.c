/* addrinfo.c - see addrinfo.h. */

#include "executors/addrinfo.h"

#include "py/sockaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 63
#define PORT_MAX 65535

/* Flags that mean nothing for an address with a number for a port. */
#define IDLE_FLAGS (AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV)

/* Flags with which such an address is still answered at once. */
#define QUICK_FLAGS (IDLE_FLAGS | AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL)

/* --- the question ----------------------------------------------------------- */

static bool
int_of(PyObject *number, int *value)
{
    *value = 0;
    if (number == NULL) {
        return true;
    }
    if (!PyLong_Check(number)) {
        return false;
    }
    int overflow;
    long wide = PyLong_AsLongAndOverflow(number, &overflow);
    if (overflow != 0 || wide < INT_MIN || wide > INT_MAX) {
        return false;
    }
    *value = (int)wide;
    return true;
}

/* The bytes of ASCII text or of bytes, borrowed; NULL where it is neither, or
 * ends early for C. */
static const char *
text_of(PyObject *object)
{
    const char *text = NULL;
    Py_ssize_t size = 0;

    if (PyUnicode_CheckExact(object) && PyUnicode_IS_COMPACT_ASCII(object)) {
        text = (const char *)PyUnicode_1BYTE_DATA(object);
        size = PyUnicode_GET_LENGTH(object);
    }
    else if (PyBytes_CheckExact(object)) {
        text = PyBytes_AS_STRING(object);
        size = PyBytes_GET_SIZE(object);
    }
    return text != NULL && strlen(text) == (size_t)size ? text : NULL;
}

/* Does the codec for names leave this ASCII text as it is? It refuses labels
 * that are too long, and empty ones but the last. */
static bool
has_good_labels(const char *text)
{
    for (;;) {
        size_t size = strcspn(text, ".");
        if (size > LABEL_MAX) {
            return false;
        }
        if (text[size] == '\0') {
            return true;
        }
        if (size == 0) {
            return false;
        }
        text += size + 1;
    }
}

static bool
read_host(al_query *self, PyObject *host)
{
    self->host = NULL;
    if (host == Py_None) {
        return true;
    }
    self->host = text_of(host);
    return self->host != NULL &&
           (PyBytes_CheckExact(host) || has_good_labels(self->host));
}

static bool
read_port(al_query *self, PyObject *port)
{
    int number;

    self->port = NULL;
    if (port == Py_None) {
        return true;
    }
    if (!PyLong_CheckExact(port)) {
        self->port = text_of(port);
        return self->port != NULL;
    }
    if (!int_of(port, &number) || number < 0 || number > PORT_MAX) {
        return false;
    }
    (void)snprintf(self->digits, sizeof(self->digits), "%d", number);
    self->port = self->digits;
    return true;
}

bool
al_query_read(al_query *self, PyObject *const *args)
{
    return read_host(self, args[AL_ASK_HOST]) &&
           read_port(self, args[AL_ASK_PORT]) &&
           int_of(args[AL_ASK_FAMILY], &self->family) &&
           int_of(args[AL_ASK_TYPE], &self->type) &&
           int_of(args[AL_ASK_PROTO], &self->proto) &&
           int_of(args[AL_ASK_FLAGS], &self->flags);
}

/* An IPv6 address, maybe with a scope, or an IPv4 one, maybe in one of its
 * short forms. */
static bool
is_address(const char *host)
{
    char head[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    struct in_addr in;
    size_t size = strcspn(host, "%");

    if (size < sizeof(head)) {
        memcpy(head, host, size);
        head[size] = '\0';
        if (inet_pton(AF_INET6, head, address) == 1) {
            return true;
        }
    }
    /* inet_aton ignores what comes after white space. */
    return strpbrk(host, " \t\n\v\f\r") == NULL && inet_aton(host, &in) != 0;
}

static bool
is_number(const char *port)
{
    char *end;

    (void)strtoul(port, &end, 10);
    return *end == '\0';
}

bool
al_query_is_numeric(const al_query *self)
{
    bool host = self->host == NULL || (self->flags & AI_NUMERICHOST) ||
                is_address(self->host);
    bool port = self->port == NULL || (self->flags & AI_NUMERICSERV) ||
                is_number(self->port);

    return host && port && (self->flags & ~QUICK_FLAGS) == 0;
}

/* --- the answer ------------------------------------------------------------- */

/* The member of an enumeration, or the number where there is none. */
static PyObject *
member_of(PyObject *enumeration, int value)
{
    PyObject *number = PyLong_FromLong(value);
    PyObject *member =
        number == NULL ? NULL : PyObject_CallOneArg(enumeration, number);

    if (member == NULL && number != NULL &&
        PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        return number;
    }
    Py_XDECREF(number);
    return member;
}

static PyObject *
family_to_py(struct al_state *st, int family)
{
    switch (family) {
    case AF_INET:
        return Py_NewRef(st->socket_AF_INET);
    case AF_INET6:
        return Py_NewRef(st->socket_AF_INET6);
    default:
        return member_of(st->socket_AddressFamily, family);
    }
}

static PyObject *
type_to_py(struct al_state *st, int type)
{
    switch (type) {
    case SOCK_STREAM:
        return Py_NewRef(st->socket_SOCK_STREAM);
    case SOCK_DGRAM:
        return Py_NewRef(st->socket_SOCK_DGRAM);
    case SOCK_RAW:
        return Py_NewRef(st->socket_SOCK_RAW);
    default:
        return member_of(st->socket_SocketKind, type);
    }
}

/* One line of the answer. Steals the address, which may be NULL. */
static PyObject *
info_steal(struct al_state *st, int family, int type, int proto,
           const char *name, PyObject *address)
{
    PyObject *parts[] = {
        family_to_py(st, family),
        type_to_py(st, type),
        PyLong_FromLong(proto),
        PyUnicode_FromString(name == NULL ? "" : name),
        address,
    };
    Py_ssize_t size = Py_ARRAY_LENGTH(parts);
    bool whole = true;

    for (Py_ssize_t i = 0; i < size; i++) {
        whole = whole && parts[i] != NULL;
    }
    PyObject *info = whole ? PyTuple_New(size) : NULL;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (info != NULL) {
            PyTuple_SET_ITEM(info, i, parts[i]); /* the tuple's */
        }
        else {
            Py_XDECREF(parts[i]);
        }
    }
    return info;
}

static PyObject *
address_to_py(const struct addrinfo *info)
{
    PyObject *address = al_sockaddr_to_py(info->ai_addr, info->ai_addrlen);

    if (address != Py_NotImplemented) {
        return address;
    }
    /* What the socket module makes of a family that it does not know. */
    Py_DECREF(address);
    return Py_BuildValue("iy#", info->ai_addr->sa_family,
                         info->ai_addr->sa_data,
                         (Py_ssize_t)sizeof(info->ai_addr->sa_data));
}

/* One address stands in several lines, one after the other: a line for each
 * kind of socket. */
static bool
is_same_address(const struct addrinfo *one, const struct addrinfo *other)
{
    return one != NULL && one->ai_addrlen == other->ai_addrlen &&
           memcmp(one->ai_addr, other->ai_addr, one->ai_addrlen) == 0;
}

static PyObject *
answer_to_py(struct al_state *st, const struct addrinfo *first)
{
    PyObject *list = PyList_New(0);
    PyObject *address = NULL;
    const struct addrinfo *before = NULL;

    for (const struct addrinfo *at = first; at != NULL && list != NULL;
         at = at->ai_next) {
        if (!is_same_address(before, at)) {
            Py_XSETREF(address, address_to_py(at));
        }
        before = at;
        PyObject *info =
            info_steal(st, at->ai_family, at->ai_socktype, at->ai_protocol,
                       at->ai_canonname, Py_XNewRef(address));
        if (info == NULL || PyList_Append(list, info) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(info);
    }
    Py_XDECREF(address);
    return list;
}

static void
raise_code(struct al_state *st, int code)
{
    if (code == EAI_SYSTEM) {
        PyErr_SetFromErrno(PyExc_OSError);
        return;
    }
    PyObject *args = Py_BuildValue("(is)", code, gai_strerror(code));
    if (args != NULL) {
        PyErr_SetObject(st->socket_gaierror, args);
        Py_DECREF(args);
    }
}

PyObject *
al_addrinfo_py_look_up(PyObject *module, PyObject *const *args,
                       Py_ssize_t nargs)
{
    struct al_state *st = al_state_of_module(module);
    struct addrinfo hints = {0};
    struct addrinfo *found = NULL;
    al_query query;

    if (nargs != AL_ASK_ARGS || !al_query_read(&query, args)) {
        PyErr_SetString(PyExc_TypeError, "not a plain query");
        return NULL;
    }
    hints.ai_family = query.family;
    hints.ai_socktype = query.type;
    hints.ai_protocol = query.proto;
    hints.ai_flags = query.flags;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = getaddrinfo(query.host, query.port, &hints, &found);
    Py_END_ALLOW_THREADS
    if (code != 0) {
        raise_code(st, code);
        return NULL;
    }
    PyObject *answer = answer_to_py(st, found);
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return answer;
}

/* --- addresses -------------------------------------------------------------- */

/* Which kinds of sockets the system lists for an address when none is asked
 * for: systems differ, so it is asked once. */
static void
learn_kinds(struct al_state *st)
{
    struct addrinfo hints = {0};
    struct addrinfo *found = NULL;
    size_t count = 0;

    st->any_kinds_asked = true;
    hints.ai_family = AF_INET;
    hints.ai_flags = AI_NUMERICHOST;
    if (getaddrinfo("127.0.0.1", NULL, &hints, &found) != 0) {
        return;
    }
    for (struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        if (count < AL_SOCKET_KINDS) {
            st->any_kinds[count].type = at->ai_socktype;
            st->any_kinds[count].proto = at->ai_protocol;
        }
        count++;
    }
    freeaddrinfo(found);
    st->any_kinds_len = count <= AL_SOCKET_KINDS ? count : 0;
}

/* The kinds of sockets that a query is for. None: let the system say. */
static size_t
kinds_of(struct al_state *st, const al_query *query,
         const al_socket_kind **kinds)
{
    static const al_socket_kind stream = {SOCK_STREAM, IPPROTO_TCP};
    static const al_socket_kind datagram = {SOCK_DGRAM, IPPROTO_UDP};
    const al_socket_kind *known =
        query->type == SOCK_STREAM ? &stream : &datagram;

    if (query->type == SOCK_STREAM || query->type == SOCK_DGRAM) {
        *kinds = known;
        return query->proto == 0 || query->proto == known->proto;
    }
    if (query->type != 0 || query->proto != 0) {
        return 0;
    }
    if (!st->any_kinds_asked) {
        learn_kinds(st);
    }
    *kinds = st->any_kinds;
    return st->any_kinds_len;
}

/* (host, port) or (host, port, 0, 0), where `host` is the address in its one
 * usual form. */
static PyObject *
literal_to_py(int family, PyObject *host, PyObject *port)
{
    Py_ssize_t size = family == AF_INET ? 2 : 4;
    PyObject *address = PyTuple_New(size);

    if (address == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(address, 0, Py_NewRef(host));
    PyTuple_SET_ITEM(address, 1,
                     port == Py_None ? PyLong_FromLong(0) : Py_NewRef(port));
    for (Py_ssize_t i = 2; i < size; i++) {
        PyTuple_SET_ITEM(address, i, PyLong_FromLong(0));
    }
    return address;
}

/* The text's address as (host, port): new reference; NULL without an exception
 * where it is none, or has another family. */
static PyObject *
address_of_literal(const al_query *query, PyObject *host, PyObject *port)
{
    struct in_addr in;
    struct in6_addr in6;
    char text[INET6_ADDRSTRLEN];

    /* Four numbers without leading zeros: the only form that this takes. */
    if (query->family != AF_INET6 &&
        inet_pton(AF_INET, query->host, &in) == 1) {
        return literal_to_py(AF_INET, host, port);
    }
    if (query->family == AF_INET ||
        inet_pton(AF_INET6, query->host, &in6) != 1 ||
        inet_ntop(AF_INET6, &in6, text, sizeof(text)) == NULL) {
        return NULL;
    }
    PyObject *usual = PyUnicode_FromString(text);
    PyObject *address =
        usual == NULL ? NULL : literal_to_py(AF_INET6, usual, port);
    Py_XDECREF(usual);
    return address;
}

int
al_addrinfo_of_literal(struct al_state *st, const al_query *query,
                       PyObject *const *args, PyObject **answer)
{
    PyObject *host = args[AL_ASK_HOST];
    PyObject *port = args[AL_ASK_PORT];
    const al_socket_kind *kinds;

    if (query->host == NULL || !PyUnicode_CheckExact(host) ||
        (port != Py_None && !PyLong_CheckExact(port)) ||
        (query->flags & ~IDLE_FLAGS) != 0 ||
        (query->family != AF_UNSPEC && query->family != AF_INET &&
         query->family != AF_INET6)) {
        return 0;
    }
    size_t count = kinds_of(st, query, &kinds);
    PyObject *address =
        count == 0 ? NULL : address_of_literal(query, host, port);
    if (address == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    int family = PyTuple_GET_SIZE(address) == 2 ? AF_INET : AF_INET6;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; i < count && list != NULL; i++) {
        PyObject *info = info_steal(st, family, kinds[i].type, kinds[i].proto,
                                    "", Py_NewRef(address));
        if (info == NULL) {
            Py_CLEAR(list);
        }
        else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, info); /* the list's */
        }
    }
    Py_DECREF(address);
    *answer = list;
    return list == NULL ? -1 : 1;
}
