/* What the clients of the network rows talk to.
 *
 *   peer discard    read whatever comes, close when the other side has
 *   peer echo       send it back
 *   peer http       answer each request with one fixed reply
 *   peer sink       receive datagrams and forget them
 *
 * Prints the address that it listens at, and ends with whoever started it.
 * Messages are small: what is sent always finds room in the socket.
 *
 * Ownership: everything lives until the program ends. Threads: one. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRATCH (256 * 1024)
#define EVENTS 256
#define BACKLOG 4096
#define BATCH 64 /* datagrams */

static const char HTTP_REPLY[] = "HTTP/1.1 200 OK\r\n"
                                 "Content-Type: text/plain\r\n"
                                 "Content-Length: 5\r\n"
                                 "\r\n"
                                 "Hello";

enum mode { DISCARD, ECHO, HTTP, SINK };

static char scratch[SCRATCH];
static int poller;

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static int
listen_somewhere(int type)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        ((type & SOCK_STREAM) && listen(fd, BACKLOG) != 0) ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        fail("listen");
    }
    printf("127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void
watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

/* Those who connect close first and would be left with TIME_WAIT; the reset
 * that our close sends frees their port at once. */
static void
accept_all(int listener)
{
    struct linger reset = {1, 0};
    int on = 1;

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        watch(fd);
    }
}

static void
serve(int fd, enum mode mode)
{
    ssize_t size = recv(fd, scratch, SCRATCH, 0);

    if (size <= 0) {
        close(fd);
    }
    else if (mode == ECHO) {
        if (send(fd, scratch, (size_t)size, MSG_NOSIGNAL) != size) {
            fail("send");
        }
    }
    else if (mode == HTTP && size >= 4 &&
             memcmp(scratch + size - 4, "\r\n\r\n", 4) == 0) {
        if (send(fd, HTTP_REPLY, sizeof(HTTP_REPLY) - 1, MSG_NOSIGNAL) < 0) {
            close(fd);
        }
    }
}

static void
sink(void)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec iovs[BATCH];
    int fd = listen_somewhere(SOCK_DGRAM);

    for (int i = 0; i < BATCH; i++) {
        iovs[i].iov_base = scratch + i * 2048;
        iovs[i].iov_len = 2048;
        messages[i].msg_hdr.msg_iov = &iovs[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        if (recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL) < 0) {
            fail("recvmmsg");
        }
    }
}

static enum mode
parse(int argc, char **argv)
{
    static const char *const NAMES[] = {"discard", "echo", "http", "sink"};

    for (int i = 0; argc == 2 && i < 4; i++) {
        if (strcmp(argv[1], NAMES[i]) == 0) {
            return (enum mode)i;
        }
    }
    fprintf(stderr, "usage: peer discard|echo|http|sink\n");
    exit(2);
}

int
main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    struct rlimit limit;
    enum mode mode = parse(argc, argv);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (mode == SINK) {
        sink();
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_somewhere(SOCK_STREAM | SOCK_NONBLOCK);
    watch(listener);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                accept_all(listener);
            }
            else {
                serve(events[i].data.fd, mode);
            }
        }
    }
}
