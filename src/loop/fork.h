/* fork.h - a number that is another one in every forked child. */
#ifndef AL_LOOP_FORK_H
#define AL_LOOP_FORK_H

#include <stdint.h>

/* The one process-wide word of asyncloop: how many forks lie between this
 * process and the one that first loaded the module. Written by the fork
 * handler only, in a child that has a single thread. */
extern uint64_t al_fork_generation;

/* Install the fork handler; harmless when repeated. */
void al_fork_setup(void);

#endif
