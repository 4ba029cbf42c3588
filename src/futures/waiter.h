/* waiter.h - a future that C awaits and C completes.
 *
 * An awaitable in C that has to wait makes one, yields it, and wakes whoever
 * waits when the event comes. It is one of asyncio's own futures: whoever
 * drives the awaitable may be asyncio's task as well as ours, and cancels the
 * future to cancel the wait.
 *
 * Threads: the loop's.
 */
#ifndef AL_FUTURES_WAITER_H
#define AL_FUTURES_WAITER_H

#include "loop/loop.h"

/* New reference, or NULL with an exception set. */
PyObject *al_waiter_new(LoopObject *loop);

/* Is it neither woken nor cancelled? 1 or 0, or -1 with an exception set. */
int al_waiter_is_pending(LoopObject *loop, PyObject *waiter);

/* To be returned by an awaitable that waits: marked as awaited.
 * New reference, or NULL with an exception set. */
PyObject *al_waiter_yield(LoopObject *loop, PyObject *waiter);

/* Is it marked as awaited still, so that nobody has taken it in? 1 or 0, or -1
 * with an exception set. */
int al_waiter_is_marked(LoopObject *loop, PyObject *waiter);

/* Take in the outcome of one that is done, an exception or nothing of
 * interest. 0, or -1 with its exception set. */
int al_waiter_take(LoopObject *loop, PyObject *waiter);

/* Complete a pending one, with None as its result: the event that was waited
 * for is there. 0, or -1 with an exception set. */
int al_waiter_wake(LoopObject *loop, PyObject *waiter);

#endif
