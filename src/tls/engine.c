/* engine.c - the native engine, and choosing between the two; see engine.h.
 *
 * A call that fails for any other reason than that data is missing is made
 * again by the Python object, with OpenSSL's queue of errors as it is: it
 * raises what `ssl` raises.
 *
 * Threads: the loop's. `ssl` releases the GIL for the handshake.
 */

#include "tls/engine.h"

#include "py/args.h"

/* What encryption adds to a record: 22 bytes in TLS 1.3 and fewer than this
 * in all else that is still in use. */
#define RECORD_SIZE ((size_t)16 * 1024)
#define RECORD_OVERHEAD ((size_t)22)

/* --- asking the Python object ---------------------------------------------------- */

al_tls_result
al_tls_ask_object(al_tls *self, PyObject *name, PyObject *one, PyObject *two,
                  PyObject **result)
{
    struct al_state *st = self->st;
    PyObject *args[] = {self->sslobj, one, two};
    size_t count = one == NULL ? 1 : two == NULL ? 2 : 3;
    PyObject *answer = PyObject_VectorcallMethod(name, args, count, NULL);

    if (answer != NULL) {
        if (result != NULL) {
            *result = answer;
        }
        else {
            Py_DECREF(answer);
        }
        return AL_TLS_DONE;
    }
    if (PyErr_ExceptionMatches(st->ssl_SSLWantReadError) ||
        PyErr_ExceptionMatches(st->ssl_SSLSyscallError)) {
        PyErr_Clear();
        return AL_TLS_AGAIN;
    }
    return AL_TLS_FAILED;
}

/* Raise what OpenSSL calls by this code, as `ssl` would. */
static void
raise_code(al_tls *self, unsigned long code)
{
    const char *text = al_tls_lib.ERR_reason_error_string(code);
    char name[64] = "";

    for (size_t i = 0; text != NULL && text[i] && i < sizeof(name) - 1; i++) {
        name[i] = text[i] == ' ' ? '_' : (char)Py_TOUPPER(text[i]);
    }
    PyObject *error = PyObject_CallFunction(
        self->st->ssl_SSLError, "iN", 1,
        PyUnicode_FromFormat("[SSL: %s] %s", name,
                             text == NULL ? "unknown error" : text));
    PyObject *reason = PyUnicode_FromString(name);
    PyObject *library = PyUnicode_FromString("SSL");
    if (error != NULL && reason != NULL && library != NULL &&
        PyObject_SetAttrString(error, "reason", reason) == 0 &&
        PyObject_SetAttrString(error, "library", library) == 0) {
        PyErr_SetObject(self->st->ssl_SSLError, error);
    }
    Py_XDECREF(library);
    Py_XDECREF(reason);
    Py_XDECREF(error);
}

/* A native call has failed: have the object's method raise it. After most
 * failures an SSL is good for nothing any more, and says so again; after a
 * few it goes on, and the exception is made here. */
static al_tls_result
fail_by(al_tls *self, PyObject *method, PyObject *arg)
{
    unsigned long code = al_tls_lib.ERR_peek_last_error();
    al_tls_result result = al_tls_ask_object(self, method, arg, NULL, NULL);

    if (result != AL_TLS_FAILED && code != 0) {
        raise_code(self, code);
        return AL_TLS_FAILED;
    }
    return result == AL_TLS_DONE ? AL_TLS_AGAIN : result;
}

static al_tls_result
fail_by_reading(al_tls *self)
{
    PyObject *one = PyLong_FromLong(1);
    al_tls_result result =
        one == NULL ? AL_TLS_FAILED : fail_by(self, self->st->str_read, one);

    Py_XDECREF(one);
    return result;
}

/* --- handshake and shutdown ------------------------------------------------------- */

/* All of it by the object, which takes note of errors that OpenSSL tells only
 * once, calls back, and releases the GIL meanwhile. */
static al_tls_result
native_handshake(al_tls *self)
{
    al_tls_result result =
        al_tls_ask_object(self, self->st->str_do_handshake, NULL, NULL, NULL);

    self->bio.partial = 0;
    return result;
}

static al_tls_result
native_shutdown(al_tls *self)
{
    const al_tls_library *lib = &al_tls_lib;

    lib->ERR_clear_error();
    /* 0: our close_notify is sent, and the peer's is still to come. */
    int res = lib->SSL_shutdown(self->ssl);
    if (res == 0) {
        res = lib->SSL_shutdown(self->ssl);
    }
    if (res > 0) {
        return AL_TLS_DONE;
    }
    if (res < 0 &&
        lib->SSL_get_error(self->ssl, res) == AL_SSL_ERROR_WANT_READ) {
        return AL_TLS_AGAIN;
    }
    return fail_by(self, self->st->str_unwrap, NULL);
}

/* --- records ------------------------------------------------------------------------ */

static al_tls_result
native_read(al_tls *self, char *buffer, size_t size, size_t *count)
{
    const al_tls_library *lib = &al_tls_lib;

    lib->ERR_clear_error();
    int res = lib->SSL_read_ex(self->ssl, buffer, size, count);
    if (res > 0) {
        self->bio.partial = 0;
        return AL_TLS_DONE;
    }
    *count = 0;
    switch (lib->SSL_get_error(self->ssl, res)) {
    case AL_SSL_ERROR_WANT_READ:
        return AL_TLS_AGAIN;
    case AL_SSL_ERROR_ZERO_RETURN:
        if (lib->SSL_get_shutdown(self->ssl) == AL_SSL_RECEIVED_SHUTDOWN) {
            return AL_TLS_ENDED;
        }
        break;
    default:
        break;
    }
    return fail_by_reading(self);
}

/* Have memory that will be bytes for `plan` bytes more, unless something is
 * waiting already. Without, the spill takes them. */
