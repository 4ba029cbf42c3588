/* recv_batch.c - see recv_batch.h.
 *
 * Threads: the loop's.
 */

#include "transports/recv_batch.h"

#include "base/mmsg.h"
#include "py/sockaddr.h"

#include <stdlib.h>
#include <string.h>

/* Of 32, 8 and 64 the first was the fastest. */
#define BATCH 32

/* Room in the near part: what fits into a packet of Ethernet's. */
#define NEAR_ROOM ((size_t)2048)

/* The far part: 64 KiB for each of 32 datagrams of the Internet's, or as much
 * as asyncio receives at most (256 KiB) for each of 8 others. */
#define FAR_ROOM ((size_t)64 * 1024)
#define FAR_TOTAL (BATCH * FAR_ROOM)
#define LARGE_BATCH 8
#define LARGE_FAR_ROOM ((size_t)256 * 1024 - NEAR_ROOM)

struct al_dgram_batch {
    al_mmsghdr messages[BATCH];
    struct iovec iov[BATCH][2];
    struct sockaddr_storage senders[BATCH];
    unsigned used; /* messages whose headers the kernel has written to */
    bool is_large; /* how the far part is divided */
    char near[BATCH][NEAR_ROOM];
    char far[FAR_TOTAL];
};

static void
divide(al_dgram_batch *self, bool is_large)
{
    size_t room = is_large ? LARGE_FAR_ROOM : FAR_ROOM;
    unsigned count = is_large ? LARGE_BATCH : BATCH;

    self->is_large = is_large;
    self->used = BATCH;
    for (unsigned i = 0; i < count; i++) {
        self->iov[i][0] = (struct iovec){self->near[i], NEAR_ROOM};
        self->iov[i][1] = (struct iovec){self->far + i * room, room};
        self->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &self->senders[i],
            .msg_iov = self->iov[i],
            .msg_iovlen = 2,
        };
    }
}

al_dgram_batch *
al_dgram_batch_take(LoopObject *loop)
{
    al_dgram_batch *self = loop->datagram_batch;

    loop->datagram_batch = NULL;
    if (self == NULL) {
        self = malloc(sizeof(*self));
        if (self != NULL) {
            divide(self, false);
        }
    }
    return self;
}

void
al_dgram_batch_give(LoopObject *loop, al_dgram_batch *self)
{
    if (loop->closed || loop->datagram_batch != NULL) {
        free(self);
        return;
    }
    loop->datagram_batch = self; /* freed by al_loop_close */
}

int
al_dgram_receive(al_dgram_batch *self, int fd, bool is_large)
{
    if (self->is_large != is_large) {
        divide(self, is_large);
    }
    for (unsigned i = 0; i < self->used; i++) {
        self->messages[i].msg_hdr.msg_namelen = sizeof(self->senders[i]);
    }
    int count =
        al_recvmmsg(fd, self->messages, is_large ? LARGE_BATCH : BATCH);
    /* One more than were received may have been begun. */
    self->used = count < 0 ? 1 : (unsigned)count + (count < BATCH);
    return count;
}

PyObject *
al_dgram_data(const al_dgram_batch *self, int at)
{
    size_t size = self->messages[at].msg_len;
    size_t near = size < NEAR_ROOM ? size : NEAR_ROOM;
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);

    if (data != NULL) {
        char *to = PyBytes_AS_STRING(data);
        memcpy(to, self->near[at], near);
        memcpy(to + near, self->iov[at][1].iov_base, size - near);
    }
    return data;
}

PyObject *
al_dgram_sender(const al_dgram_batch *self, int at)
{
    const struct msghdr *message = &self->messages[at].msg_hdr;

    return al_sockaddr_to_py(message->msg_name, message->msg_namelen);
}
