/* library.c - see library.h. */

#include "tls/library.h"

#include "py/asyncio.h"
#include "tls/bio.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Words of the private structs, alike in CPython 3.11 to 3.15. */
enum {
    SOCKET_SSL = 3,     /* of _ssl._SSLSocket: SSL * */
    SOCKET_CONTEXT = 4, /* the _SSLContext object */
    CONTEXT_CTX = 2,    /* of _ssl._SSLContext: SSL_CTX * */
    BIO_BIO = 2,        /* of _ssl.MemoryBIO: BIO * */
};

al_tls_library al_tls_lib;

static inline void *
word_of(PyObject *object, int index)
{
    return ((void **)object)[index];
}

/* --- looking at an object ------------------------------------------------------ */

/* Has this type room for so many words? */
static bool
has_word(PyObject *object, int index)
{
    return Py_TYPE(object)->tp_basicsize >=
           (Py_ssize_t)((index + 1) * (int)sizeof(void *));
}

/* The SSL of a `_SSLSocket`. Only words are compared until it is sure that
 * they are what they should be; then the library is asked. */
static al_ssl *
ssl_of_socket(PyObject *socket, PyObject *context, PyObject *incoming,
              PyObject *outgoing)
{
    const al_tls_library *lib = &al_tls_lib;

    if (!has_word(socket, SOCKET_CONTEXT) || !has_word(context, CONTEXT_CTX) ||
        !has_word(incoming, BIO_BIO) || !has_word(outgoing, BIO_BIO) ||
        word_of(socket, SOCKET_CONTEXT) != context) {
        return NULL;
    }
    al_ssl *ssl = word_of(socket, SOCKET_SSL);
    al_ssl_ctx *ctx = word_of(context, CONTEXT_CTX);
    if (ssl == NULL || ctx == NULL || lib->SSL_get_ex_data(ssl, 0) != socket ||
        lib->SSL_get_SSL_CTX(ssl) != ctx ||
        lib->SSL_get_rbio(ssl) != word_of(incoming, BIO_BIO) ||
        lib->SSL_get_wbio(ssl) != word_of(outgoing, BIO_BIO)) {
        return NULL;
    }
    return ssl;
}

al_ssl *
al_tls_ssl_of(struct al_state *st, PyObject *sslobj, PyObject *incoming,
              PyObject *outgoing)
{
    al_ssl *ssl = NULL;
    PyObject *context = NULL;
    PyObject *socket = PyObject_GetAttr(sslobj, st->str__sslobj);

    if (socket == NULL || !Py_IS_TYPE(socket, st->ssl_socket_type)) {
        goto done;
    }
    context = PyObject_GetAttr(socket, st->str_context);
    if (context != NULL) {
        ssl = ssl_of_socket(socket, context, incoming, outgoing);
    }

done:
    if (ssl == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(context);
    Py_XDECREF(socket);
    return ssl;
}

/* --- finding the library ------------------------------------------------------- */

struct function {
    const char *name;
    size_t offset;
};

static const struct function functions[] = {
#define AL_TLS_FUNCTION(result, name, parameters)                             \
    {#name, offsetof(al_tls_library, name)},
    AL_TLS_FUNCTIONS(AL_TLS_FUNCTION)
#undef AL_TLS_FUNCTION
};

/* A handle on `_ssl`'s file, through which its libraries are searched as well.
 * NULL, perhaps with an exception set: it is built in, or not loaded so. */
static void *
open_extension(void)
{
    PyObject *file = al_import_attribute("_ssl", "__file__");
    PyObject *path = NULL;
    void *handle = NULL;

    if (file != NULL && PyUnicode_FSConverter(file, &path)) {
        handle = dlopen(PyBytes_AS_STRING(path), RTLD_LAZY | RTLD_NOLOAD);
    }
    Py_XDECREF(path);
    Py_XDECREF(file);
    return handle;
}

/* Fill in the table. Functions and objects are alike in POSIX, but not in C:
 * hence the copy. */
static bool
find_functions(void *handle)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(functions); i++) {
        void *found = dlsym(handle, functions[i].name);
        if (found == NULL) {
            return false;
        }
        memcpy((char *)&al_tls_lib + functions[i].offset, &found,
               sizeof(found));
    }
    return true;
}

