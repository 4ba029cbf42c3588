/* watch.c - the table of watches and the states of a watch.
 *
 * Ownership: the table owns the watches; a watch owns its handles. The
 * memory of a watch is freed in its uv close callback.
 * Threads: the loop's.
 */

#include "watch/watch.h"

#include "loop/run.h"
#include "py/error.h"
#include "watch/kernel.h"
#include "watch/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TABLE_START 64

/* Who waits for a side: at most one of the two. */
typedef struct {
    HandleObject *handle; /* strong, or NULL */
    al_watch_user *user;  /* its owner is held, or NULL */
} watch_side;

typedef struct al_watch {
    uv_poll_t uv;        /* libuv's until watch_on_close, unless DEAD */
    LoopObject *loop;    /* borrowed: a loop closes its watches */
    watch_side sides[2]; /* by al_watch_side */
    PyObject *object;    /* strong; the file object given, or NULL */
    PyObject *edge_of;   /* strong: in EDGE, a weak reference to the socket */
    al_watch_user *holder;      /* borrowed: owns the descriptor, or NULL */
    struct al_watch *next;      /* in the loop's fresh_watches */
    struct al_watch *held_next; /* in the loop's list of held events */
    uint8_t held;               /* UV_* of those; 0: not in the list */
    dev_t device;               /* which file the descriptor was */
    ino_t inode;
    int fd;
    int started; /* UV_* mask that libuv knows */
    al_watch_state state;
    bool listed; /* in fresh_watches */
} al_watch;

static inline bool
side_is_empty(const watch_side *side)
{
    return side->handle == NULL && side->user == NULL;
}

static inline int
events_of(al_watch_side side)
{
    return side == AL_WATCH_READ ? UV_READABLE : UV_WRITABLE;
}

static int
watch_wanted(const al_watch *watch)
{
    return (side_is_empty(&watch->sides[AL_WATCH_READ]) ? 0 : UV_READABLE) |
           (side_is_empty(&watch->sides[AL_WATCH_WRITE]) ? 0 : UV_WRITABLE);
}

/* Take out what is on a side, for side_release. */
static watch_side
side_take(al_watch *watch, al_watch_side side)
{
    watch_side taken = watch->sides[side];

    watch->sides[side] = (watch_side){NULL, NULL};
    return taken;
}

/* Drop what was taken from a side, and tell who had it. May run foreign code;
 * an exception that is set stays. */
