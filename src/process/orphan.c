/* orphan.c - see orphan.h. */

#include "process/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)256 * 1024)

typedef struct {
    pid_t pid;
    int write_end; /* closed when the child has ended */
} watched_child;

/* Start a detached thread; 0 or an error number. */
static int
start_thread(void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    int err = pthread_attr_init(&attributes);
    if (err != 0) {
        return err;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&thread, &attributes, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return err;
}

static int
make_pipe(int ends[2])
{
#if defined(__linux__)
    return pipe2(ends, O_CLOEXEC);
#else
    if (pipe(ends) < 0) {
        return -1;
    }
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
#endif
}

static void *
watch_until_end(void *arg)
{
    watched_child *child = arg;
    siginfo_t info;

    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) {
    }
    close(child->write_end);
    free(child);
    return NULL;
}

int
al_orphan_watch(pid_t pid)
{
    int ends[2];
    watched_child *child = malloc(sizeof(*child));

    if (child == NULL) {
        errno = ENOMEM;
        return -1;
    }
    if (make_pipe(ends) < 0) {
        free(child);
        return -1;
    }
    child->pid = pid;
    child->write_end = ends[1];
    int err = start_thread(watch_until_end, child);
    if (err != 0) {
        close(ends[0]);
        close(ends[1]);
        free(child);
        errno = err;
        return -1;
    }
    return ends[0];
}

static void *
wait_for_orphan(void *arg)
{
    pid_t pid = (pid_t)(intptr_t)arg;

    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return NULL;
}

void
al_orphan_adopt(pid_t pid)
{
    pid_t done;

    do {
        done = waitpid(pid, NULL, WNOHANG);
    } while (done < 0 && errno == EINTR);
    if (done == 0) {
        (void)start_thread(wait_for_orphan, (void *)(intptr_t)pid);
    }
}
