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

#include <pthread.h>
#include <sched.h>

static void
wake_on_sent(uv_async_t *async)
{
    al_loop_enter(al_loop_of_uv((uv_handle_t *)async));
}

int
al_inbox_open(LoopObject *self)
{
    return uv_async_init(&self->uv, &self->wake, wake_on_sent);
}

void
al_inbox_wake(LoopObject *self)
{
    if (!self->sleeping || self->fork_generation != al_fork_generation) {
        return;
    }
    self->sleeping = false; /* one wake-up serves all that queue until then */
    self->wakers++;
    /* The loop needs the GIL as its first act. Sending and yielding without
     * it lets the loop run at once: half the time of a round trip. */
    Py_BEGIN_ALLOW_THREADS(void) uv_async_send(&self->wake);
    (void)sched_yield();
    Py_END_ALLOW_THREADS self->wakers--;
}

void
al_inbox_drain_wakers(LoopObject *self)
{
    while (self->wakers != 0) {
        Py_BEGIN_ALLOW_THREADS(void) sched_yield();
        Py_END_ALLOW_THREADS
    }
}
