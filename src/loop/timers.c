/* timers.c - the timer heap and the kernel timer behind it.
 *
 * One timerfd serves all timers: it has nanoseconds and no timer slack
 * (measured 40 to 50 us late at the median, where a millisecond timer of
 * libuv is up to 0.9 ms late). It is set only just before a poll that blocks
 * and only when the first deadline is another one than it is set for, so a
 * busy loop never pays the 260 ns.
 *
 * Ownership: the heap holds a reference to each scheduled timer.
 * Threads: the loop's thread; call_later from a wrong thread is undefined in
 * asyncio as well, but the GIL keeps the heap whole.
 */

#include "loop/timers.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/timerfd.h>
#define HAVE_TIMERFD 1
#else
#define HAVE_TIMERFD 0
#endif

/* A sleep is long from here on; its lead is at most so much, and follows the
 * lateness of the last sleeps with this weight. */
#define LONG_SLEEP_NS (2 * AL_NS_PER_MS)
#define LEAD_MAX_NS (200 * AL_NS_PER_US)
#define LEAD_WEIGHT 8

/* Deadlines beyond this (73 years) are never due, so no sum overflows. */
#define DEADLINE_NEVER (INT64_MAX / 4)

int64_t
al_deadline_of(double when)
{
    if (isnan(when)) {
        return 0;
    }
    double ns = ceil(when * 1e9);
    if (ns >= (double)DEADLINE_NEVER) {
        return DEADLINE_NEVER;
    }
    if (ns <= 0.0) {
        return 0;
    }
    int64_t deadline = (int64_t)ns;
    /* The product was rounded; what counts is how loop.time() will divide. */
    while ((double)deadline / 1e9 < when) {
        deadline++;
    }
    return deadline;
}

