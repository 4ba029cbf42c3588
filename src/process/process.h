/* process.h - the transport of a child process.
 *
 * asyncloop/_subprocess.py starts the child and gives its pid, a descriptor
 * that becomes readable when it ends, and our ends of its pipes. From then on
 * it is C: the end is an event of the watch of that descriptor, the pipes are
 * transports of transports/pipe.c whose protocol is a PipeEnd (pipe_end.h),
 * and what the protocol hears is queued, in asyncio's order.
 *
 *   running --the child ends, it is reaped--> exited
 *     --and all pipes are lost, connection_lost is queued--> finished
 *       --it has run--> released: loop and protocol are NULL.
 *
 * Invariants:
 *   1. While `exited` is false and `reaped` too, the child is not waited for
 *      by us: its pid is its own, a zombie's at worst. Nobody but
 *      process_reap and al_orphan_adopt waits for it.
 *   2. `exit_fd` is open exactly while it is not -1, and then it is ours. A
 *      loop that closes takes the watch off and leaves it open, for signals.
 *   3. The watch holds a reference while it waits for the end; so does each
 *      PipeEnd until its pipe is lost.
 *   4. In a forked child nothing is signalled, waited for or taken off.
 *
 * Threads: the loop's.
 */
#ifndef AL_PROCESS_PROCESS_H
#define AL_PROCESS_PROCESS_H

#include "loop/loop.h"
#include "watch/watch.h"

#include <sys/types.h>

typedef struct {
    PyObject_HEAD
    PyObject *extra; /* BaseTransport's slot: a dict, or NULL so far */
    PyObject *dict;
    PyObject *weakrefs;
    struct al_state *st;    /* borrowed */
    LoopObject *loop;       /* strong; NULL when released */
    PyObject *protocol;     /* strong; NULL when released */
    PyObject *context;      /* strong; of the end's event; NULL: the empty */
    PyObject *args;         /* strong: what was run */
    PyObject *files;        /* strong: our ends of the pipes, or None, three */
    PyObject *popen;        /* strong: a subprocess.Popen, NULL until asked */
    PyObject *pipes;        /* strong dict: 0, 1, 2 -> PipeEnd, or None */
    PyObject *exit_waiters; /* strong set of futures; NULL when it has ended */
    PyObject *pending;      /* strong list of calls, until it is connected */
    al_watch_user user;
    uint64_t fork_generation; /* of the process that made it */
    pid_t pid;
    int exit_fd;
    int returncode;
    bool is_pidfd : 1; /* exit_fd; or the end of a pipe, see orphan.h */
    bool watched : 1;  /* by exit_fd: else somebody else tells of the end */
    bool reaped : 1;   /* the pid is nobody's, or somebody else's */
    bool orphaned : 1; /* given to al_orphan_adopt */
    bool exited : 1;   /* `returncode` is known */
    bool closed : 1;   /* by close() */
    bool finished : 1; /* connection_lost is queued, or was called */
    bool detached : 1; /* `popen` was shown to somebody */
} ProcessObject;

/* A pipe has data, or is lost: tell the protocol, in a turn of the loop.
 * 0, or -1 with an exception set. */
int al_process_pipe_data(ProcessObject *self, int fd, PyObject *data);
int al_process_pipe_lost(ProcessObject *self, int fd, PyObject *error);

/* The child has ended: as asyncio's _process_exited. 0, or -1. */
int al_process_exited(ProcessObject *self, int returncode);

/* Is the child still ours to signal and to wait for? */
bool al_process_is_ours(const ProcessObject *self);

/* Send a signal, to this child and to no other. 0, or -1 with OSError set. */
int al_process_signal(ProcessObject *self, int number);

/* close(): the pipes, and kill it. 0, or -1 with an exception set. */
int al_process_close(ProcessObject *self);

/* Call connection_lost and let go of everything. 0, or -1 likewise. */
int al_process_lose(ProcessObject *self, PyObject *error);

/* Tell all that was held back, connection_made first. 0, or -1. */
int al_process_connected(ProcessObject *self);

/* The Popen that stands for the child, made when first asked for. New
 * reference, or NULL with an exception set. */
PyObject *al_process_popen(ProcessObject *self);

PyObject *al_process_py_make(PyObject *op, PyObject *args, PyObject *kwargs);
PyObject *al_process_py_watch(PyObject *op, PyObject *pid);

#define AL_PROCESS_LOOP_METHODS                                               \
    {"_watch_child", al_process_py_watch, METH_O, NULL},                      \
    {                                                                         \
        "_make_process", _PyCFunction_CAST(al_process_py_make),               \
            METH_VARARGS | METH_KEYWORDS, NULL                                \
    }

extern PyMethodDef al_process_methods[];
extern PyGetSetDef al_process_getset[];
PyObject *al_process_tp_repr(PyObject *op);

int al_process_setup(PyObject *module, struct al_state *st);

#endif
