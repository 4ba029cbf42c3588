/* orphan.h - threads that wait for a child's end.
 *
 * Two uses, both rare: where the kernel has no pidfd, and for a child whose
 * loop is closed, so that it leaves no zombie. The threads are detached, run
 * no Python and touch nothing of ours; all signals are blocked in them.
 *
 * Threads: any.
 */
#ifndef AL_PROCESS_ORPHAN_H
#define AL_PROCESS_ORPHAN_H

#include <sys/types.h>

/* A descriptor, close-on-exec, that becomes readable when the child has ended;
 * the caller's. The child is not waited for. -1 with errno. */
int al_orphan_watch(pid_t pid);

/* Wait for the child, now or whenever it ends: from here on nobody else may.
 * Where no thread can be had it stays a zombie. */
void al_orphan_adopt(pid_t pid);

#endif