int
al_timers_add(LoopObject *self, TimerHandleObject *timer)
{
    timer->node.key = al_deadline_of(timer->when);
    if (al_heap_push(&self->timers, &timer->node) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    Py_INCREF(timer); /* the heap's */
    self->counters.timers_scheduled++;
    return 0;
}

void
al_timers_on_cancel(PyObject *loop, TimerHandleObject *timer)
{
    LoopObject *self = (LoopObject *)loop;

    if (timer->node.place == AL_HEAP_NOWHERE) {
        return;
    }
    al_heap_remove(&self->timers, &timer->node);
    self->counters.timers_cancelled++;
    Py_DECREF(timer); /* the heap's; the canceller holds another */
}

int
al_timers_ask_time(LoopObject *self, double *seconds)
{
    PyObject *now =
        PyObject_CallMethodNoArgs((PyObject *)self, self->st->str_time);
    if (now == NULL) {
        return -1;
    }
    *seconds = PyFloat_AsDouble(now);
    Py_DECREF(now);
    return *seconds == -1.0 && PyErr_Occurred() ? -1 : 0;
}

int
al_timers_now(LoopObject *self, int64_t *now)
{
    double seconds;

    if (!self->time_is_overridden) {
        *now = al_clock_ns();
        return 0;
    }
    if (al_timers_ask_time(self, &seconds) < 0) {
        return -1;
    }
    /* Rounded as deadlines are: `when <= time()` is `key <= now`. */
    *now = al_deadline_of(seconds);
    return 0;
}

int
al_timers_move_due(LoopObject *self, int64_t now)
{
    while (al_timers_are_due(self, now)) {
        if (al_ring_reserve(&self->ready) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        al_heap_node *node = al_heap_pop(&self->timers);
        /* The heap's reference becomes the ring's. */
        al_ring_push(&self->ready, al_timer_of_node(node));
    }
    al_heap_shrink(&self->timers);
    return 0;
}

#if HAVE_TIMERFD

/* After a long sleep the machine is slow to wake: 80 to 130 us on a virtual
 * one, where a short sleep costs 20 to 40. The part of it that repeats is
 * learnt and taken off the next long sleep; who wakes too soon sleeps on for
 * the little that is left, and wakes from that quickly. */
static void
learn_lead(LoopObject *self, int64_t late)
{
    if (late < 0) {
        return;
    }
    if (late > LEAD_MAX_NS) {
        late = LEAD_MAX_NS; /* the machine was busy: not typical */
    }
    self->timer_lead += (late - self->timer_lead) / LEAD_WEIGHT;
}

static void
timer_on_expired(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    LoopObject *self = al_loop_of_uv((uv_handle_t *)poll);

    if (self->timer_was_long) {
        learn_lead(self, al_clock_ns() - self->armed_deadline);
    }
    /* Expired timers stay readable: arming again (or disarming) ends that,
     * so the descriptor is never read. */
    self->armed_deadline = -1;
    al_loop_enter(self);
}

int
al_timers_open(LoopObject *self)
{
    self->timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (self->timer_fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int err = uv_poll_init(&self->uv, &self->timer_poll, self->timer_fd);
    if (err < 0) {
        close(self->timer_fd);
        self->timer_fd = -1;
        return err;
    }
    self->timer_poll_open = true;
    return uv_poll_start(&self->timer_poll, UV_READABLE, timer_on_expired);
}

static void
timer_set(LoopObject *self, int64_t deadline)
{
    struct itimerspec spec = {
        .it_value = {.tv_sec = deadline / AL_NS_PER_SECOND,
                     .tv_nsec = deadline % AL_NS_PER_SECOND},
    };
    (void)timerfd_settime(self->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void
al_timers_close(LoopObject *self)
{
    if (self->timer_poll_open) {
        uv_close((uv_handle_t *)&self->timer_poll, NULL);
        self->timer_poll_open = false;
    }
    if (self->timer_fd >= 0) {
        close(self->timer_fd);
        self->timer_fd = -1;
    }
}

#else

static void
timer_on_expired(uv_timer_t *timer)
{
    LoopObject *self = al_loop_of_uv((uv_handle_t *)timer);
    self->armed_deadline = -1;
    al_loop_enter(self);
}

int
al_timers_open(LoopObject *self)
{
    self->timer_fd = -1;
    int err = uv_timer_init(&self->uv, &self->timer_uv);
    self->timer_poll_open = err == 0;
    return err;
}

static void
timer_set(LoopObject *self, int64_t deadline)
{
    if (deadline == 0) {
        (void)uv_timer_stop(&self->timer_uv);
        return;
    }
    int64_t left = deadline - al_clock_ns();
    /* Rounded up to libuv's milliseconds, so that we do not wake too soon
     * and spin through the last one. */
    uint64_t ms = left <= 0 ? 0 : (uint64_t)((left - 1) / AL_NS_PER_MS + 1);
    uv_update_time(&self->uv);
    (void)uv_timer_start(&self->timer_uv, timer_on_expired, ms, 0);
}

void
al_timers_close(LoopObject *self)
{
    if (self->timer_poll_open) {
        uv_close((uv_handle_t *)&self->timer_uv, NULL);
        self->timer_poll_open = false;
    }
}

#endif

void
al_timers_arm(LoopObject *self, int64_t now)
{
    int64_t deadline = 0;

    if (self->timers.len != 0) {
        deadline = self->timers.entries[0].key;
        if (self->time_is_overridden) {
            /* The other clock's distance, taken by ours. */
            int64_t left = deadline - now;
            deadline = al_clock_ns() + (left > 1 ? left : 1);
        }
        if (deadline >= DEADLINE_NEVER) {
            deadline = 0;
        }
        else if (deadline == 0) {
            deadline = 1; /* zero would disarm */
        }
    }
    if (deadline != self->wanted_deadline || self->armed_deadline < 0) {
        self->wanted_deadline = deadline;
        self->timer_was_long =
            deadline != 0 && deadline - al_clock_ns() >= LONG_SLEEP_NS;
        self->armed_deadline =
            self->timer_was_long ? deadline - self->timer_lead : deadline;
        timer_set(self, self->armed_deadline);
    }
}
