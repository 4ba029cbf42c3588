/* inbox.h - the way into a loop from other threads. Threads: any. */
#ifndef AL_LOOP_INBOX_H
#define AL_LOOP_INBOX_H

#include "loop/loop.h"

/* Something was queued: wake the loop if it sleeps. Threads: any, with the
 * GIL, which is released meanwhile when another thread has to wake it; the
 * caller holds a reference to the loop. */
void al_inbox_wake(LoopObject *self);

/* The same in two steps, for who gives up the GIL in between. claim, with the
 * GIL: does the loop sleep, and nobody has claimed to wake it yet? Then the
 * caller must send, preferably without the GIL. The loop stays alive and open
 * until that has happened. */
bool al_inbox_claim(LoopObject *self);
void al_inbox_send(LoopObject *self);

/* Open the wake handle. 0 or a libuv code. */
int al_inbox_open(LoopObject *self);

/* Close it, once no thread is inside a wake-up. May release the GIL. */
void al_inbox_close(LoopObject *self);

#endif
