/* inbox.c - waking a sleeping loop.
 *
 * Under the GIL another thread may put an entry straight into the ready
 * ring: the loop's thread touches it only with the GIL held too. So the inbox
 * is the ring, and what remains is the wake-up, sent only when the loop
 * sleeps and only once per sleep.
 *
 * Threads: any, with the GIL.
 */

#include "loop/inbox.h"

#include "loop/fork.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/eventfd.h>
#define HAVE_EVENTFD 1
#else
#define HAVE_EVENTFD 0
#endif

#if HAVE_EVENTFD

/* An eventfd of our own: libuv 1.44's uv_async makes the woken loop spin, on
 * the same core, until the sender has been scheduled again (measured: 30 us
 * of CPU for a round trip). */

static void
wake_on_sent(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    LoopObject *self = al_loop_of_uv((uv_handle_t *)poll);
    uint64_t count;

    (void)!read(self->wake_fd, &count, sizeof(count));
    self->was_called = true;
    al_loop_enter(self);
}

int
al_inbox_open(LoopObject *self)
{
    self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->wake_fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int err = uv_poll_init(&self->uv, &self->wake.poll, self->wake_fd);
    if (err < 0) {
        close(self->wake_fd);
        self->wake_fd = -1;
        return err;
    }
    self->wake_open = true;
    return uv_poll_start(&self->wake.poll, UV_READABLE, wake_on_sent);
}

static void
wake_send(LoopObject *self)
{
    uint64_t one = 1;
    (void)!write(self->wake_fd, &one, sizeof(one));
}

#else

static void
wake_on_sent(uv_async_t *async)
{
    al_loop_enter(al_loop_of_uv((uv_handle_t *)async));
}

int
al_inbox_open(LoopObject *self)
{
    self->wake_fd = -1;
    int err = uv_async_init(&self->uv, &self->wake.async, wake_on_sent);
    self->wake_open = err == 0;
    return err;
}

static void
wake_send(LoopObject *self)
{
    (void)uv_async_send(&self->wake.async);
}

#endif

void
al_inbox_close(LoopObject *self)
{
    /* In a forked child the threads that were in a wake-up are not there. */
    while (atomic_load(&self->wakers) != 0 && !al_loop_is_foreign(self)) {
        Py_BEGIN_ALLOW_THREADS
        sched_yield();
        Py_END_ALLOW_THREADS
    }
    if (self->wake_open) {
        uv_close((uv_handle_t *)&self->wake, NULL);
        self->wake_open = false;
    }
    if (self->wake_fd >= 0) {
        close(self->wake_fd);
        self->wake_fd = -1;
    }
}

bool
al_inbox_claim(LoopObject *self)
{
    if (!self->sleeping || self->fork_generation != al_fork_generation) {
        return false;
    }
    self->sleeping = false; /* one wake-up serves all that queue until then */
    atomic_fetch_add(&self->wakers, 1);
    return true;
}

void
al_inbox_send(LoopObject *self)
{
    /* Whether it spins or is in a poll may have changed since the claim, but
     * then it has had the GIL and seen what was queued. */
    if (atomic_load(&self->spinning)) {
        atomic_store(&self->spin_is_over, true);
    }
    else {
        wake_send(self);
    }
    atomic_fetch_sub(&self->wakers, 1); /* from here on it may be gone */
}

void
al_inbox_wake(LoopObject *self)
{
    if (!al_inbox_claim(self)) {
        return;
    }
    /* The loop needs the GIL as its first act. Sending and yielding without
     * it lets the loop run at once: half the time of a round trip. */
    Py_BEGIN_ALLOW_THREADS
    al_inbox_send(self);
    (void)sched_yield();
    Py_END_ALLOW_THREADS
}