static void
side_release(watch_side taken, al_watch_side side, bool gone)
{
    if (taken.handle == NULL && taken.user == NULL) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    if (taken.handle != NULL) {
        al_handle_cancel(taken.handle);
        Py_DECREF(taken.handle);
    }
    else {
        PyObject *owner = taken.user->owner;
        taken.user->on_drop(taken.user, side, gone);
        Py_DECREF(owner); /* the side's */
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
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

/* Remember events until the batch is through. */
static void
watch_hold(LoopObject *self, al_watch *watch, int events)
{
    if (watch->held == 0) {
        watch->held_next = NULL;
        if (self->held_first == NULL) {
            self->held_first = watch;
        }
        else {
            self->held_last->held_next = watch;
        }
        self->held_last = watch;
    }
    watch->held |= (uint8_t)events;
}

/* Take a watch out of that list, wherever it is. */
static void
watch_unhold(LoopObject *self, al_watch *watch)
{
    al_watch *previous = NULL;

    if (watch->held == 0) {
        return;
    }
    watch->held = 0;
    for (al_watch *at = self->held_first; at != watch; at = at->held_next) {
        previous = at;
    }
    if (previous == NULL) {
        self->held_first = watch->held_next;
    }
    else {
        previous->held_next = watch->held_next;
    }
    if (self->held_last == watch) {
        self->held_last = previous;
    }
}

/* --- libuv's side -------------------------------------------------------- */

static void watch_on_event(uv_poll_t *uv, int status, int events);

static void
watch_on_close(uv_handle_t *uv)
{
    AL_LEDGER_FREED(al_loop_of_uv(uv)->st, watch);
    free(uv->data);
}

/* Take the watch out of libuv; its memory goes in watch_on_close. The caller
 * has taken it out of the table or puts another in its place. */
static void
watch_bury(al_watch *watch)
{
    watch_unlist(watch);
    watch_unhold(watch->loop, watch);
    Py_CLEAR(watch->edge_of);
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
    AL_LEDGER_MADE(self->st, watch);
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
    self->watches[fd] = watch;
    if (old == NULL) {
        return watch;
    }
    watch_side reader = side_take(old, AL_WATCH_READ);
    watch_side writer = side_take(old, AL_WATCH_WRITE);
    PyObject *object = old->object;
    old->object = NULL;
    watch_bury(old);
    if (watch != NULL) {
        watch->sides[AL_WATCH_READ] = reader;
        watch->sides[AL_WATCH_WRITE] = writer;
        watch->object = object;
        watch->holder = old->holder;
        return watch;
    }
    /* The descriptor is no longer what it was: nothing to wait for. */
    bool gone = fcntl(fd, F_GETFD) < 0;
    side_release(reader, AL_WATCH_READ, gone);
    side_release(writer, AL_WATCH_WRITE, gone);
    PyObject *error = al_err_take();
    Py_XDECREF(object);
    al_err_give_back_steal(error);
    return NULL;
}

/* --- transitions --------------------------------------------------------- */

/* Nobody wants anything of this watch any more. */
static void
watch_silence(LoopObject *self, al_watch *watch)
{
    if (watch->state == AL_WATCH_SILENT || watch->state == AL_WATCH_ABSENT) {
        return;
    }
    if (watch->state != AL_WATCH_FRESH &&
        al_kernel_set(watch->loop, watch->fd, 0, true)) {
        watch->state = AL_WATCH_SILENT;
        return;
    }
    /* Not yet in the kernel, or the descriptor was closed under us. */
    self->watches[watch->fd] = NULL;
    watch_bury(watch);
}

/* Make the kernel report `wanted`, which is not 0; `watch` is in the table.
 * The watch, perhaps another one, or NULL with an exception set. */
static al_watch *
watch_arm(LoopObject *self, al_watch *watch, int wanted)
{
    bool fits = (wanted & ~watch->started) == 0;

    if (watch->state == AL_WATCH_FRESH && fits) {
        return watch;
    }
    if (watch->state == AL_WATCH_ABSENT) {
        if (fits && al_kernel_add(watch->loop, watch->fd, wanted)) {
            watch->state = AL_WATCH_LEVEL;
            return watch;
        }
        return table_replace(self, watch->fd, wanted);
    }
    /* Toggled before: so it will be again, and one event is all it needs. */
    bool once = watch->state == AL_WATCH_SILENT ||
                watch->state == AL_WATCH_ONCE || watch->state == AL_WATCH_EDGE;
    if (watch->state != AL_WATCH_FRESH && fits &&
        al_kernel_set(watch->loop, watch->fd, wanted, once)) {
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

/* Tell who waits for this side. May run foreign code. */
static void
side_notify(LoopObject *self, al_watch *watch, al_watch_side side)
{
    const watch_side *waiting = &watch->sides[side];

    if (waiting->handle != NULL) {
        queue_handle(self, waiting->handle);
    }
    else if (waiting->user != NULL && self->hold_events) {
        watch_hold(self, watch, events_of(side));
    }
    else if (waiting->user != NULL) {
        al_watch_user *user = waiting->user;
        PyObject *owner = Py_NewRef(user->owner);
        int64_t start = al_run_begin_event(self);
        user->on_event(user, side);
        al_run_end_event(self, owner, start);
        Py_DECREF(owner);
    }
}

/* Tell both sides. May run foreign code, and then `watch` may be gone, or at
 * least buried. */
static void
watch_notify(LoopObject *self, al_watch *watch, int events)
{
    int fd = watch->fd;

    if (events & UV_READABLE) {
        side_notify(self, watch, AL_WATCH_READ);
    }
    if (events & UV_WRITABLE && table_get(self, fd) == watch) {
        side_notify(self, watch, AL_WATCH_WRITE);
    }
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
    if (watch->state == AL_WATCH_SILENT || watch->started == 0 ||
        (events & wanted) == 0) {
        watch_list(watch); /* to be armed, or narrowed, before the poll */
    }
    watch_notify(self, watch, events & wanted);
}

static void
watches_bring_held(LoopObject *self)
{
    while (self->held_first != NULL) {
        al_watch *watch = self->held_first;
        int events = watch->held & watch_wanted(watch);
        watch_unhold(self, watch);
        self->ops_end = self->ready.tail; /* what is queued comes after it */
        watch_notify(self, watch, events);
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

/* Our own parts on a descriptor that somebody closed shall know of it; the
 * user's handles just hear nothing more, as with asyncio. */
static void
drop_users(al_watch *watch)
{
    for (int side = 0; side < 2; side++) {
        if (watch->sides[side].user != NULL) {
            side_release(side_take(watch, side), side, true);
        }
    }
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
            watch->started = 0;
            watch->state = AL_WATCH_SILENT;
            drop_users(watch);
        }
    }
    else if (watch->started == 0) {
        if (wanted != 0 && table_replace(self, watch->fd, wanted) == NULL) {
            PyErr_Clear();
        }
    }
    else if (watch->state == AL_WATCH_ABSENT) {
        if (wanted != 0 && watch_arm(self, watch, wanted) == NULL) {
            PyErr_Clear(); /* closed by the user */
        }
    }
    else if (watch->state == AL_WATCH_ONCE) {
        return; /* removed and added again since its event */
    }
    else if (wanted == 0) {
        watch_silence(self, watch); /* out of EDGE, too: arrivals unasked */
    }
    else if (watch->state == AL_WATCH_EDGE) {
        return; /* likewise; whoever waits has looked since the event */
    }
    else if (al_kernel_set(watch->loop, watch->fd, wanted, false)) {
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

/* Does the owner call al_watch_leave before it closes the descriptor? Then
 * the kernel need not be told of each change, but of what holds at a poll. */
static bool
is_kept(const al_watch_user *user)
{
    return user != NULL && (user->owns_fd || user->connects);
}

/* Put `incoming` on a side of the watch of `fd`, which is made if there is
 * none, in place of what is there. 0 and the references are the watch's, or
 * -1 with an exception set and they are the caller's. */
static int
watch_put(LoopObject *self, int fd, al_watch_side side, watch_side incoming,
          PyObject *object)
{
    al_watch *watch = table_get(self, fd);
    watch_side old = {NULL, NULL};
    int wanted = events_of(side);

    if (watch == NULL) {
        bool both = incoming.user != NULL && incoming.user->connects;
        watch =
            table_replace(self, fd, both ? UV_READABLE | UV_WRITABLE : wanted);
    }
    else {
        old = side_take(watch, side);
        if (watch->state == AL_WATCH_ABSENT && is_kept(incoming.user)) {
            /* Entered before the next poll, if it is not gone by then: a
             * connection that is closed at once is never entered. */
            watch->sides[side] = incoming;
            watch_list(watch);
            side_release(old, side, false);
            return 0;
        }
        watch = watch_arm(self, watch, wanted | watch_wanted(watch));
    }
    if (watch != NULL) {
        watch->sides[side] = incoming;
        if (object != NULL && !PyLong_CheckExact(object)) {
            Py_XSETREF(watch->object, Py_NewRef(object));
        }
    }
    self->poll_soon = true;
    side_release(old, side, false);
    return watch == NULL ? -1 : 0;
}

/* Nobody wants this side any more; it has been taken out. */
static void
watch_narrow(LoopObject *self, al_watch *watch)
{
    if (watch_wanted(watch) == 0) {
        PyObject *object = watch->object;
        watch->object = NULL;
        if (watch->state != AL_WATCH_EDGE) {
            watch_silence(self, watch);
        }
        Py_XDECREF(object);
    }
    else if (watch_arm(self, watch, watch_wanted(watch)) == NULL) {
        PyErr_Clear(); /* closed by the user: the other side goes with it */
    }
}

int
al_watch_set_steal(LoopObject *self, int fd, al_watch_side side,
                   HandleObject *handle, PyObject *object)
{
    handle->flags |= AL_HANDLE_PERSISTENT;
    if (watch_put(self, fd, side, (watch_side){handle, NULL}, object) < 0) {
        Py_DECREF(handle);
        return -1;
    }
    return 0;
}

bool
al_watch_remove(LoopObject *self, int fd, al_watch_side side)
{
    al_watch *watch = table_get(self, fd);

    if (watch == NULL || watch->sides[side].handle == NULL) {
        return false;
    }
    watch_side taken = side_take(watch, side);
    watch_narrow(self, watch);
    side_release(taken, side, false);
    return true;
}

int
al_watch_set_user(LoopObject *self, int fd, al_watch_side side,
                  al_watch_user *user)
{
    const al_watch *watch = table_get(self, fd);

    if (watch != NULL && watch->sides[side].user == user) {
        return 0;
    }
    Py_INCREF(user->owner); /* the side's */
    if (watch_put(self, fd, side, (watch_side){NULL, user}, NULL) < 0) {
        Py_DECREF(user->owner);
        return -1;
    }
    if (user->owns_fd) {
        self->watches[fd]->holder = user;
    }
    return 0;
}

/* Make the kernel report arrivals at the socket, unless it does so already.
 * False where it cannot be, and nothing has changed. */
static bool
watch_arm_edge(al_watch *watch, PyObject *sock)
{
    if (watch == NULL || watch_wanted(watch) != 0 ||
        !(watch->started & UV_READABLE)) {
        return false;
    }
    /* The one that all without a callback share; a dead socket's is not that
     * of a new one in its memory. */
    PyObject *ref = PyWeakref_NewRef(sock, NULL);
    if (ref == NULL) {
        PyErr_Clear();
        return false;
    }
    bool is_armed = watch->state == AL_WATCH_EDGE && watch->edge_of == ref;
    if (!is_armed &&
        (watch->state == AL_WATCH_SILENT || watch->state == AL_WATCH_EDGE)) {
        is_armed = al_kernel_set_edge(watch->loop, watch->fd);
    }
    if (is_armed) {
        watch->state = AL_WATCH_EDGE;
        Py_XSETREF(watch->edge_of, ref);
    }
    else {
        Py_DECREF(ref);
    }
    return is_armed;
}

int
al_watch_await_arrival(LoopObject *self, int fd, al_watch_user *user,
                       PyObject *sock)
{
    al_watch *watch = table_get(self, fd);

    if (!watch_arm_edge(watch, sock)) {
        return al_watch_set_user(self, fd, AL_WATCH_READ, user);
    }
    Py_INCREF(user->owner); /* the side's */
    watch->sides[AL_WATCH_READ].user = user;
    return 0;
}

void
al_watch_clear_user(LoopObject *self, int fd, al_watch_side side,
                    al_watch_user *user)
{
    al_watch *watch = table_get(self, fd);

    if (watch != NULL && watch->sides[side].user == user) {
        (void)side_take(watch, side);
        if (watch->state == AL_WATCH_LEVEL && is_kept(user)) {
            watch_list(watch); /* narrowed before the next poll */
        }
        else {
            watch_narrow(self, watch);
        }
        Py_DECREF(user->owner); /* the side's */
    }
}

/* Take both sides out of a watch that stays, and drop what was there. */
static void
drop_sides(al_watch *watch, bool gone)
{
    watch_side reader = side_take(watch, AL_WATCH_READ);
    watch_side writer = side_take(watch, AL_WATCH_WRITE);
    PyObject *object = watch->object;

    watch->object = NULL;
    watch->holder = NULL;
    side_release(reader, AL_WATCH_READ, gone);
    side_release(writer, AL_WATCH_WRITE, gone);
    Py_XDECREF(object);
}

void
al_watch_leave(LoopObject *self, int fd)
{
    al_watch *watch = table_get(self, fd);

    if (watch == NULL) {
        return;
    }
    watch_unhold(self, watch);
    bool known =
        watch->state == AL_WATCH_LEVEL || watch->state == AL_WATCH_ONCE ||
        watch->state == AL_WATCH_EDGE || watch->state == AL_WATCH_SILENT;
    if (known && watch->started != 0 &&
        al_kernel_remove(watch->loop, watch->fd)) {
        watch_unlist(watch);
        watch->state = AL_WATCH_ABSENT;
    }
    else if (watch->state != AL_WATCH_ABSENT) {
        self->watches[fd] = NULL;
        watch_bury(watch);
    }
    drop_sides(watch, false); /* a buried one is there until the next poll */
}

PyObject *
al_watch_owner(LoopObject *self, int fd)
{
    const al_watch *watch = table_get(self, fd);

    /* A transport may lend its descriptor for a while. */
    return watch != NULL && watch->holder != NULL && watch->holder->owns_fd
               ? watch->holder->owner
               : NULL;
}

void
al_watch_forget_stale(LoopObject *self, int fd)
{
    al_watch *watch = table_get(self, fd);

    if (watch == NULL) {
        return;
    }
    if (watch->state != AL_WATCH_ABSENT) {
        self->watches[fd] = NULL;
        watch_bury(watch);
    }
    drop_sides(watch, true); /* those of one that is ABSENT only wait */
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
        for (int side = 0; side < 2; side++) {
            const watch_side *waiting = &watch->sides[side];
            if (waiting->user != NULL) {
                Py_VISIT(waiting->user->owner);
            }
            else if (waiting->handle != NULL) {
                int rc = al_handle_visit(waiting->handle, visit, arg);
                if (rc != 0) {
                    return rc;
                }
            }
        }
    }
    return 0;
}

static void
watches_close(LoopObject *self)
{
    al_signal_close(self);
    for (size_t fd = 0; fd < self->watches_len; fd++) {
        al_watch *watch = self->watches[fd];
        if (watch != NULL) {
            self->watches[fd] = NULL;
            watch_bury(watch);
            drop_sides(watch, false);
        }
    }
    free(self->watches);
    self->watches = NULL;
    self->watches_len = 0;
}

static const struct al_watch_ops watch_ops = {
    .before_poll = watches_before_poll,
    .bring_held = watches_bring_held,
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
