/* bio.h - what OpenSSL reads and writes: a span of received bytes, and memory
 * that is sent.
 *
 * Input is, first, what was kept (`held`), and then what the transport has
 * just received (`span`), which is not copied. Output goes into a bytes object
 * that is made beforehand where its size can be told (`target`), and else
 * into memory that grows (`spill`).
 *
 * Ownership: an al_tls_bio is part of a connection. The SSL owns the BIO, which
 * may outlive the connection: al_tls_bio_detach parts them.
 * Threads: OpenSSL calls without the GIL during a handshake: no Python here.
 */
#ifndef AL_TLS_BIO_H
#define AL_TLS_BIO_H

#include "tls/library.h"

typedef struct {
    al_bio *bio; /* a reference; NULL without an SSL of our own */
    const char *span;
    size_t span_len;
    char *held; /* malloc's */
    size_t held_start;
    size_t held_end;
    size_t held_room;
    size_t partial; /* read since the last whole record */
    char *target;   /* borrowed: a bytes object of the caller's */
    size_t target_len;
    size_t target_room;
    char *spill; /* malloc's */
    size_t spill_len;
    size_t spill_room;
} al_tls_bio;

/* Make the method; false: no memory. */
bool al_tls_bio_setup(void);

/* Have the SSL read and write here. False: no memory, nothing was changed. */
bool al_tls_bio_attach(al_tls_bio *self, al_ssl *ssl);

/* Part from the SSL, which from now on has nothing to read and whose writes
 * vanish; free what is kept. */
void al_tls_bio_detach(al_tls_bio *self);

/* Bytes that wait to be read. */
static inline size_t
al_tls_bio_incoming(const al_tls_bio *self)
{
    return self->held_end - self->held_start + self->span_len;
}

/* Bytes that wait to be sent. */
static inline size_t
al_tls_bio_outgoing(const al_tls_bio *self)
{
    return self->target_len + self->spill_len;
}

/* There is more to read. With something held it is added to that, else `data`
 * is used where it lies until al_tls_bio_hold. False: no memory. */
bool al_tls_bio_feed(al_tls_bio *self, const char *data, size_t count);

/* Copy what is left of the span: its memory is about to go. False: no
 * memory, and the rest is lost. */
bool al_tls_bio_hold(al_tls_bio *self);

#endif
