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
    int fd;                 /* the child's: 0, 1 or 2 */
    bool disconnected;
} PipeEndObject;

/* New reference, or NULL with an exception set. */
PyObject *al_pipe_end_new(ProcessObject *process, int fd);

int al_pipe_end_setup(PyObject *module, struct al_state *st);

#endif
