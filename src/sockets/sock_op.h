/* sock_op.h - an operation on a socket: what sock_recv and its kin return.
 *
 * An operation of futures/op.h. The first send() makes the system call. When
 * that would block, the operation becomes the reader or writer of its
 * descriptor and yields a future; the event makes the call again, in the poll,
 * and completes the future. So data is taken when it comes, and an operation
 * that was cancelled takes none. What the call gave is kept here, not in the
 * future, and returned when the task comes back.
 *
 * What is not plain (a subclass of socket.socket, an argument of a wrong kind,
 * a name to be resolved) is awaited through asyncio's own coroutine. So its
 * exceptions are asyncio's, too.
 *
 * Invariant: `watching` implies SUSPENDED without `inner`, or RUNNING.
 *
 * Ownership: the awaiting coroutine, and the watch while it watches, own the
 * operation; fields say the rest.
 * Threads: the loop's; one may be made and dropped in any.
 */
#ifndef AL_SOCKETS_SOCK_OP_H
#define AL_SOCKETS_SOCK_OP_H

#include "futures/op.h"
#include "watch/watch.h"

#include <sys/socket.h>

typedef struct {
    OpObject op;    /* args: the socket first */
    Py_buffer view; /* of what is sent; view.obj NULL: none held */
    al_watch_user user;
    struct sockaddr_storage address; /* to whom, or from whom */
    socklen_t address_len;
    off_t offset;     /* sendfile: where to read the file */
    Py_ssize_t size;  /* how much is wanted */
    Py_ssize_t moved; /* how much has been sent */
    int fd;           /* the socket's, once it was asked for */
    int other_fd;     /* accepted, owned; or of the file, the user's; or -1 */
    bool owns_other_fd;
    bool watching; /* the watch has `user`, and a reference to us */
    bool queued;   /* a handle in the ring will make the call again */
} SockOpObject;

extern const al_op_family al_sock_op_family;

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

int al_sock_op_setup(PyObject *module, struct al_state *st);

#endif
