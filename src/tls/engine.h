/* engine.h - what moves bytes between the two sides of a connection.
 *
 * Two of them: engine.c calls OpenSSL on memory of ours, pump.c does the same
 * by the methods of Python's SSLObject and MemoryBIO. Whatever goes wrong is
 * raised by the Python object, so the exceptions are the same.
 *
 * Threads: the loop's.
 */
#ifndef AL_TLS_ENGINE_H
#define AL_TLS_ENGINE_H

#include "tls/connection.h"

typedef enum {
    AL_TLS_DONE,
    AL_TLS_AGAIN,  /* more has to be received */
    AL_TLS_ENDED,  /* the peer has said close_notify */
    AL_TLS_FAILED, /* an exception is set */
} al_tls_result;

typedef struct al_tls_engine {
    /* More was received; what is not read when `settle` is called is kept.
     * 0, or -1 with an exception set. */
    int (*feed)(al_tls *self, const char *data, size_t count);
    int (*settle)(al_tls *self);
    al_tls_result (*handshake)(al_tls *self);
    al_tls_result (*shutdown)(al_tls *self);
    /* One record, at most; `*count` > 0 when DONE. */
    al_tls_result (*read)(al_tls *self, char *buffer, size_t size,
                          size_t *count);
    /* All, or some of it when not DONE. `plan` is what is to be written
     * before the next take. */
    al_tls_result (*write)(al_tls *self, const char *data, size_t size,
                           size_t plan, size_t *count);
    /* Is it certain that another read would only say AGAIN? */
    bool (*is_drained)(const al_tls *self);
    /* An upper bound of what can be read; 0: not known. */
    size_t (*readable)(const al_tls *self);
    size_t (*incoming)(const al_tls *self);
    size_t (*outgoing)(const al_tls *self);
    /* What is encrypted, as bytes: NULL, without an exception if there is
     * nothing. */
    PyObject *(*take)(al_tls *self);
    /* The connection is over: forget what is encrypted. */
    void (*discard)(al_tls *self);
} al_tls_engine;

/* Make `sslobj` by the context's wrap_bio, and choose the engine.
 * 0, or -1 with an exception set. */
int al_tls_open(al_tls *self, PyObject *server_hostname);

/* Let go of it; the SSLObject stays usable. */
void al_tls_close_engine(al_tls *self);

extern const al_tls_engine al_tls_native_engine;
extern const al_tls_engine al_tls_pump_engine;

/* Call a method of the SSLObject that reports by what it raises: DONE (with
 * `*result`, if wanted), AGAIN or FAILED. */
al_tls_result al_tls_ask_object(al_tls *self, PyObject *name, PyObject *one,
                                PyObject *two, PyObject **result);

#endif
