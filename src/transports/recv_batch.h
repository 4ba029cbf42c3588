/* recv_batch.h - receiving datagrams, up to 32 in one system call.
 *
 * A batch is the memory that they are received into; a loop has one, made
 * when the first datagram comes. Each datagram needs room for the largest
 * that can come, or it would be cut off, but most are small: the first 2 KiB
 * of all of them lie together, and what is beyond goes to memory whose pages
 * do not exist until a large one comes.
 *
 * Ownership: the loop's, as `datagram_batch`; whoever receives takes it away
 * and gives it back, so that a callback which receives cannot overwrite it.
 */
#ifndef AL_TRANSPORTS_RECV_BATCH_H
#define AL_TRANSPORTS_RECV_BATCH_H

#include "loop/loop.h"

typedef struct al_dgram_batch al_dgram_batch;

/* NULL when there is no memory; no exception is set. */
al_dgram_batch *al_dgram_batch_take(LoopObject *loop);
void al_dgram_batch_give(LoopObject *loop, al_dgram_batch *batch);

/* Receive what waits. `is_large`: datagrams of 256 KiB may come, not of 64
 * only, and fewer are received at once. The number, or -1 with errno. */
int al_dgram_receive(al_dgram_batch *batch, int fd, bool is_large);

/* The data of one of them as bytes, and where it came from; new references,
 * or NULL with an exception set. */
PyObject *al_dgram_data(const al_dgram_batch *batch, int at);
PyObject *al_dgram_sender(const al_dgram_batch *batch, int at);

#endif
