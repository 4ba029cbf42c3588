/* kernel.h - what watches tell epoll itself, past libuv.
 *
 * Each says whether it was done. Not, where the descriptor is no longer the
 * file that was entered, and always where there is no epoll: then the caller
 * starts the watch anew, through libuv, or does without.
 *
 * Threads: the loop's.
 */
#ifndef AL_WATCH_KERNEL_H
#define AL_WATCH_KERNEL_H

#include "loop/loop.h"

/* Set the mask of a descriptor to UV_READABLE and UV_WRITABLE as `wanted`; 0
 * means silence. `once`: disarm after one event. */
bool al_kernel_set(LoopObject *self, int fd, int wanted, bool once);

/* Set the mask to arrivals, one event for each. */
bool al_kernel_set_edge(LoopObject *self, int fd);

/* Enter a descriptor of which the kernel knows nothing. */
bool al_kernel_add(LoopObject *self, int fd, int wanted);

/* Take it out. */
bool al_kernel_remove(LoopObject *self, int fd);

#endif