/* Is it the library that `ssl` says it uses? */
static bool
is_right_version(void)
{
    PyObject *version = al_import_attribute("ssl", "OPENSSL_VERSION");
    const char *text = version == NULL ? NULL : PyUnicode_AsUTF8(version);
    bool same =
        text != NULL && strcmp(text, al_tls_lib.OpenSSL_version(0)) == 0;

    Py_XDECREF(version);
    return same;
}

/* Make a connection that goes nowhere, and look at it. */
static bool
try_object(struct al_state *st)
{
    PyObject *protocol = al_import_attribute("ssl", "PROTOCOL_TLS_CLIENT");
    PyObject *context =
        protocol == NULL
            ? NULL
            : PyObject_CallMethod(st->ssl_module, "SSLContext", "O", protocol);
    PyObject *incoming = PyObject_CallNoArgs(st->ssl_MemoryBIO);
    PyObject *outgoing = PyObject_CallNoArgs(st->ssl_MemoryBIO);
    PyObject *sslobj = NULL, *socket = NULL;
    al_ssl *ssl = NULL;

    if (context != NULL && incoming != NULL && outgoing != NULL) {
        sslobj = PyObject_CallMethod(context, "wrap_bio", "OOis", incoming,
                                     outgoing, 0, "localhost");
    }
    if (sslobj != NULL) {
        socket = PyObject_GetAttr(sslobj, st->str__sslobj);
    }
    if (socket != NULL) {
        ssl = ssl_of_socket(socket, context, incoming, outgoing);
    }
    bool right =
        ssl != NULL && !al_tls_lib.SSL_is_server(ssl) &&
        al_tls_lib.SSL_CTX_get_ssl_method(al_tls_lib.SSL_get_SSL_CTX(ssl)) ==
            al_tls_lib.TLS_client_method();
    if (right) {
        st->ssl_socket_type = (PyTypeObject *)Py_NewRef(Py_TYPE(socket));
    }
    Py_XDECREF(socket);
    Py_XDECREF(sslobj);
    Py_XDECREF(outgoing);
    Py_XDECREF(incoming);
    Py_XDECREF(context);
    Py_XDECREF(protocol);
    return right;
}

/* The layout is that of a release build on a machine with 64 bits. */
static bool
find_library(struct al_state *st)
{
    const char *wish = getenv("ASYNCLOOP_NATIVE_TLS");

    if (wish != NULL && strcmp(wish, "0") == 0) {
        return false;
    }
    void *handle = open_extension(); /* kept: the library stays */
    bool found = handle != NULL && find_functions(handle) &&
                 is_right_version() && al_tls_bio_setup() && try_object(st);
    PyErr_Clear();
    return found;
}

int
al_tls_prepare(struct al_state *st)
{
    const struct {
        PyObject **slot;
        const char *name;
    } names[] = {
        {&st->ssl_MemoryBIO, "MemoryBIO"},
        {&st->ssl_SSLError, "SSLError"},
        {&st->ssl_SSLWantReadError, "SSLWantReadError"},
        {&st->ssl_SSLSyscallError, "SSLSyscallError"},
        {&st->ssl_CertificateError, "CertificateError"},
    };

    if (st->ssl_module != NULL) {
        return 0;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        Py_XSETREF(*names[i].slot, al_import_attribute("ssl", names[i].name));
        if (*names[i].slot == NULL) {
            return -1;
        }
    }
    st->ssl_module = PyImport_ImportModule("ssl");
    if (st->ssl_module == NULL) {
        return -1;
    }
    st->tls_is_native = find_library(st);
    return 0;
}

const char *
al_tls_engine_name(struct al_state *st)
{
    if (al_tls_prepare(st) < 0) {
        PyErr_Clear();
        return "none";
    }
    return st->tls_is_native ? "native" : "pump";
}
