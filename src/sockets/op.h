/* op.h - an operation on a socket: what sock_recv and its kin return.
 *
 * asyncio's are coroutines, and so is this to whoever holds one: nothing
 * happens before the first send(), it can be made a task, cancelled, thrown
 * into and closed, and one that is dropped unawaited is warned about.
 *
 * The first send() makes the system call. When that would block, the
 * operation becomes the reader or writer of its descriptor and yields a
 * future; the event makes the call again, in the poll, and completes the
 * future. So data is taken when it comes, and an operation that was
 * cancelled takes none. What the call gave is kept here, not in the future,
 * and returned when the task comes back.
 *
 * What is not plain (a subclass of socket.socket, an argument of a wrong kind,
 * a name to be resolved) is awaited through asyncio's own coroutine of the
 * same name: `inner`. So its exceptions are asyncio's, too.
 *
 * States: CREATED -> RUNNING -> (SUSPENDED -> RUNNING)* -> OVER.
 * Invariants:
 *   1. while foreign code runs in a send(), the state is RUNNING, and send,
 *      throw and close are refused;
 *   2. `watching` implies SUSPENDED without `inner`, or RUNNING;
 *   3. OVER holds nothing.
 *
 * Ownership: the awaiting coroutine, and the watch while it watches, own the
 * operation; fields say the rest.
 * Threads: the loop's; one may be made and dropped in any.
 */
#ifndef AL_SOCKETS_OP_H
#define AL_SOCKETS_OP_H

#include "loop/loop.h"
#include "watch/watch.h"

#include <sys/socket.h>

#define AL_OP_ARGS 5

enum { AL_OP_CREATED, AL_OP_RUNNING, AL_OP_SUSPENDED, AL_OP_OVER };

typedef struct SockOpObject SockOpObject;

/* How an attempt ended. */
typedef enum {
    AL_OP_DONE,   /* `result` is set, or `deliver` will make it */
    AL_OP_AGAIN,  /* the descriptor is not ready */
    AL_OP_FAILED, /* an exception is set */
    AL_OP_INNER,  /* `inner` is set: await it, then call `resolved` */
    AL_OP_BORROW, /* not for us: await asyncio's coroutine in place of it */
} al_op_outcome;

typedef struct {
    const char *name;
    al_watch_side side;
    uint8_t required;         /* arguments without a default */
    uint8_t positional;       /* arguments that need not be named */
    uint8_t most;             /* arguments in all, at most AL_OP_ARGS */
    size_t names[AL_OP_ARGS]; /* their names: offsets into al_state */
    /* The first attempt, in the task; may run foreign code. Sets `fd`. */
    al_op_outcome (*begin)(SockOpObject *self);
    /* Another one, in the poll: DONE, AGAIN or FAILED. */
    al_op_outcome (*again)(SockOpObject *self);
    /* `inner` returned `value`: like begin. NULL: `value` is the result. */
    al_op_outcome (*resolved)(SockOpObject *self, PyObject *value);
    /* In the task again, after `again` was DONE: make the result; like begin.
     * NULL: it is set. */
    al_op_outcome (*deliver)(SockOpObject *self);
} al_op_kind;

struct SockOpObject {
    PyObject_HEAD
    const al_op_kind *kind;
    LoopObject *loop;           /* strong; NULL when OVER */
    PyObject *args[AL_OP_ARGS]; /* strong, the socket first; NULL: default */
    PyObject *future;           /* strong: what was yielded, or NULL */
    PyObject *inner;            /* strong: a coroutine awaited here, or NULL */
    PyObject *result;           /* strong, or NULL */
    PyObject *error;            /* strong: raised in the poll, or NULL */
    PyObject *origin;           /* strong: cr_origin, or NULL */
    Py_buffer view;             /* of what is sent; view.obj NULL: none held */
    al_watch_user user;
    struct sockaddr_storage address; /* to whom, or from whom */
    socklen_t address_len;
    off_t offset;     /* sendfile: where to read the file */
    Py_ssize_t size;  /* how much is wanted */
    Py_ssize_t moved; /* how much has been sent */
    int fd;           /* the socket's, once it was asked for */
    int other_fd;     /* accepted, owned; or of the file, the user's; or -1 */
    uint8_t state;
    bool owns_other_fd;
    bool watching; /* the watch has `user`, and a reference to us */
    bool ready;    /* `result` or `error` is set: the future is complete */
    bool queued;   /* a handle in the ring will make the call again */
    bool borrowed; /* `inner` is asyncio's coroutine for all of it */
};

/* An operation, or asyncio's coroutine where the arguments are not passed in
 * the usual way. New reference, or NULL with asyncio's TypeError set. */
PyObject *al_op_new(const al_op_kind *kind, LoopObject *loop,
                    PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);

/* Call asyncio's coroutine function of this name with the operation's
 * arguments. New reference, or NULL with an exception set. */
PyObject *al_op_borrow(SockOpObject *self);

/* Let go of everything but `origin`; the state is OVER. May run foreign code.
 * Leaves the exception state alone. */
void al_op_release(SockOpObject *self);

/* Let go of the data that is sent. May run foreign code. */
void al_op_release_view(SockOpObject *self);

/* --- for the attempts ------------------------------------------------------ */

/* Is the socket a socket.socket, not closed, and does asyncio's debug mode
 * allow it? Then `fd` is set. If not, the caller borrows. */
bool al_op_take_plain_socket(SockOpObject *self);

/* Is the socket non-blocking as Python sees it? Most calls need not ask, as
 * they pass MSG_DONTWAIT. */
bool al_op_is_non_blocking(SockOpObject *self);

/* An attribute of the socket as the C type has it, bypassing the enumeration
 * types: pass st->socket_family and the like. -1, without an exception, if
 * memory is short. */
int al_op_socket_int(SockOpObject *self, PyObject *descriptor);

/* Is `fd` the socket's still? Runs no foreign code. */
bool al_op_has_its_socket(SockOpObject *self);

/* AGAIN or FAILED with OSError set, for the errno of a system call. */
al_op_outcome al_op_from_errno(void);

/* DONE with this result; FAILED if it is NULL. Steals it. */
al_op_outcome al_op_done_steal(SockOpObject *self, PyObject *result);

int al_op_setup(PyObject *module, struct al_state *st);

/* Free what the free list holds; when the module goes. */
void al_op_free_list_clear(struct al_state *st);

#endif
