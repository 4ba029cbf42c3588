/* kernel.c - see kernel.h. */

#include "watch/kernel.h"

#if defined(__linux__)

#include <sys/epoll.h>

static bool
control(LoopObject *self, int operation, int fd, int wanted, uint32_t flags)
{
    struct epoll_event event = {0};

    if (wanted & UV_READABLE) {
        event.events |= EPOLLIN;
    }
    if (wanted & UV_WRITABLE) {
        event.events |= EPOLLOUT;
    }
    event.events |= flags;
    event.data.fd = fd;
    return epoll_ctl(uv_backend_fd(&self->uv), operation, fd, &event) == 0;
}

bool
al_kernel_set(LoopObject *self, int fd, int wanted, bool once)
{
    /* Errors and hang-ups are reported unasked, so silence is armed as well,
     * but for one event at most. */
    return control(self, EPOLL_CTL_MOD, fd, wanted,
                   once || wanted == 0 ? EPOLLONESHOT : 0);
}

bool
al_kernel_set_edge(LoopObject *self, int fd)
{
    return control(self, EPOLL_CTL_MOD, fd, UV_READABLE, EPOLLET);
}

bool
al_kernel_add(LoopObject *self, int fd, int wanted)
{
    return control(self, EPOLL_CTL_ADD, fd, wanted, 0);
}

bool
al_kernel_remove(LoopObject *self, int fd)
{
    return control(self, EPOLL_CTL_DEL, fd, 0, 0);
}

#else

bool
al_kernel_set(LoopObject *self, int fd, int wanted, bool once)
{
    (void)self;
    (void)fd;
    (void)wanted;
    (void)once;
    return false;
}

bool
al_kernel_set_edge(LoopObject *self, int fd)
{
    (void)self;
    (void)fd;
    return false;
}

bool
al_kernel_add(LoopObject *self, int fd, int wanted)
{
    (void)self;
    (void)fd;
    (void)wanted;
    return false;
}

bool
al_kernel_remove(LoopObject *self, int fd)
{
    (void)self;
    (void)fd;
    return false;
}

#endif
