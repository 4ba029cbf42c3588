/* sendfile.c - sock_sendfile over sendfile(2).
 *
 * As soon as bytes have moved, the operation is ours. As long as none has,
 * whatever is in the way (no regular file, an argument of a wrong kind, a
 * system call that refuses, a file that is at its end) is left to asyncio's
 * coroutine, which has the exceptions, the fallback and the file position of
 * the Python that runs.
 *
 * Ownership: the file's descriptor is the user's; see op.h.
 * Threads: the loop's. The GIL is released for sendfile(2), which may wait for
 * a disk.
 */

#include "sockets/sendfile.h"

#include "sockets/sock_op.h"

#if defined(__linux__)

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one event may send, so that no socket keeps the others waiting. */
#define SEND_MAX ((Py_ssize_t)1024 * 1024)

#define TO_THE_END (-1)

/* Nothing more will be sent: the file's position is to be where the part ends
 * that was. DONE without a result if nothing was, so that asyncio's code has
 * its turn. */
static al_op_outcome
sendfile_end(SockOpObject *self, al_op_outcome outcome)
{
    if (self->moved == 0) {
        PyErr_Clear();
        return AL_OP_DONE;
    }
    int rc = lseek(self->other_fd, self->offset, SEEK_SET) < 0 ? -1 : 0;
    if (outcome == AL_OP_FAILED) {
        return AL_OP_FAILED; /* of the send; that is what counts */
    }
    return rc < 0
               ? al_op_from_errno()
               : al_op_done_steal(&self->op, PyLong_FromSsize_t(self->moved));
}

static al_op_outcome
sendfile_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    Py_ssize_t left = SEND_MAX;

    while (left > 0) {
        Py_ssize_t ask = left;
        ssize_t sent;
        if (self->size != TO_THE_END && self->size - self->moved < ask) {
            ask = self->size - self->moved;
        }
        Py_BEGIN_ALLOW_THREADS
        sent = sendfile(self->fd, self->other_fd, &self->offset, (size_t)ask);
        Py_END_ALLOW_THREADS
        if (sent < 0) {
            al_op_outcome outcome = al_op_from_errno();
            return outcome == AL_OP_AGAIN ? outcome
                                          : sendfile_end(self, outcome);
        }
        if (sent == 0) {
            return sendfile_end(self, AL_OP_DONE);
        }
        self->moved += sent;
        left -= sent;
        if (self->moved == self->size) {
            return sendfile_end(self, AL_OP_DONE);
        }
    }
    return AL_OP_AGAIN;
}

static al_op_outcome
sendfile_deliver(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    return self->op.result == NULL ? AL_OP_BORROW : AL_OP_DONE;
}

/* asyncio's checks, in asyncio's words. 0, or -1 with an exception set. */
static int
check_arguments(SockOpObject *self, PyObject *offset, PyObject *count)
{
    PyObject *done = PyObject_CallMethod(
        (PyObject *)self->op.loop, "_check_sendfile_params", "OOOO",
        self->op.args[0], self->op.args[1], offset, count);

    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The descriptor of the file, and its size. False without an exception where
 * there is none; then asyncio's code asks once more. */
static bool
take_file(SockOpObject *self, struct stat *file)
{
    PyObject *number = PyObject_CallMethodNoArgs(
        self->op.args[1], self->op.loop->st->str_fileno);
    long fd = -1;

    if (number != NULL && PyLong_Check(number)) {
        fd = PyLong_AsLong(number);
    }
    Py_XDECREF(number);
    PyErr_Clear();
    if (fd < 0 || fd > INT_MAX || fstat((int)fd, file) < 0) {
        return false;
    }
    self->other_fd = (int)fd;
    return true;
}

static al_op_outcome
sendfile_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    PyObject *offset = self->op.args[2];
    PyObject *count = self->op.args[3] == NULL ? Py_None : self->op.args[3];
    struct stat file;

    if (!al_op_take_plain_socket(self)) {
        return AL_OP_BORROW;
    }
    PyObject *zero = PyLong_FromLong(0);
    int rc =
        zero == NULL
            ? -1
            : check_arguments(self, offset == NULL ? zero : offset, count);
    Py_XDECREF(zero);
    if (rc < 0) {
        return AL_OP_FAILED;
    }
    self->offset = offset == NULL ? 0 : (off_t)PyLong_AsLongLong(offset);
    self->size = count == Py_None ? TO_THE_END : PyLong_AsSsize_t(count);
    if (PyErr_Occurred()) { /* beyond any file */
        PyErr_Clear();
        return AL_OP_BORROW;
    }
    if (!take_file(self, &file)) {
        return AL_OP_BORROW;
    }
    if (self->size == TO_THE_END && file.st_size == 0) {
        return al_op_done_steal(&self->op, PyLong_FromLong(0));
    }
    if (!al_op_has_its_socket(self)) { /* what ran above closed it */
        return AL_OP_BORROW;
    }
    al_op_outcome outcome = sendfile_again(&self->op);
    return outcome == AL_OP_DONE ? sendfile_deliver(&self->op) : outcome;
}

#else

static al_op_outcome
sendfile_begin(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    (void)self;
    return AL_OP_BORROW;
}

static al_op_outcome
sendfile_again(OpObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    (void)self;
    Py_UNREACHABLE();
}

#define sendfile_deliver NULL

#endif

static const al_op_kind sendfile_kind = {
    .family = &al_sock_op_family,
    .name = "sock_sendfile",
    .side = AL_WATCH_WRITE,
    .required = 2,
    .positional = 4,
    .most = 5,
    .names =
        {
            offsetof(struct al_state, str_sock),
            offsetof(struct al_state, str_file),
            offsetof(struct al_state, str_offset),
            offsetof(struct al_state, str_count),
            offsetof(struct al_state, str_fallback),
        },
    .begin = sendfile_begin,
    .again = sendfile_again,
    .deliver = sendfile_deliver,
};

PyObject *
al_sendfile_py_sock(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    return al_op_new(&sendfile_kind, (LoopObject *)op, args, nargs, kwnames);
}
