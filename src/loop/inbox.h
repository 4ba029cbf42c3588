/* inbox.h - the way into a loop from other threads. Threads: any. */
#ifndef AL_LOOP_INBOX_H
#define AL_LOOP_INBOX_H

#include "loop/loop.h"

/* Something was queued: wake the loop if it sleeps. Threads: any, with the
 * GIL, which is released meanwhile when another thread has to wake it; the
 * caller holds a reference to the loop. */
void al_inbox_wake(LoopObject *self);

/* Open the wake handle. 0 or a libuv code. */
int al_inbox_open(LoopObject *self);

/* Close it, once no thread is inside a wake-up. May release the GIL. */
void al_inbox_close(LoopObject *self);

#endif
