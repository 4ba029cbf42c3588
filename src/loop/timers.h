/* timers.h - from deadlines to the ready ring, and the kernel timer. */
#ifndef AL_LOOP_TIMERS_H
#define AL_LOOP_TIMERS_H

#include "loop/loop.h"

/* The deadline in ns for `when` seconds: the first at which loop.time() is
 * not before `when`. nan counts as due, as asyncio's comparison has it. */
int64_t al_deadline_of(double when);

/* Schedule a timer; the heap takes a reference of its own.
 * 0, or -1 with MemoryError set. */
int al_timers_add(LoopObject *self, TimerHandleObject *timer);

/* What the loop's `time` says, by way of the attribute: for a loop on which
 * it is replaced. May run foreign code. 0, or -1 with an exception set. */
int al_timers_ask_time(LoopObject *self, double *seconds);

/* Now in ns by the loop's clock, which a test may have replaced.
 * 0, or -1 with an exception set. */
int al_timers_now(LoopObject *self, int64_t *now);

/* Move what is due at `now` to the ready ring. 0, or -1 with MemoryError. */
int al_timers_move_due(LoopObject *self, int64_t now);

/* Is the first timer due at `now`? */
static inline bool
al_timers_are_due(const LoopObject *self, int64_t now)
{
    return self->timers.len != 0 && self->timers.entries[0].key <= now;
}

/* Before a blocking poll: make the kernel wake us at the first deadline.
 * `now` is the loop's clock. */
void al_timers_arm(LoopObject *self, int64_t now);

/* Open and close the kernel timer. 0 or a libuv code. */
int al_timers_open(LoopObject *self);
void al_timers_close(LoopObject *self);

/* The pool's on_timer_cancel. */
void al_timers_on_cancel(PyObject *loop, TimerHandleObject *timer);

#endif
