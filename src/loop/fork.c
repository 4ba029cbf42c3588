/* fork.c - counting forks, so that a child knows its parent's loops. */

#include "loop/fork.h"

#include <pthread.h>

uint64_t al_fork_generation;

static void
fork_on_child(void)
{
    al_fork_generation++;
}

static void
fork_install(void)
{
    (void)pthread_atfork(NULL, NULL, fork_on_child);
}

void
al_fork_setup(void)
{
    /* Once per process, however many interpreters load the module. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, fork_install);
}
