/* send_batch.c - see send_batch.h.
 *
 * Threads: the loop's.
 */

#include "transports/send_batch.h"

#include "base/mmsg.h"

#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* Of one system call. */
#define MESSAGES 64
#define DATAGRAMS 256

/* What the kernel cuts at most: this many segments of this many bytes. */
#define SEGMENTS 64
#define SEGMENTED_BYTES ((size_t)65507)

#define FIRST_ROOM 8
#define KEPT_ROOM 128

#if defined(__linux__) && !defined(UDP_SEGMENT)
#define UDP_SEGMENT 103
#endif

/* --- the queue ---------------------------------------------------------------- */

/* Make room for one more at the end. 0, or -1 with MemoryError set. */
static int
make_room(al_dgram_queue *self)
{
    if (self->head + self->count < self->room) {
        return 0;
    }
    if (self->head >= self->room / 2 && self->head > 0) {
        memmove(self->items, al_dgram_first(self),
                self->count * sizeof(*self->items));
        self->head = 0;
        return 0;
    }
    uint32_t room = self->room == 0 ? FIRST_ROOM : self->room * 2;
    al_datagram *items =
        room < self->room ? NULL : realloc(self->items, room * sizeof(*items));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->items = items;
    self->room = room;
    return 0;
}

int
al_dgram_add_steal(al_dgram_queue *self, al_datagram datagram)
{
    if (make_room(self) < 0) {
        Py_DECREF(datagram.data);
        Py_XDECREF(datagram.to);
        return -1;
    }
    self->items[self->head + self->count] = datagram;
    self->count++;
    self->size += (size_t)PyBytes_GET_SIZE(datagram.data) + AL_DATAGRAM_HEADER;
    return 0;
}

void
al_dgram_drop(al_dgram_queue *self)
{
    al_datagram dropped = *al_dgram_first(self);

    self->head++;
    self->count--;
    self->size -= (size_t)PyBytes_GET_SIZE(dropped.data) + AL_DATAGRAM_HEADER;
    if (self->count == 0) {
        self->head = 0;
        if (self->room > KEPT_ROOM) {
            free(self->items);
            self->items = NULL;
            self->room = 0;
        }
    }
    Py_DECREF(dropped.data);
    Py_XDECREF(dropped.to);
}

void
al_dgram_clear(al_dgram_queue *self)
{
    while (self->count != 0) {
        al_dgram_drop(self);
    }
    free(self->items);
    self->items = NULL;
    self->room = 0;
}

/* --- segments ------------------------------------------------------------------- */

#ifdef __linux__

bool
al_dgram_can_segment(int fd)
{
    int value = 0;
    socklen_t size = sizeof(value);

    /* Other protocols of SOCK_DGRAM sockets, and kernels before 4.18, take no
     * notice of the control message: the run would leave as one datagram. */
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size) < 0 ||
        value != IPPROTO_UDP) {
        return false;
    }
    /* A size that the user has set stays in force. */
    size = sizeof(value);
    return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &size) == 0 &&
           value == 0;
}

typedef union {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
} segment_control;

static void
ask_for_segments(struct msghdr *message, segment_control *control, size_t size)
{
    uint16_t value = (uint16_t)size;

    message->msg_control = control->bytes;
    message->msg_controllen = sizeof(control->bytes);
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(value));
    memcpy(CMSG_DATA(header), &value, sizeof(value));
}

#else

bool
al_dgram_can_segment(int fd)
{
    (void)fd;
    return false;
}

typedef char segment_control;

static void
ask_for_segments(struct msghdr *message, segment_control *control, size_t size)
{
    (void)message;
    (void)control;
    (void)size;
}

#endif

/* --- the system call --------------------------------------------------------- */

struct batch {
    al_mmsghdr messages[MESSAGES];
    struct iovec iov[DATAGRAMS];
    unsigned lengths[MESSAGES]; /* in datagrams */
    segment_control controls[MESSAGES];
    struct sockaddr_un names[MESSAGES]; /* of those with a `to` */
};

