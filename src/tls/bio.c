/* bio.c - see bio.h. */

#include "tls/bio.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST ((size_t)1024)

/* Make room for `count` more bytes after the first `used`. */
static bool
reserve(char **memory, size_t *room, size_t used, size_t count)
{
    if (*room - used >= count) {
        return true;
    }
    size_t wanted = *room * 2 > used + count ? *room * 2 : used + count;
    if (wanted < SMALLEST) {
        wanted = SMALLEST;
    }
    char *larger = realloc(*memory, wanted);
    if (larger == NULL) {
        return false;
    }
    *memory = larger;
    *room = wanted;
    return true;
}

/* --- input ----------------------------------------------------------------------- */

static void
drop_held(al_tls_bio *self)
{
    free(self->held);
    self->held = NULL;
    self->held_start = self->held_end = self->held_room = 0;
}

static bool
add_held(al_tls_bio *self, const char *data, size_t count)
{
    if (self->held_start != 0) {
        memmove(self->held, self->held + self->held_start,
                self->held_end - self->held_start);
        self->held_end -= self->held_start;
        self->held_start = 0;
    }
    if (!reserve(&self->held, &self->held_room, self->held_end, count)) {
        return false;
    }
    memcpy(self->held + self->held_end, data, count);
    self->held_end += count;
    return true;
}

bool
al_tls_bio_feed(al_tls_bio *self, const char *data, size_t count)
{
    if (self->held != NULL) {
        return add_held(self, data, count);
    }
    self->span = data;
    self->span_len = count;
    return true;
}

bool
al_tls_bio_hold(al_tls_bio *self)
{
    size_t count = self->span_len;
    const char *data = self->span;

    self->span = NULL;
    self->span_len = 0;
    return count == 0 || add_held(self, data, count);
}

static int
bio_on_read(al_bio *bio, char *buffer, size_t size, size_t *count)
{
    const al_tls_library *lib = &al_tls_lib;
    al_tls_bio *self = lib->BIO_get_data(bio);

    lib->BIO_clear_flags(bio, AL_BIO_FLAGS_READ | AL_BIO_FLAGS_WRITE |
                                  AL_BIO_FLAGS_IO_SPECIAL |
                                  AL_BIO_FLAGS_SHOULD_RETRY);
    *count = 0;
    if (self == NULL || al_tls_bio_incoming(self) == 0) {
        lib->BIO_set_flags(bio, AL_BIO_FLAGS_READ | AL_BIO_FLAGS_SHOULD_RETRY);
        return 0;
    }
    if (self->held != NULL) {
        size_t there = self->held_end - self->held_start;
        size_t some = size < there ? size : there;
        memcpy(buffer, self->held + self->held_start, some);
        self->held_start += some;
        *count = some;
        if (self->held_start == self->held_end) {
            drop_held(self);
        }
    }
    else {
        size_t some = size < self->span_len ? size : self->span_len;
        memcpy(buffer, self->span, some);
        self->span += some;
        self->span_len -= some;
        *count = some;
    }
    self->partial += *count;
    return 1;
}

/* --- output ---------------------------------------------------------------------- */

static int
bio_on_write(al_bio *bio, const char *data, size_t size, size_t *count)
{
    const al_tls_library *lib = &al_tls_lib;
    al_tls_bio *self = lib->BIO_get_data(bio);

    lib->BIO_clear_flags(bio, AL_BIO_FLAGS_READ | AL_BIO_FLAGS_WRITE |
                                  AL_BIO_FLAGS_IO_SPECIAL |
                                  AL_BIO_FLAGS_SHOULD_RETRY);
    *count = size;
    if (self == NULL) {
        return 1;
    }
    if (self->spill_len == 0 && self->target != NULL &&
        self->target_room - self->target_len >= size) {
        memcpy(self->target + self->target_len, data, size);
        self->target_len += size;
        return 1;
    }
    if (!reserve(&self->spill, &self->spill_room, self->spill_len, size)) {
        *count = 0;
        return 0;
    }
    memcpy(self->spill + self->spill_len, data, size);
    self->spill_len += size;
    return 1;
}

static long
bio_on_ctrl(al_bio *bio, int command, long number, void *pointer)
{
    const al_tls_bio *self = al_tls_lib.BIO_get_data(bio);

    (void)number;
    (void)pointer;
    switch (command) {
    case AL_BIO_CTRL_FLUSH:
        return 1;
    case AL_BIO_CTRL_PENDING:
        return self == NULL ? 0 : (long)al_tls_bio_incoming(self);
    default:
        return 0; /* no end of file, no kernel TLS */
    }
}

/* --- life ------------------------------------------------------------------------- */

bool
al_tls_bio_setup(void)
{
    al_tls_library *lib = &al_tls_lib;

    if (lib->method != NULL) {
        return true; /* another interpreter has made it */
    }
    int type = lib->BIO_get_new_index();
    al_bio_method *method =
        type == -1 ? NULL
                   : lib->BIO_meth_new(type | AL_BIO_TYPE_SOURCE_SINK,
                                       "asyncloop transport");
    if (method == NULL) {
        return false;
    }
    (void)lib->BIO_meth_set_write_ex(method, bio_on_write);
    (void)lib->BIO_meth_set_read_ex(method, bio_on_read);
    (void)lib->BIO_meth_set_ctrl(method, bio_on_ctrl);
    lib->method = method;
    return true;
}

bool
al_tls_bio_attach(al_tls_bio *self, al_ssl *ssl)
{
    const al_tls_library *lib = &al_tls_lib;
    al_bio *bio = lib->BIO_new(lib->method);

    if (bio == NULL) {
        lib->ERR_clear_error();
        return false;
    }
    lib->BIO_set_data(bio, self);
    lib->BIO_set_init(bio, 1);
    (void)lib->BIO_up_ref(bio);
    self->bio = bio;
    lib->SSL_set_bio(ssl, bio, bio); /* takes one reference for both */
    return true;
}

void
al_tls_bio_detach(al_tls_bio *self)
{
    if (self->bio != NULL) {
        al_tls_lib.BIO_set_data(self->bio, NULL);
        (void)al_tls_lib.BIO_free(self->bio);
        self->bio = NULL;
    }
    drop_held(self);
    self->span = NULL;
    self->span_len = 0;
    free(self->spill);
    self->spill = NULL;
    self->spill_len = self->spill_room = 0;
}
