/* watch.c - the table of watches and the states of a watch.
 *
 * Ownership: the table owns the watches; a watch owns its handles. The
 * memory of a watch is freed in its uv close callback.
 * Threads: the loop's.
 */

#include "watch/watch.h"

#include "py/error.h"
#include "watch/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <sys/epoll.h>
#define HAVE_EPOLL 1
#else
#define HAVE_EPOLL 0
#endif

#define TABLE_START 64

typedef struct al_watch {
    uv_poll_t uv;          /* libuv's until watch_on_close, unless DEAD */
    LoopObject *loop;      /* borrowed: a loop closes its watches */
    HandleObject *reader;  /* strong */
    HandleObject *writer;  /* strong */
    PyObject *object;      /* strong; the file object given, or NULL */
    struct al_watch *next; /* in the loop's fresh_watches */
    dev_t device;          /* which file the descriptor was */
    ino_t inode;
    int fd;
    int started; /* UV_* mask that libuv knows */
    al_watch_state state;
    bool listed; /* in fresh_watches */
} al_watch;

static int
watch_wanted(const al_watch *watch)
{
    return (watch->reader != NULL ? UV_READABLE : 0) |
           (watch->writer != NULL ? UV_WRITABLE : 0);
}

static void
watch_list(al_watch *watch)
{
    if (!watch->listed) {
        watch->listed = true;
        watch->next = watch->loop->fresh_watches;
        watch->loop->fresh_watches = watch;
    }
}

static void
watch_unlist(al_watch *watch)
{
    if (!watch->listed) {
        return;
    }
    al_watch **link = &watch->loop->fresh_watches;
    while (*link != watch) {
        link = &(*link)->next;
    }
    *link = watch->next;
    watch->listed = false;
}

/* --- the kernel's side --------------------------------------------------- */

#if HAVE_EPOLL

/* Set the kernel's mask; 0 means silence. `once`: disarm after one event.
 * Is the registration still that of our descriptor's file? */
static bool
kernel_set(al_watch *watch, int wanted, bool once)
{
    struct epoll_event event = {0};

    if (wanted & UV_READABLE) {
        event.events |= EPOLLIN;
    }
    if (wanted & UV_WRITABLE) {
        event.events |= EPOLLOUT;
    }
    if (once || wanted == 0) {
        /* Errors and hang-ups are reported unasked, so silence is armed as
         * well, but for one event at most. */
        event.events |= EPOLLONESHOT;
    }
    event.data.fd = watch->fd;
    return epoll_ctl(uv_backend_fd(&watch->loop->uv), EPOLL_CTL_MOD, watch->fd,
                     &event) == 0;
}

#else

static bool
kernel_set(al_watch *watch, int wanted, bool once)
{
    (void)watch;
    (void)wanted;
    (void)once;
    return false; /* the caller starts the watch anew, through libuv */
}

#endif

/* --- libuv's side -------------------------------------------------------- */

static void watch_on_event(uv_poll_t *uv, int status, int events);

static void
watch_on_close(uv_handle_t *uv)
{
    free(uv->data);
}

/* Take the watch out of libuv; its memory goes in watch_on_close. The caller
 * has taken it out of the table or puts another in its place. */
static void
watch_bury(al_watch *watch)
{
    watch_unlist(watch);
    watch->state = AL_WATCH_DEAD;
    uv_close((uv_handle_t *)&watch->uv, watch_on_close);
}

/* Start a new watch for `fd`, in state FRESH.
 * NULL with an exception set and nothing changed on failure. */