static inline size_t
size_of(const al_datagram *datagram)
{
    return (size_t)PyBytes_GET_SIZE(datagram->data);
}

static bool
same_address(const al_datagram *one, const al_datagram *two)
{
    if (one->to != NULL || two->to != NULL ||
        one->address.family != two->address.family) {
        return false;
    }
    switch (one->address.family) {
    case AF_INET:
        return one->address.in.sin_port == two->address.in.sin_port &&
               one->address.in.sin_addr.s_addr ==
                   two->address.in.sin_addr.s_addr;
    case AF_INET6:
        return memcmp(&one->address.in6, &two->address.in6,
                      sizeof(one->address.in6)) == 0;
    default:
        return true; /* both for the connected peer */
    }
}

/* How many of the first `count` datagrams can leave as one message. Only the
 * last segment of a message may be shorter than the others. */
static unsigned
run_length(const al_datagram *first, unsigned count)
{
    size_t size = size_of(first);
    size_t total = size;
    unsigned length = 1;

    while (length < count && length < SEGMENTS) {
        const al_datagram *next = first + length;
        size_t more = size_of(next);
        total += more;
        if (more == 0 || more > size || total > SEGMENTED_BYTES ||
            next->by_object || !same_address(first, next)) {
            break;
        }
        length++;
        if (more < size) {
            break;
        }
    }
    return length;
}

/* Fill in where a message goes. False: it must go by object after all. */
static bool
set_destination(struct msghdr *message, al_datagram *datagram,
                struct sockaddr_un *room)
{
    struct sockaddr_storage storage;
    socklen_t len;

    if (datagram->to != NULL) {
        /* A path, which was looked at when it was queued. */
        if (al_sockaddr_from_py(AF_UNIX, datagram->to, &storage, &len) != 1) {
            PyErr_Clear();
            datagram->by_object = true;
            return false;
        }
        memcpy(room, &storage, len);
        message->msg_name = room;
        message->msg_namelen = len;
    }
    else if (datagram->address.family != AF_UNSPEC) {
        message->msg_name = &datagram->address;
        message->msg_namelen = datagram->address.family == AF_INET
                                   ? sizeof(datagram->address.in)
                                   : sizeof(datagram->address.in6);
    }
    return true;
}

/* Describe messages; their number. `*datagrams` gets how many they hold. */
static unsigned
fill(struct batch *batch, const al_dgram_queue *queue, unsigned limit,
     size_t segment_below)
{
    unsigned messages = 0, used = 0;

    while (messages < MESSAGES && used < limit) {
        al_datagram *first = al_dgram_first(queue) + used;
        struct msghdr *message = &batch->messages[messages].msg_hdr;
        unsigned length = 1;
        *message = (struct msghdr){.msg_iov = &batch->iov[used]};
        if (first->by_object ||
            !set_destination(message, first, &batch->names[messages])) {
            break;
        }
        if (size_of(first) < segment_below && size_of(first) != 0) {
            length = run_length(first, limit - used);
        }
        for (unsigned i = 0; i < length; i++) {
            batch->iov[used + i].iov_base = PyBytes_AS_STRING(first[i].data);
            batch->iov[used + i].iov_len = size_of(&first[i]);
        }
        message->msg_iovlen = length;
        if (length > 1) {
            ask_for_segments(message, &batch->controls[messages],
                             size_of(first));
        }
        batch->lengths[messages++] = length;
        used += length;
    }
    return messages;
}

int
al_dgram_send(const al_dgram_queue *self, int fd, uint32_t limit,
              size_t segment_below, unsigned *run)
{
    struct batch batch;

    limit = limit < self->count ? limit : self->count;
    unsigned messages = fill(
        &batch, self, limit < DATAGRAMS ? limit : DATAGRAMS, segment_below);
    if (messages == 0) {
        *run = 1;
        return 0;
    }
    *run = batch.lengths[0];
    int done = al_sendmmsg(fd, batch.messages, messages);
    if (done <= 0) {
        return -1;
    }
    unsigned sent = 0;
    for (int i = 0; i < done; i++) {
        sent += batch.lengths[i];
    }
    return (int)sent;
}
