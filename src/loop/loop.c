/* loop.c - opening and closing a loop.
 *
 * Ownership: al_loop_open either gives a loop that al_loop_close must close,
 * or leaves nothing behind.
 * Threads: the loop's thread.
 */

#include "loop/loop.h"

#include "loop/fork.h"
#include "loop/inbox.h"
#include "loop/timers.h"
#include "py/error.h"

#include <stdlib.h>
#include <unistd.h>

bool
al_loop_is_foreign(const LoopObject *self)
{
    return self->fork_generation != al_fork_generation;
}

void
al_loop_part_from_parent(LoopObject *self)
{
    /* The epoll instance behind a loop is shared after fork: what the child
     * removes from it is removed for the parent. libuv makes a new one. */
    if (self->uv_open && al_loop_is_foreign(self) && !self->parted) {
        self->parted = true;
        (void)uv_loop_fork(&self->uv);
    }
}

int
al_loop_check_closed(LoopObject *self)
{
    if (self->closed) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return -1;
    }
    return 0;
}

static void
close_uv(LoopObject *self)
{
    /* Close callbacks free what their subsystem embedded elsewhere; each
     * round of the loop delivers some. */
    while (uv_loop_close(&self->uv) == UV_EBUSY) {
        (void)uv_run(&self->uv, UV_RUN_NOWAIT);
    }
    self->uv_open = false;
}

int
al_loop_open(LoopObject *self)
{
    self->signal_pipe[0] = self->signal_pipe[1] = -1;
    self->timer_fd = self->wake_fd = -1;
    self->fork_generation = al_fork_generation;
    al_heap_init(&self->timers);
    self->handles = al_handle_pool_new(self->st, (PyObject *)self);
    if (self->handles == NULL) {
        return -1;
    }
    self->handles->on_timer_cancel = al_timers_on_cancel;
    if (al_ring_init(&self->ready) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    int err = uv_loop_init(&self->uv);
    if (err < 0) {
        al_raise_uv(err);
        return -1;
    }
    self->uv.data = self;
    self->uv_open = true;
    err = al_inbox_open(self);
    if (err == 0) {
        err = al_timers_open(self);
    }
    if (err < 0) {
        al_raise_uv(err);
        return -1;
    }
    return 0;
}

void
al_loop_send_all(LoopObject *self)
{
    bool foreign = al_loop_is_foreign(self);

    while (self->flush_first != NULL) {
        al_flush *flush = self->flush_first;
        PyObject *owner = flush->owner;
        self->flush_first = flush->next;
        flush->queued = false;
        if (!foreign) {
            flush->send(flush);
        }
        Py_DECREF(owner); /* the list's */
    }
    self->flush_count = 0;
    self->flush_bytes = 0;
}

void
al_loop_drop_work(LoopObject *self)
{
    /* Dropping an entry may run code that queues another. Handles that the
     * user still holds are emptied as well: they are not tracked by the
     * collector, so a cycle through one would never end. */
    while (al_ring_len(&self->ready) != 0) {
        PyObject *entry = al_ring_pop(&self->ready);
        if (PyObject_TypeCheck(entry, self->st->handle_type)) {
            al_handle_drop((HandleObject *)entry);
        }
        Py_DECREF(entry);
    }
    Py_CLEAR(self->handshakes);
    while (self->timers.len != 0) {
        TimerHandleObject *timer =
            al_timer_of_node(al_heap_pop(&self->timers));
        al_handle_drop(&timer->base);
        Py_DECREF(timer);
    }
}

void
al_loop_close(LoopObject *self)
{
    if (!self->uv_open) {
        return;
    }
    al_loop_part_from_parent(self);
    al_loop_send_all(self);
    al_inbox_close(self);
    al_timers_close(self);
    self->watch_ops->close(self);
    close_uv(self);
    free(self->io_buffer);
    self->io_buffer = NULL;
    free(self->scratch);
    self->scratch = NULL;
    free(self->datagram_batch);
    self->datagram_batch = NULL;
    for (int i = 0; i < 2; i++) {
        if (self->signal_pipe[i] >= 0) {
            close(self->signal_pipe[i]);
            self->signal_pipe[i] = -1;
        }
    }
}