static al_watch *
watch_open(LoopObject *self, int fd, int wanted)
{
    struct stat file;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &file) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return NULL;
    }
    al_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    int err = uv_poll_init(&self->uv, &watch->uv, fd);
    if (err < 0) {
        free(watch);
        al_raise_uv(err);
        return NULL;
    }
    /* libuv makes every descriptor non-blocking, and a terminal shares that
     * with the shell that started us: put it back. */
    if (!(flags & O_NONBLOCK)) {
        (void)fcntl(fd, F_SETFL, flags);
    }
    watch->uv.data = watch;
    watch->loop = self;
    watch->fd = fd;
    watch->device = file.st_dev;
    watch->inode = file.st_ino;
    watch->started = wanted;
    watch->state = AL_WATCH_FRESH;
    err = uv_poll_start(&watch->uv, wanted, watch_on_event);
    if (err < 0) {
        watch_bury(watch);
        al_raise_uv(err);
        return NULL;
    }
    watch_list(watch);
    return watch;
}

/* --- the table ----------------------------------------------------------- */

static al_watch *
table_get(const LoopObject *self, int fd)
{
    return fd >= 0 && (size_t)fd < self->watches_len ? self->watches[fd]
                                                     : NULL;
}

/* Room for `fd`. 0, or -1 with MemoryError set. */
static int
table_reserve(LoopObject *self, int fd)
{
    size_t len = self->watches_len ? self->watches_len : TABLE_START;

    if ((size_t)fd < self->watches_len) {
        return 0;
    }
    while (len <= (size_t)fd) {
        len *= 2;
    }
    al_watch **watches = realloc(self->watches, len * sizeof(*watches));
    if (watches == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(watches + self->watches_len, 0,
           (len - self->watches_len) * sizeof(*watches));
    self->watches = watches;
    self->watches_len = len;
    return 0;
}

/* Open a watch in place of the one in the table, if any, whose handles move
 * over. NULL with an exception set, and then the old watch and its handles are
 * gone: the descriptor is not what it was. */
static al_watch *
table_replace(LoopObject *self, int fd, int wanted)
{
    al_watch *old = table_get(self, fd);

    if (table_reserve(self, fd) < 0) {
        return NULL;
    }
    if (old != NULL) {
        /* libuv takes one handle per descriptor. */
        (void)uv_poll_stop(&old->uv);
        wanted |= old->started;
    }
    al_watch *watch = watch_open(self, fd, wanted);
    if (old == NULL) {
        self->watches[fd] = watch;
        return watch;
    }
    if (watch != NULL) {
        watch->reader = old->reader;
        watch->writer = old->writer;
        watch->object = old->object;
        old->reader = old->writer = NULL;
        old->object = NULL;
    }
    self->watches[fd] = watch;
    if (watch == NULL) {
        /* The descriptor is no longer what it was: nothing to wait for. */
        Py_CLEAR(old->reader);
        Py_CLEAR(old->writer);
        Py_CLEAR(old->object);
    }
    watch_bury(old);
    return watch;
}

/* --- transitions --------------------------------------------------------- */

/* Nobody wants anything of this watch any more. */
static void
watch_silence(LoopObject *self, al_watch *watch)
{
    if (watch->state == AL_WATCH_SILENT) {
        return;
    }
    if (watch->state != AL_WATCH_FRESH && kernel_set(watch, 0, true)) {
        watch->state = AL_WATCH_SILENT;
        return;
    }
    /* Not yet in the kernel, or the descriptor was closed under us. */
    self->watches[watch->fd] = NULL;
    watch_bury(watch);
}

/* Make the kernel report what is wanted; `watch` is in the table and somebody
 * wants something. The watch, perhaps another one, or NULL with an exception
 * set. */
static al_watch *
watch_arm(LoopObject *self, al_watch *watch)
{
    int wanted = watch_wanted(watch);
    bool fits = (wanted & ~watch->started) == 0;

    if (watch->state == AL_WATCH_FRESH && fits) {
        return watch;
    }
    /* Toggled before: so it will be again, and one event is all it needs. */
    bool once =
        watch->state == AL_WATCH_SILENT || watch->state == AL_WATCH_ONCE;
    if (watch->state != AL_WATCH_FRESH && fits &&
        kernel_set(watch, wanted, once)) {
        watch->state = once ? AL_WATCH_ONCE : AL_WATCH_LEVEL;
        return watch;
    }
    return table_replace(self, watch->fd, wanted);
}

/* --- events -------------------------------------------------------------- */

static void
queue_handle(LoopObject *self, HandleObject *handle)
{
    if (handle->flags & AL_HANDLE_QUEUED ||
        al_ring_reserve(&self->ready) < 0) {
        return; /* without memory the event comes again */
    }
    handle->flags |= AL_HANDLE_QUEUED;
    Py_INCREF(handle); /* the ring's */
    al_ring_push(&self->ready, handle);
}

static void
watch_on_event(uv_poll_t *uv, int status, int events)
{
    al_watch *watch = uv->data;
    LoopObject *self = watch->loop;
    int wanted = watch_wanted(watch);

    al_loop_enter(self);
    if (watch->state == AL_WATCH_ONCE) {
        watch->state = AL_WATCH_SILENT;
    }
    if (status < 0) {
        /* An error condition: whoever waits shall see it in a system call.
         * libuv before 1.49 stops the watch as well. */
        events = wanted;
        watch->started = 0;
    }
    if (events & wanted & UV_READABLE) {
        queue_handle(self, watch->reader);
    }
    if (events & wanted & UV_WRITABLE) {
        queue_handle(self, watch->writer);
    }
    if (watch->state == AL_WATCH_SILENT || watch->started == 0 ||
        (events & wanted) == 0) {
        watch_list(watch); /* to be armed, or narrowed, before the poll */
    }
}

/* Is the descriptor still the file that the watch was opened for? */
static bool
watch_is_same_file(const al_watch *watch)
{
    struct stat file;
    return fstat(watch->fd, &file) == 0 && file.st_dev == watch->device &&
           file.st_ino == watch->inode;
}

static void
prepare_watch(LoopObject *self, al_watch *watch)
{
    int wanted = watch_wanted(watch);

    if (watch->state == AL_WATCH_FRESH) {
        if (watch_is_same_file(watch)) {
            watch->state = AL_WATCH_LEVEL; /* this poll tells the kernel */
        }
        else {
            (void)uv_poll_stop(&watch->uv);
            watch->state = AL_WATCH_SILENT;
        }
    }
    else if (watch->started == 0) {
        if (wanted != 0 && table_replace(self, watch->fd, wanted) == NULL) {
            PyErr_Clear();
        }
    }
    else if (watch->state == AL_WATCH_ONCE) {
        return; /* removed and added again since its event */
    }
    else if (wanted == 0) {
        watch_silence(self, watch);
    }
    else if (kernel_set(watch, wanted, false)) {
        watch->state = AL_WATCH_LEVEL; /* kept its reader: no toggler */
    }
    else if (table_replace(self, watch->fd, wanted) == NULL) {
        /* Closed by the user while being watched: as with asyncio, nothing
         * more is heard of it. */
        PyErr_Clear();
    }
}

static void
watches_before_poll(LoopObject *self)
{
    /* What is opened meanwhile is listed again, and is then looked at in its
     * turn: replacing a watch gives a FRESH one, which ends the chain. */
    while (self->fresh_watches != NULL) {
        al_watch *watch = self->fresh_watches;
        self->fresh_watches = watch->next;
        watch->listed = false;
        prepare_watch(self, watch);
    }
}

/* --- what the layers above call ------------------------------------------- */

static HandleObject **
side_slot(al_watch *watch, al_watch_side side)
{
    return side == AL_WATCH_READ ? &watch->reader : &watch->writer;
}

int
al_watch_set_steal(LoopObject *self, int fd, al_watch_side side,
                   HandleObject *handle, PyObject *object)
{
    int wanted = side == AL_WATCH_READ ? UV_READABLE : UV_WRITABLE;
    al_watch *watch = table_get(self, fd);
    HandleObject *old = NULL;

    handle->flags |= AL_HANDLE_PERSISTENT;
    if (watch == NULL) {
        watch = table_replace(self, fd, wanted);
        if (watch == NULL) {
            Py_DECREF(handle);
            return -1;
        }
    }
    HandleObject **slot = side_slot(watch, side);
    old = *slot;
    *slot = handle; /* the watch's */
    if (!PyLong_CheckExact(object)) {
        Py_XSETREF(watch->object, Py_NewRef(object));
    }
    int rc = watch_arm(self, watch) == NULL ? -1 : 0;
    self->poll_soon = true;
    if (old != NULL) {
        PyObject *error = rc < 0 ? al_err_take() : NULL;
        al_handle_cancel(old);
        Py_DECREF(old);
        if (error != NULL) {
            al_err_give_back_steal(error);
        }
    }
    return rc;
}

bool
al_watch_remove(LoopObject *self, int fd, al_watch_side side)
{
    al_watch *watch = table_get(self, fd);

    if (watch == NULL || *side_slot(watch, side) == NULL) {
        return false;
    }
    HandleObject **slot = side_slot(watch, side);
    HandleObject *handle = *slot;
    PyObject *object = NULL;

    *slot = NULL;
    if (watch_wanted(watch) == 0) {
        object = watch->object;
        watch->object = NULL;
        watch_silence(self, watch);
    }
    else if (watch_arm(self, watch) == NULL) {
        PyErr_Clear(); /* closed by the user: the other side goes with it */
    }
    al_handle_cancel(handle); /* foreign code from here on */
    Py_DECREF(handle);
    Py_XDECREF(object);
    return true;
}

void
al_watch_forget_stale(LoopObject *self, int fd)
{
    al_watch *watch = table_get(self, fd);

    if (watch != NULL) {
        self->watches[fd] = NULL;
        Py_CLEAR(watch->reader);
        Py_CLEAR(watch->writer);
        Py_CLEAR(watch->object);
        watch_bury(watch);
    }
}

int
al_watch_find_object(LoopObject *self, PyObject *object)
{
    for (size_t fd = 0; fd < self->watches_len; fd++) {
        al_watch *watch = self->watches[fd];
        if (watch != NULL && watch->object == object) {
            return (int)fd;
        }
    }
    return -1;
}

int
al_watch_events(LoopObject *self, int fd)
{
    al_watch *watch = table_get(self, fd);
    return watch == NULL ? 0 : watch_wanted(watch);
}

int
al_watch_visit(LoopObject *self, visitproc visit, void *arg)
{
    for (size_t fd = 0; fd < self->watches_len; fd++) {
        al_watch *watch = self->watches[fd];
        if (watch == NULL) {
            continue;
        }
        Py_VISIT(watch->object);
        HandleObject *handles[] = {watch->reader, watch->writer};
        for (int i = 0; i < 2; i++) {
            if (handles[i] != NULL) {
                int rc = al_handle_visit(handles[i], visit, arg);
                if (rc != 0) {
                    return rc;
                }
            }
        }
    }
    return 0;
}

static void
release_handle(HandleObject *handle)
{
    if (handle != NULL) {
        al_handle_cancel(handle);
        Py_DECREF(handle);
    }
}

static void
watches_close(LoopObject *self)
{
    al_signal_close(self);
    for (size_t fd = 0; fd < self->watches_len; fd++) {
        al_watch *watch = self->watches[fd];
        if (watch == NULL) {
            continue;
        }
        HandleObject *reader = watch->reader;
        HandleObject *writer = watch->writer;
        PyObject *object = watch->object;
        watch->reader = watch->writer = NULL;
        watch->object = NULL;
        self->watches[fd] = NULL;
        watch_bury(watch);
        release_handle(reader);
        release_handle(writer);
        Py_XDECREF(object);
    }
    free(self->watches);
    self->watches = NULL;
    self->watches_len = 0;
}

static const struct al_watch_ops watch_ops = {
    .before_poll = watches_before_poll,
    .on_signal = al_signal_on_arrival,
    .signals_enter = al_signal_enter,
    .signals_leave = al_signal_leave,
    .close = watches_close,
};

void
al_watch_setup_loop(LoopObject *self)
{
    self->watch_ops = &watch_ops;
}