static void
prepare_target(al_tls *self, size_t plan)
{
    al_tls_bio *bio = &self->bio;
    size_t records = (plan + RECORD_SIZE - 1) / RECORD_SIZE;
    size_t room = plan + records * RECORD_OVERHEAD;

    if (self->target != NULL || bio->spill_len != 0) {
        return;
    }
    self->target = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    if (self->target == NULL) {
        PyErr_Clear();
        return;
    }
    bio->target = PyBytes_AS_STRING(self->target);
    bio->target_room = room;
    bio->target_len = 0;
}

static al_tls_result
native_write(al_tls *self, const char *data, size_t size, size_t plan,
             size_t *count)
{
    const al_tls_library *lib = &al_tls_lib;
    size_t done = 0;

    *count = 0;
    prepare_target(self, plan);
    lib->ERR_clear_error();
    while (*count < size) { /* a call writes one record */
        int res =
            lib->SSL_write_ex(self->ssl, data + *count, size - *count, &done);
        if (res <= 0) {
            int error = lib->SSL_get_error(self->ssl, res);
            return error == AL_SSL_ERROR_WANT_READ ? AL_TLS_AGAIN
                                                   : fail_by_reading(self);
        }
        *count += done;
    }
    return AL_TLS_DONE;
}

/* --- memory --------------------------------------------------------------------------- */

static int
native_feed(al_tls *self, const char *data, size_t count)
{
    if (!al_tls_bio_feed(&self->bio, data, count)) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static int
native_settle(al_tls *self)
{
    if (!al_tls_bio_hold(&self->bio)) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static bool
native_is_drained(const al_tls *self)
{
    return al_tls_bio_incoming(&self->bio) == 0 && !self->reads_ahead;
}

static size_t
native_readable(const al_tls *self)
{
    return self->reads_ahead
               ? 0
               : al_tls_bio_incoming(&self->bio) + self->bio.partial;
}

static size_t
native_incoming(const al_tls *self)
{
    return al_tls_bio_incoming(&self->bio);
}

static size_t
native_outgoing(const al_tls *self)
{
    return al_tls_bio_outgoing(&self->bio);
}

static void
native_discard(al_tls *self)
{
    self->bio.target = NULL;
    self->bio.target_len = self->bio.target_room = 0;
    self->bio.spill_len = 0;
    Py_CLEAR(self->target);
}

static PyObject *
native_take(al_tls *self)
{
    al_tls_bio *bio = &self->bio;
    PyObject *target = self->target;
    PyObject *taken = NULL;

    if (al_tls_bio_outgoing(bio) == 0) {
        native_discard(self);
        return NULL;
    }
    self->target = NULL;
    if (bio->spill_len == 0) {
        if (bio->target_len != bio->target_room) {
            (void)_PyBytes_Resize(&target, (Py_ssize_t)bio->target_len);
        }
        taken = target;
    }
    else {
        taken = PyBytes_FromStringAndSize(
            NULL, (Py_ssize_t)(bio->target_len + bio->spill_len));
        if (taken != NULL) {
            char *at = PyBytes_AS_STRING(taken);
            if (bio->target_len != 0) {
                memcpy(at, bio->target, bio->target_len);
            }
            memcpy(at + bio->target_len, bio->spill, bio->spill_len);
        }
        Py_XDECREF(target);
        free(bio->spill);
        bio->spill = NULL;
        bio->spill_room = 0;
    }
    native_discard(self);
    return taken;
}

const al_tls_engine al_tls_native_engine = {
    .feed = native_feed,
    .settle = native_settle,
    .handshake = native_handshake,
    .shutdown = native_shutdown,
    .read = native_read,
    .write = native_write,
    .is_drained = native_is_drained,
    .readable = native_readable,
    .incoming = native_incoming,
    .outgoing = native_outgoing,
    .take = native_take,
    .discard = native_discard,
};

/* --- life ------------------------------------------------------------------------------ */

/* context.wrap_bio(incoming, outgoing, server_side=, server_hostname=) */
static PyObject *
wrap_bio(al_tls *self, PyObject *server_hostname)
{
    struct al_state *st = self->st;
    PyObject *args[] = {self->sslcontext, self->incoming, self->outgoing,
                        self->server_side ? Py_True : Py_False,
                        server_hostname};

    return PyObject_VectorcallMethod(st->str_wrap_bio, args, 3,
                                     st->kw_wrap_bio);
}

int
al_tls_open(al_tls *self, PyObject *server_hostname)
{
    struct al_state *st = self->st;

    self->incoming = PyObject_CallNoArgs(st->ssl_MemoryBIO);
    self->outgoing = PyObject_CallNoArgs(st->ssl_MemoryBIO);
    if (self->incoming == NULL || self->outgoing == NULL) {
        return -1;
    }
    self->sslobj = wrap_bio(self, server_hostname);
    if (self->sslobj == NULL) {
        return -1;
    }
    self->engine = &al_tls_pump_engine;
    if (!st->tls_is_native || st->tls_pump_is_forced) {
        return 0;
    }
    al_ssl *ssl =
        al_tls_ssl_of(st, self->sslobj, self->incoming, self->outgoing);
    if (ssl != NULL && al_tls_bio_attach(&self->bio, ssl)) {
        self->ssl = ssl;
        self->reads_ahead = al_tls_lib.SSL_get_read_ahead(ssl) != 0;
        self->engine = &al_tls_native_engine;
        Py_CLEAR(self->incoming);
        Py_CLEAR(self->outgoing);
    }
    return 0;
}

void
al_tls_close_engine(al_tls *self)
{
    self->ssl = NULL;
    al_tls_bio_detach(&self->bio);
    self->bio.target = NULL;
    Py_CLEAR(self->target);
}
