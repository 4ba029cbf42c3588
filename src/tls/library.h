/* library.h - the libssl that Python's `ssl` module uses, called directly.
 *
 * It is found by name in the `_ssl` extension that is loaded already, so it
 * is that very library, whatever it is called and wherever it lies. Because
 * it is not linked, and must not be, nothing of OpenSSL's headers is needed
 * to build: the few prototypes are here.
 *
 * Whether the private structs of `_ssl` are as we believe is checked once at
 * the first use, and for each connection before its SSL is touched. Where
 * anything is otherwise, tls/pump.c does the work by Python's objects.
 *
 * Ownership: one table for the process; OpenSSL is loaded once, too, and never
 * unloaded.
 * Threads: filled in under the GIL, read by any thread. What is called here
 * is called with the GIL held; only `ssl` itself releases it.
 */
#ifndef AL_TLS_LIBRARY_H
#define AL_TLS_LIBRARY_H

#include "py/state.h"

/* OpenSSL's SSL, SSL_CTX, SSL_METHOD, BIO and BIO_METHOD. */
typedef struct al_ssl al_ssl;
typedef struct al_ssl_ctx al_ssl_ctx;
typedef struct al_ssl_method al_ssl_method;
typedef struct al_bio al_bio;
typedef struct al_bio_method al_bio_method;

typedef int (*al_bio_write)(al_bio *, const char *, size_t, size_t *);
typedef int (*al_bio_read)(al_bio *, char *, size_t, size_t *);
typedef long (*al_bio_ctrl)(al_bio *, int, long, void *);

/* F(result, name, parameters) */
#define AL_TLS_FUNCTIONS(F)                                                   \
    F(const char *, OpenSSL_version, (int))                                   \
    F(void, ERR_clear_error, (void))                                          \
    F(unsigned long, ERR_peek_last_error, (void))                             \
    F(const char *, ERR_reason_error_string, (unsigned long))                 \
    F(int, SSL_read_ex, (al_ssl *, void *, size_t, size_t *))                 \
    F(int, SSL_write_ex, (al_ssl *, const void *, size_t, size_t *))          \
    F(int, SSL_shutdown, (al_ssl *))                                          \
    F(int, SSL_get_error, (const al_ssl *, int))                              \
    F(int, SSL_get_shutdown, (const al_ssl *))                                \
    F(int, SSL_get_read_ahead, (const al_ssl *))                              \
    F(int, SSL_is_server, (const al_ssl *))                                   \
    F(void *, SSL_get_ex_data, (const al_ssl *, int))                         \
    F(al_ssl_ctx *, SSL_get_SSL_CTX, (const al_ssl *))                        \
    F(const al_ssl_method *, SSL_CTX_get_ssl_method, (const al_ssl_ctx *))    \
    F(const al_ssl_method *, TLS_client_method, (void))                       \
    F(al_bio *, SSL_get_rbio, (const al_ssl *))                               \
    F(al_bio *, SSL_get_wbio, (const al_ssl *))                               \
    F(void, SSL_set_bio, (al_ssl *, al_bio *, al_bio *))                      \
    F(al_bio_method *, BIO_meth_new, (int, const char *))                     \
    F(int, BIO_meth_set_write_ex, (al_bio_method *, al_bio_write))            \
    F(int, BIO_meth_set_read_ex, (al_bio_method *, al_bio_read))              \
    F(int, BIO_meth_set_ctrl, (al_bio_method *, al_bio_ctrl))                 \
    F(int, BIO_get_new_index, (void))                                         \
    F(al_bio *, BIO_new, (const al_bio_method *))                             \
    F(int, BIO_free, (al_bio *))                                              \
    F(int, BIO_up_ref, (al_bio *))                                            \
    F(void, BIO_set_data, (al_bio *, void *))                                 \
    F(void *, BIO_get_data, (al_bio *))                                       \
    F(void, BIO_set_init, (al_bio *, int))                                    \
    F(void, BIO_set_flags, (al_bio *, int))                                   \
    F(void, BIO_clear_flags, (al_bio *, int))

typedef struct {
#define AL_TLS_FUNCTION(result, name, parameters) result(*name) parameters;
    AL_TLS_FUNCTIONS(AL_TLS_FUNCTION)
#undef AL_TLS_FUNCTION
    const al_bio_method *method; /* of tls/bio.c */
} al_tls_library;

/* Of <openssl/ssl.h> and <openssl/bio.h>, unchanged since 1.1.0. */
enum {
    AL_SSL_ERROR_NONE = 0,
    AL_SSL_ERROR_WANT_READ = 2,
    AL_SSL_ERROR_WANT_WRITE = 3,
    AL_SSL_ERROR_ZERO_RETURN = 6,
    AL_SSL_RECEIVED_SHUTDOWN = 2,
    AL_BIO_FLAGS_READ = 0x01,
    AL_BIO_FLAGS_WRITE = 0x02,
    AL_BIO_FLAGS_IO_SPECIAL = 0x04,
    AL_BIO_FLAGS_SHOULD_RETRY = 0x08,
    AL_BIO_TYPE_SOURCE_SINK = 0x0400,
    AL_BIO_CTRL_PENDING = 10,
    AL_BIO_CTRL_FLUSH = 11,
};

extern al_tls_library al_tls_lib;

/* Import `ssl`, look up what is needed of it, and find out whether its library
 * can be called (`st->tls_is_native`); once. 0, or -1 with an exception set:
 * there is no `ssl`. */
int al_tls_prepare(struct al_state *st);

/* The SSL of an object that `wrap_bio` has just made with these two MemoryBIO
 * objects, or NULL, without an exception, when it cannot be told for sure. */
al_ssl *al_tls_ssl_of(struct al_state *st, PyObject *sslobj,
                      PyObject *incoming, PyObject *outgoing);

/* "native", "pump", or "none" where there is no `ssl` module. */
const char *al_tls_engine_name(struct al_state *st);

#endif
