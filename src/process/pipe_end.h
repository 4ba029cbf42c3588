/* pipe_end.h - the protocol of one pipe of a child: stdin, stdout, stderr.
 *
 * What asyncio's WriteSubprocessPipeProto and ReadSubprocessPipeProto are: it
 * passes on to the process's transport what its pipe's transport tells.
 *
 * Ownership: the process holds its ends in a dict; an end holds the process
 * until its pipe is lost.
 * Threads: the loop's.
 */
#ifndef AL_PROCESS_PIPE_END_H
#define AL_PROCESS_PIPE_END_H

#include "process/process.h"

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    struct al_state *st;    /* borrowed */
    ProcessObject *process; /* strong; NULL when the pipe is lost */
    PyObject *pipe;         /* strong: its transport; NULL before */
    size_t queued_end; /* position in the ring behind what was queued last */
    Py_ssize_t attributes; /* how many the protocol had when last seen */
    int fd;                /* the child's: 0, 1 or 2 */
    bool disconnected;
    bool hidden; /* an attribute of the protocol stands before a method */
} PipeEndObject;

/* New reference, or NULL with an exception set. */
PyObject *al_pipe_end_new(ProcessObject *process, int fd);

/* Have the protocol's stream of this pipe, once it is there, run in C. */
void al_pipe_end_adopt(PyObject *op);

int al_pipe_end_setup(PyObject *module, struct al_state *st);

#endif
