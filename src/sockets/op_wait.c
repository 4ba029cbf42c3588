/* op_wait.c - how an operation waits for its descriptor, and what the event
 * does.
 *
 * Ownership: while it watches, the watch holds a reference to the operation.
 * Threads: the loop's.
 */

#include "sockets/op_wait.h"

#include "futures/waiter.h"
#include "loop/run.h"
#include "py/error.h"
#include "sockets/reader.h"

#include <errno.h>

/* The caller holds a reference. Leaves the exception state alone. */
void
al_op_unwatch(SockOpObject *self)
{
    if (!self->watching) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    self->watching = false;
    al_watch_clear_user(self->op.loop, self->fd, self->op.kind->side,
                        &self->user);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

void
al_op_on_drop(al_watch_user *user, al_watch_side side, bool gone)
{
    (void)side;
    (void)gone;
    /* As with asyncio, whoever was displaced, or whose socket was closed,
     * waits on until it is cancelled. */
    ((SockOpObject *)user->owner)->watching = false;
}

/* The future's callbacks could not be queued; there is nobody to raise to. */
static void
report(SockOpObject *self)
{
    if (al_err_leaves_loop()) {
        al_run_leave_with_error(self->op.loop);
    }
    else {
        PyErr_WriteUnraisable((PyObject *)self);
    }
}

/* The descriptor is ready: make the call again, unless nobody waits for it. */
static void
op_try_again(SockOpObject *self)
{
    LoopObject *loop = self->op.loop;

    int pending = al_waiter_is_pending(loop, self->op.future);
    if (pending <= 0) {
        if (pending < 0) {
            report(self);
        }
        al_op_unwatch(self); /* cancelled: the data is for somebody else */
        return;
    }
    al_op_outcome outcome;
    self->op.state = AL_OP_RUNNING; /* making objects may run the collector */
    if (al_op_has_its_socket(self)) {
        outcome = self->op.kind->again(&self->op);
    }
    else {
        errno = EBADF;
        outcome = al_op_from_errno();
    }
    self->op.state = AL_OP_SUSPENDED;
    if (outcome == AL_OP_AGAIN) {
        return;
    }
    if (outcome == AL_OP_FAILED) {
        self->op.error = al_err_take();
    }
    self->op.ready = true;
    al_op_unwatch(self);
    /* What `again` made may have run a finalizer that cancelled us. */
    pending = al_waiter_is_pending(loop, self->op.future);
    if (pending < 0 ||
        (pending > 0 && al_waiter_wake(loop, self->op.future) < 0)) {
        report(self);
    }
}

/* op_try_again as a callback in the ring. */
static PyObject *
op_py_try_again(PyObject *module, PyObject *op)
{
    (void)module;
    SockOpObject *self = (SockOpObject *)op;

    self->queued = false;
    if (self->op.state == AL_OP_SUSPENDED && self->watching) {
        op_try_again(self);
    }
    Py_RETURN_NONE;
}

PyMethodDef al_op_try_again_def = {"try_again", op_py_try_again, METH_O, NULL};

/* 0, or -1 with an exception set. */
static int
op_queue(SockOpObject *self)
{
    LoopObject *loop = self->op.loop;
    PyObject *op = (PyObject *)self;

    if (self->queued) {
        return 0;
    }
    HandleObject *handle = al_handle_new(loop->handles, loop->st->op_try_again,
                                         &op, 1, NULL, NULL);
    if (handle == NULL || al_loop_push_steal(loop, (PyObject *)handle) < 0) {
        return -1;
    }
    self->queued = true;
    return 0;
}

/* A callback that is queued already may cancel the operation, which then must
 * not have taken anything: in asyncio's order it comes before the event. So
 * the call is made here only where nothing is queued but tasks that other
 * operations have woken in this poll; asyncio steps these later, too. */
void
al_op_on_event(al_watch_user *user, al_watch_side side)
{
    (void)side;
    SockOpObject *self = (SockOpObject *)user->owner;
    LoopObject *loop = self->op.loop;
    al_ring *ready = &loop->ready;

    if (al_ring_len(ready) == 0 || loop->ops_end == ready->tail) {
        op_try_again(self);
        loop->ops_end = ready->tail;
    }
    else if (op_queue(self) < 0) {
        report(self);
    }
}

/* Become the reader or writer. 0, or -1 with an exception set. */
int
al_op_watch(SockOpObject *self)
{
    LoopObject *loop = self->op.loop;

    if (al_reader_ensure_free(loop, self->fd) < 0 ||
        al_loop_check_closed(loop) < 0) {
        return -1;
    }
    al_loop_part_from_parent(loop);
    int rc =
        self->op.kind->side == AL_WATCH_READ
            ? al_watch_await_arrival(loop, self->fd, &self->user,
                                     self->op.args[0])
            : al_watch_set_user(loop, self->fd, AL_WATCH_WRITE, &self->user);
    if (rc < 0) {
        return -1;
    }
    self->watching = true;
    return 0;
}
