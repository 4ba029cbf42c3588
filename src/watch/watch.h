/* watch.h - one watch per descriptor: who wants to read it, who to write.
 *
 * A watch is a uv_poll with a reader and a writer handle, found by its
 * descriptor. It stays after both are gone, so that programs which add and
 * remove a reader around every wait (psycopg, tornado, sock_*) pay one
 * epoll_ctl per wait in place of three.
 *
 * States of a watch, and what makes the transition:
 *   DEAD    its uv_poll is closed or closing        watch_bury
 *   FRESH   started in libuv, unknown to the kernel watch_open
 *   LEVEL   in the kernel, level-triggered          the poll after FRESH
 *   ONCE    in the kernel, one event at most        watch_arm
 *   SILENT  in the kernel, reports nothing          the event in ONCE;
 *                                                   watch_silence
 * Invariants:
 *   1. Whoever closes its descriptor after removing reader and writer leaves
 *      no event behind: the watch is then SILENT or DEAD, also in the ears of
 *      a kernel where a duplicate keeps the file alive.
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
    AL_WATCH_SILENT,
} al_watch_state;

typedef enum { AL_WATCH_READ, AL_WATCH_WRITE } al_watch_side;

/* Make `handle` the reader or writer of `fd`; an earlier one is cancelled.
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
