/* watch.h - one watch per descriptor: who wants to read it, who to write.
 *
 * A watch is a uv_poll with a reader and a writer, found by its descriptor.
 * Each of the two is a handle of the user's (add_reader, add_writer), queued
 * by an event, or a part of ours in C (`al_watch_user`: a transport, a
 * listener, a sock_* operation), called by it. The watch stays after both are
 * gone, so that programs which add and remove a reader around every wait
 * (psycopg, tornado, sock_*) pay one epoll_ctl per wait in place of three; and
 * after its descriptor is closed by a transport, for the next file that gets
 * the number, which saves libuv's four system calls for a new one.
 *
 * States of a watch, and what makes the transition:
 *   DEAD    its uv_poll is closed or closing        watch_bury
 *   FRESH   started in libuv, unknown to the kernel watch_open
 *   LEVEL   in the kernel, level-triggered          the poll after FRESH
 *   ONCE    in the kernel, one event at most        watch_arm
 *   EDGE    in the kernel, one event per arrival    al_watch_await_arrival
 *   SILENT  in the kernel, reports nothing          the event in ONCE;
 *                                                   watch_silence
 *   ABSENT  known to libuv, not to the kernel       al_watch_leave; with a
 *                                                   user it is LEVEL from the
 *                                                   next poll on
 * Invariants:
 *   1. Whoever closes its descriptor after removing reader and writer leaves
 *      no event behind: the watch is then SILENT or DEAD, also in the ears of
 *      a kernel where a duplicate keeps the file alive. Our own parts that
 *      call al_watch_leave before they close are told of to the kernel no
 *      sooner than the next poll.
 *   2. A watch never trusts that its descriptor is still the same file:
 *      arming goes through EPOLL_CTL_MOD, which fails when it is another, and
 *      a FRESH watch is compared by inode before libuv may touch it (libuv
 *      aborts the process when epoll refuses a descriptor).
 *   3. libuv's own mask (`started`) takes in every event ever wanted; the
 *      kernel's mask is what is wanted now.
 *
 * Threads: the loop's.
 */
#ifndef AL_WATCH_WATCH_H
#define AL_WATCH_WATCH_H

#include "loop/loop.h"

typedef enum {
    AL_WATCH_DEAD,
    AL_WATCH_FRESH,
    AL_WATCH_LEVEL,
    AL_WATCH_ONCE,
    AL_WATCH_EDGE,
    AL_WATCH_SILENT,
    AL_WATCH_ABSENT,
} al_watch_state;

typedef enum { AL_WATCH_READ, AL_WATCH_WRITE } al_watch_side;

/* A reader or writer in C, embedded in the object that owns it. A watch keeps
 * a reference to `owner` for each side that it has the user on, and shows it
 * to the collector as the loop's. */
typedef struct al_watch_user {
    PyObject *owner; /* borrowed: what this is embedded in */
    /* The descriptor can be read or written, or has an error, which a system
     * call will tell. Called in the poll, with the GIL, no task current, a
     * reference to the owner held; may run foreign code, and reports its
     * exceptions itself (al_loop_raise for those that leave the loop). */
    void (*on_event)(struct al_watch_user *user, al_watch_side side);
    /* The watch has let go of a side by itself: somebody else took it or the
     * loop is closed; or, with `gone`, the descriptor was closed under us and
     * its number is no longer ours. Runs no foreign code. */
    void (*on_drop)(struct al_watch_user *user, al_watch_side side, bool gone);
    bool owns_fd; /* a transport or listener: add_reader is refused */
    /* A connector: will call al_watch_leave, or pass the descriptor on to a
     * transport, which reads it: so a new watch is opened for both sides. */
    bool connects;
} al_watch_user;

/* Make `user` the reader or writer of `fd`; an earlier one is dropped. Nothing
 * changes where it is that already. 0, or -1 with OSError or MemoryError set,
 * and then the other side has been dropped as well if it could not stay. */
int al_watch_set_user(LoopObject *self, int fd, al_watch_side side,
                      al_watch_user *user);

/* Make `user` the reader of `fd`, which is the descriptor of this socket object
 * and was just found to be empty (EAGAIN). From the second wait for the same
 * socket on, no system call is made: the kernel goes on reporting arrivals
 * between waits, until one comes that nobody waits for.
 * As al_watch_set_user otherwise. */
int al_watch_await_arrival(LoopObject *self, int fd, al_watch_user *user,
                           PyObject *sock);

/* Take `user` off a side, if it is there. May run foreign code: the owner's
 * finalizer, unless the caller holds a reference. */
void al_watch_clear_user(LoopObject *self, int fd, al_watch_side side,
                         al_watch_user *user);

/* The caller owns `fd` and is about to close it: whatever watches it is taken
 * off (a foreign handle is cancelled), and the kernel reports nothing more. */
void al_watch_leave(LoopObject *self, int fd);

/* The transport or listener that `fd` belongs to, from its first set_user to
 * al_watch_leave; NULL if none. Borrowed. */
PyObject *al_watch_owner(LoopObject *self, int fd);

/* Make `handle` the reader or writer of `fd`; an earlier one is dropped.
 * `object` is what the user passed, kept when it is not an int.
 * Steals `handle`. 0, or -1 with OSError or MemoryError set. */
int al_watch_set_steal(LoopObject *self, int fd, al_watch_side side,
                       HandleObject *handle, PyObject *object);

/* Remove and cancel the reader or writer. Was there one? */
bool al_watch_remove(LoopObject *self, int fd, al_watch_side side);

/* The descriptor under which `object` was registered, or -1: for a file
 * object that was closed before it was removed. */
int al_watch_find_object(LoopObject *self, PyObject *object);

/* We have been given this descriptor by the kernel: a watch that still has
 * its number is of a file that somebody closed, and goes. */
void al_watch_forget_stale(LoopObject *self, int fd);

/* What `fd` is watched for: UV_READABLE | UV_WRITABLE, or 0. */
int al_watch_events(LoopObject *self, int fd);

/* Visit what the watches hold, for the loop's traverse. */
int al_watch_visit(LoopObject *self, visitproc visit, void *arg);

/* Give a new loop its watch_ops. */
void al_watch_setup_loop(LoopObject *self);

#endif
