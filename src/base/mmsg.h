/* mmsg.h - several datagrams in one system call, where there is one.
 *
 * Linux has recvmmsg and sendmmsg; elsewhere the calls are made one by one.
 * Neither blocks.
 */
#ifndef AL_BASE_MMSG_H
#define AL_BASE_MMSG_H

#include <stddef.h>
#include <sys/socket.h>

#ifdef __linux__

typedef struct mmsghdr al_mmsghdr;

/* How many were received or sent, at least 1; or -1 with errno. */
static inline int
al_recvmmsg(int fd, al_mmsghdr *messages, unsigned count)
{
    return recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
}

static inline int
al_sendmmsg(int fd, al_mmsghdr *messages, unsigned count)
{
    return sendmmsg(fd, messages, count, MSG_DONTWAIT);
}

#else

typedef struct {
    struct msghdr msg_hdr;
    unsigned msg_len;
} al_mmsghdr;

static inline int
al_recvmmsg(int fd, al_mmsghdr *messages, unsigned count)
{
    unsigned done = 0;

    while (done < count) {
        ssize_t size = recvmsg(fd, &messages[done].msg_hdr, MSG_DONTWAIT);
        if (size < 0) {
            break;
        }
        messages[done++].msg_len = (unsigned)size;
    }
    return done == 0 ? -1 : (int)done;
}

static inline int
al_sendmmsg(int fd, al_mmsghdr *messages, unsigned count)
{
    unsigned done = 0;

    while (done < count) {
        ssize_t size = sendmsg(fd, &messages[done].msg_hdr, MSG_DONTWAIT);
        if (size < 0) {
            break;
        }
        messages[done++].msg_len = (unsigned)size;
    }
    return done == 0 ? -1 : (int)done;
}

#endif

#endif
