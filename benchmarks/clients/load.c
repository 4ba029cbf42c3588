/* The load that the servers of the network rows are put under.
 *
 *   load exchange ADDRESS PID [options]   requests over lasting connections
 *   load storm ADDRESS PID [options]      connect, request, reply, closed
 *   load datagrams ADDRESS PID [options]  UDP echo, several in flight
 *   load idle ADDRESS PID [options]       many connections, memory of each
 *
 * What is sent and what has to come back are files written by the driver.
 * Eight hex digits of each message are a serial number, so that an old reply
 * cannot pass for a new one.
 *
 * A sample is made of parts with an exact number of operations. Between two
 * parts nothing is in flight and the server sleeps: only then is the CPU
 * clock of another process exact, which the kernel otherwise brings up to
 * date once per tick (4 ms at 250 Hz). A wrong byte, a lost connection or a
 * reply that does not come ends the program with status 1 and one line.
 *
 * Compiled with -DTLS it speaks TLS 1.3, and checks no certificate.
 *
 * Ownership: everything lives until the program ends, but for what belongs to
 * a connection of a storm. Threads: one. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#ifdef TLS
#include <fcntl.h>
#include <openssl/ssl.h>
#endif

#define SCRATCH (256 * 1024)
#define STAMP 8
#define EVENTS 256
#define PATIENCE 5000 /* ms without any reply */
#define WINDOW 16     /* most datagrams in flight on one socket */
#define MS 1000000LL

struct blob {
    char *data;
    size_t size;
    long stamp; /* where the serial number is, -1: nowhere */
};

struct conn {
    int fd;
    bool busy;    /* a message is under way */
    bool blocked; /* the rest of it waits for room in the socket */
    bool check;   /* every byte of this reply is looked at */
    size_t sent;
    size_t received;
    uint64_t serial;
    char stamp[STAMP];
#ifdef TLS
    SSL *tls;
    bool parted; /* the server has said close_notify, and so have we */
#endif
};

static struct {
    const char *mode;
    struct sockaddr_storage address;
    socklen_t address_size;
    pid_t pid;
    int connections;
    int in_flight;
    struct blob request, reply, prelude;
    long long warm, part; /* ns */
    int parts;
    long count; /* one part of so many operations, no warm-up */
    bool settle;
} opt = {
    .connections = 50,
    .in_flight = 4,
    .request.stamp = -1,
    .reply.stamp = -1,
    .warm = 100 * MS,
    .part = 20 * MS,
    .parts = 15,
    .settle = true,
};

static int poller;
static clockid_t server_clock;
static struct conn *conns;
static char scratch[SCRATCH];
static bool check_all = true; /* during the warm-up */
static uint64_t serial;
static long budget; /* operations of this part not yet begun */
static long done;

static void
fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void
fail_errno(const char *what)
{
    fail("load: %s: %s", what, strerror(errno));
}

/* -- clocks ---------------------------------------------------------------*/

static long long
clock_ns(clockid_t id)
{
    struct timespec at;

    if (clock_gettime(id, &at) != 0) {
        fail("load: the server has ended");
    }
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static long long
now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void
rest(long long ns)
{
    struct timespec time = {ns / 1000000000, ns % 1000000000};

    nanosleep(&time, NULL);
}

/* The server's CPU time, once it has come to rest and the clock is exact. A
 * server that spins does not get there: it has 5 ms. */
static long long
server_cpu(void)
{
    long long last = clock_ns(server_clock);

    for (int tries = 0; opt.settle && tries < 20; tries++) {
        rest(MS / 4);
        long long cpu = clock_ns(server_clock);
        if (cpu == last) {
            break;
        }
        last = cpu;
    }
    return last;
}

/* -- sockets --------------------------------------------------------------*/

static void
parse_address(const char *text)
{
    if (text[0] == '/') {
        struct sockaddr_un *un = (struct sockaddr_un *)&opt.address;
        un->sun_family = AF_UNIX;
        if (strlen(text) >= sizeof(un->sun_path)) {
            fail("load: the path is too long: %s", text);
        }
        strcpy(un->sun_path, text);
        opt.address_size = sizeof(*un);
        return;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)&opt.address;
    char host[64];
    int port;
    if (sscanf(text, "%63[^:]:%d", host, &port) != 2 ||
        inet_pton(AF_INET, host, &in->sin_addr) != 1) {
        fail("load: not an address: %s", text);
    }
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    opt.address_size = sizeof(*in);
}

static int
open_socket(int type)
{
    int fd = socket(opt.address.ss_family, type | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&opt.address, opt.address_size) != 0) {
        fail_errno("connect");
    }
    if (type == SOCK_STREAM && opt.address.ss_family == AF_INET) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return fd;
}

static void
watch(struct conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};

    if (epoll_ctl(poller, operation, conn->fd, &event) != 0) {
        fail_errno("epoll_ctl");
    }
}

/* Say the opening words, if there are any, and wait for a blank line. */
static void
converse(int fd)
{
    char answer[4096];
    size_t have = 0;

    if (opt.prelude.data == NULL) {
        return;
    }
    if (send(fd, opt.prelude.data, opt.prelude.size, MSG_NOSIGNAL) < 0) {
        fail_errno("send");
    }
    do {
        ssize_t n = recv(fd, answer + have, sizeof(answer) - 1 - have, 0);
        if (n <= 0) {
            fail("load: no answer to the opening");
        }
        have += (size_t)n;
        answer[have] = 0;
    } while (strstr(answer, "\r\n\r\n") == NULL);
    if (strncmp(answer, "HTTP/1.1 101", 12) != 0) {
        fail("load: the opening was refused: %.12s", answer);
    }
}

/* -- the wire -------------------------------------------------------------*/

#ifdef TLS

static void
wire_open(struct conn *conn)
{
    static SSL_CTX *context;

    if (context == NULL) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        /* Header and body of a record in one recv: the client must not become
         * the slower side. */
        SSL_CTX_set_read_ahead(context, 1);
        SSL_CTX_set_default_read_buffer_len(context, 64 * 1024);
    }
    fcntl(conn->fd, F_SETFL, fcntl(conn->fd, F_GETFL) | O_NONBLOCK);
    conn->tls = SSL_new(context);
    conn->parted = false;
    SSL_set_fd(conn->tls, conn->fd);
    SSL_set_connect_state(conn->tls);
}

static void
wire_close(struct conn *conn)
{
    SSL_free(conn->tls);
    close(conn->fd);
}

/* -1 with EAGAIN, or the end of the program. */
static ssize_t
wire_failed(struct conn *conn, int res, const char *what)
{
    int error = SSL_get_error(conn->tls, res);

    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        fail("load: TLS: cannot %s (%d)", what, error);
    }
    errno = EAGAIN;
    return -1;
}

static ssize_t
wire_send(struct conn *conn, const struct msghdr *message)
{
    static char plain[SCRATCH];
    size_t size = 0;

    for (size_t i = 0; i < message->msg_iovlen; i++) {
        size_t some = message->msg_iov[i].iov_len;
        some = some < SCRATCH - size ? some : SCRATCH - size;
        memcpy(plain + size, message->msg_iov[i].iov_base, some);
        size += some;
    }
    /* A call writes one record. */
    size_t sent = 0;
    while (sent < size) {
        int n = SSL_write(conn->tls, plain + sent, (int)(size - sent));
        if (n <= 0) {
            ssize_t res = wire_failed(conn, n, "write");
            return sent > 0 ? (ssize_t)sent : res;
        }
        sent += (size_t)n;
    }
    return (ssize_t)sent;
}

static ssize_t
wire_receive(struct conn *conn)
{
    if (!conn->parted) {
        int n = SSL_read(conn->tls, scratch, SCRATCH);
        if (n > 0) {
            return n;
        }
        if (SSL_get_error(conn->tls, n) != SSL_ERROR_ZERO_RETURN) {
            return wire_failed(conn, n, "read");
        }
        SSL_shutdown(conn->tls);
        conn->parted = true;
    }
    return recv(conn->fd, scratch, SCRATCH, MSG_DONTWAIT);
}

/* May another read give more, without another event? */
static bool
wire_may_have_more(struct conn *conn)
{
    return conn->received < opt.reply.size || SSL_has_pending(conn->tls);
}

static const bool wire_is_tls = true;

#else

static void
wire_open(struct conn *conn)
{
    (void)conn;
}

static void
wire_close(struct conn *conn)
{
    close(conn->fd);
}

static ssize_t
wire_send(struct conn *conn, const struct msghdr *message)
{
    return sendmsg(conn->fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t
wire_receive(struct conn *conn)
{
    return recv(conn->fd, scratch, SCRATCH, MSG_DONTWAIT);
}

static bool
wire_may_have_more(struct conn *conn)
{
    (void)conn;
    return false;
}

static const bool wire_is_tls = false;

#endif

static void
open_all(int count)
{
    conns = calloc((size_t)count, sizeof(*conns));
    for (int i = 0; i < count; i++) {
        conns[i].fd = open_socket(SOCK_STREAM);
        converse(conns[i].fd);
        wire_open(&conns[i]);
        watch(&conns[i], EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* -- messages -------------------------------------------------------------*/

static void
stamp_next(struct conn *conn)
{
    uint64_t rest_of = conn->serial = serial++;

    for (int i = STAMP - 1; i >= 0; i--) {
        conn->stamp[i] = "0123456789abcdef"[rest_of & 15];
        rest_of >>= 4;
    }
}

/* The pieces of `blob` from `offset` on: before, within, after the stamp. */
static int
pieces(const struct blob *blob, char *stamp, size_t offset, struct iovec *iov)
{
    size_t at = blob->stamp < 0 ? blob->size : (size_t)blob->stamp;
    size_t starts[] = {0, at, at + STAMP};
    size_t ends[] = {at, at + STAMP, blob->size};
    int used = 0;

    for (int i = 0; i < (blob->stamp < 0 ? 1 : 3); i++) {
        size_t from = starts[i] > offset ? starts[i] : offset;
        if (from < ends[i]) {
            iov[used].iov_base =
                i == 1 ? stamp + (from - at) : blob->data + from;
            iov[used].iov_len = ends[i] - from;
            used++;
        }
    }
    return used;
}

/* Are these `size` bytes what `blob` has from `offset` on? */
static bool
matches(const struct blob *blob, char *stamp, size_t offset, const char *bytes,
        size_t size)
{
    struct iovec iov[3];
    int used = pieces(blob, stamp, offset, iov);

    for (int i = 0; i < used && size > 0; i++) {
        size_t n = iov[i].iov_len < size ? iov[i].iov_len : size;
        if (memcmp(bytes, iov[i].iov_base, n) != 0) {
            return false;
        }
        bytes += n;
        size -= n;
    }
    return size == 0;
}

static void
send_rest(struct conn *conn)
{
    struct iovec iov[3];
    struct msghdr message = {.msg_iov = iov};

    message.msg_iovlen =
        (size_t)pieces(&opt.request, conn->stamp, conn->sent, iov);
    ssize_t n = wire_send(conn, &message);
    if (n < 0 && errno != EAGAIN) {
        fail_errno("send");
    }
    conn->sent += n > 0 ? (size_t)n : 0;
    bool blocked = conn->sent < opt.request.size;
#ifdef TLS
    /* A handshake waits for data, with which it is tried again. */
    blocked = blocked && SSL_is_init_finished(conn->tls);
#endif
    if (blocked != conn->blocked) {
        conn->blocked = blocked;
        watch(conn, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void
begin(struct conn *conn)
{
    conn->busy = true;
    conn->sent = conn->received = 0;
    stamp_next(conn);
    /* Large replies are compared now and then: the client must not become
     * the slower side. */
    conn->check =
        check_all || opt.reply.size <= 4096 || conn->serial % 16 == 0;
    budget--;
    send_rest(conn);
}

/* Take a piece of what has come: its size, 0 when the peer has closed, -1
 * when there is nothing. */
static ssize_t
receive_piece(struct conn *conn)
{
    ssize_t n = wire_receive(conn);

    if (n < 0 && !(wire_is_tls && errno == EAGAIN)) {
        fail_errno("recv");
    }
    if (n <= 0) {
        return n;
    }
    if (!conn->busy || conn->received + (size_t)n > opt.reply.size) {
        fail("load: more came back than was asked for");
    }
    if (conn->check && !matches(&opt.reply, conn->stamp, conn->received,
                                scratch, (size_t)n)) {
        fail("load: what came back is wrong");
    }
    conn->received += (size_t)n;
    return n;
}

/* Take what has come. True when the peer has closed. */
static bool
receive(struct conn *conn)
{
    ssize_t n;

    do {
        n = receive_piece(conn);
    } while (n > 0 && wire_may_have_more(conn));
    return n == 0;
}

/* Send what a handshake has held up. */
static void
go_on_sending(struct conn *conn)
{
    if (wire_is_tls && conn->busy && !conn->blocked &&
        conn->sent < opt.request.size) {
        send_rest(conn);
    }
}

static int
wait_events(struct epoll_event *events)
{
    int count = epoll_wait(poller, events, EVENTS, PATIENCE);

    if (count < 0) {
        fail_errno("epoll_wait");
    }
    if (count == 0) {
        fail("load: no reply within %d ms (%ld of this part came)", PATIENCE,
             done);
    }
    return count;
}

/* -- exchange -------------------------------------------------------------*/

static void
exchange(long operations)
{
    struct epoll_event events[EVENTS];

    budget = operations;
    done = 0;
    for (int i = 0; i < opt.connections && budget > 0; i++) {
        begin(&conns[i]);
    }
    while (done < operations) {
        int count = wait_events(events);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                send_rest(conn);
            }
            if (!(events[i].events & ~(uint32_t)EPOLLOUT)) {
                continue;
            }
            go_on_sending(conn);
            if (receive(conn)) {
                fail("load: the server closed a connection");
            }
            if (conn->received == opt.reply.size) {
                conn->busy = false;
                done++;
                if (budget > 0) {
                    begin(conn);
                }
            }
        }
    }
}

/* -- storm ----------------------------------------------------------------*/

/* The server closes first. By the reset that follows from us both ends are
 * gone at once: no run has to live with the TIME_WAIT of another. */
static void
connect_and_begin(struct conn *conn)
{
    struct linger reset = {1, 0};

    conn->fd = open_socket(SOCK_STREAM);
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    conn->blocked = false;
    wire_open(conn);
    watch(conn, EPOLL_CTL_ADD, EPOLLIN);
    begin(conn);
}

static void
storm(long operations)
{
    struct epoll_event events[EVENTS];

    budget = operations;
    done = 0;
    for (int i = 0; i < opt.connections && budget > 0; i++) {
        connect_and_begin(&conns[i]);
    }
    while (done < operations) {
        int count = wait_events(events);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            go_on_sending(conn);
            if (!receive(conn)) {
                continue;
            }
            if (conn->received != opt.reply.size) {
                fail("load: a connection was closed before its reply");
            }
            wire_close(conn);
            conn->busy = false;
            done++;
            if (budget > 0) {
                connect_and_begin(conn);
            }
        }
    }
}

/* -- datagrams ------------------------------------------------------------*/

struct port {
    struct conn conn; /* first: what epoll gives back */
    char slots[WINDOW][STAMP];
};

/* Send one datagram for each slot of `which`. */
static void
send_datagrams(struct port *port, const int *which, int count)
{
    struct mmsghdr messages[WINDOW] = {0};
    struct iovec iovs[WINDOW][3];

    for (int i = 0; i < count; i++) {
        char *stamp = port->slots[which[i]];
        stamp_next(&port->conn);
        memcpy(stamp, port->conn.stamp, STAMP);
        messages[i].msg_hdr.msg_iov = iovs[i];
        messages[i].msg_hdr.msg_iovlen =
            (size_t)pieces(&opt.request, stamp, 0, iovs[i]);
    }
    budget -= count;
    if (count > 0 &&
        sendmmsg(port->conn.fd, messages, (unsigned)count, 0) != count) {
        fail_errno("sendmmsg");
    }
}

/* The slot that this datagram answers. */
static int
find_slot(struct port *port, const char *bytes, size_t size)
{
    for (int i = 0; i < opt.in_flight; i++) {
        if (port->slots[i][0] != 0 && size == opt.reply.size &&
            matches(&opt.reply, port->slots[i], 0, bytes, size)) {
            return i;
        }
    }
    fail("load: a datagram came back wrong, or twice");
    return -1;
}

static void
receive_datagrams(struct port *port)
{
    struct mmsghdr messages[WINDOW] = {0};
    struct iovec iovs[WINDOW];
    int free_slots[WINDOW];

    for (int i = 0; i < opt.in_flight; i++) {
        iovs[i].iov_base = scratch + i * 2048;
        iovs[i].iov_len = 2048;
        messages[i].msg_hdr.msg_iov = &iovs[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(port->conn.fd, messages, (unsigned)opt.in_flight,
                         MSG_DONTWAIT, NULL);
    if (count < 0) {
        fail_errno("recvmmsg");
    }
    for (int i = 0; i < count; i++) {
        free_slots[i] = find_slot(port, iovs[i].iov_base, messages[i].msg_len);
        port->slots[free_slots[i]][0] = 0;
    }
    done += count;
    send_datagrams(port, free_slots, budget < count ? (int)budget : count);
}

static void
datagrams(long operations)
{
    static struct port *ports;
    struct epoll_event events[EVENTS];

    if (ports == NULL) {
        ports = calloc((size_t)opt.connections, sizeof(*ports));
        for (int i = 0; i < opt.connections; i++) {
            ports[i].conn.fd = open_socket(SOCK_DGRAM);
            watch(&ports[i].conn, EPOLL_CTL_ADD, EPOLLIN);
        }
    }
    budget = operations;
    done = 0;
    for (int i = 0; i < opt.connections && budget > 0; i++) {
        int all[WINDOW];
        for (int slot = 0; slot < opt.in_flight; slot++) {
            all[slot] = slot;
        }
        send_datagrams(&ports[i], all,
                       budget < opt.in_flight ? (int)budget : opt.in_flight);
    }
    while (done < operations) {
        int count = wait_events(events);
        for (int i = 0; i < count; i++) {
            receive_datagrams(events[i].data.ptr);
        }
    }
}

/* -- idle -----------------------------------------------------------------*/

/* KiB of anonymous memory of the server. */
static double
anonymous(void)
{
    char path[64], line[256];
    double kib = -1;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)opt.pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_errno(path);
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "Anonymous: %lf", &kib);
    }
    fclose(file);
    return kib;
}

/* Each connection exchanges one message and then stays. They come in groups
 * that fit the smallest backlog. */
static void
idle(void)
{
    int all = opt.connections, group = 50;

    opt.connections = 1;
    open_all(1); /* what the first one costs belongs to the server */
    exchange(1);
    (void)server_cpu();
    double before = anonymous();
    for (int open = 0; open < all; open += group) {
        opt.connections = all - open < group ? all - open : group;
        open_all(opt.connections);
        exchange(opt.connections);
    }
    (void)server_cpu();
    printf("{\"value\": %.6f}\n", (anonymous() - before) / all);
}

/* -- the sample -----------------------------------------------------------*/

/* How many operations make a part. These runs are the warm-up too. */
static long
calibrate(void (*run)(long))
{
    long operations = opt.connections;
    long long start = now();

    for (;;) {
        long long begun = now();
        run(operations);
        long long ended = now(), spent = ended - begun;
        if (spent >= opt.part / 4 && ended - start >= opt.warm) {
            long wanted =
                (long)((double)operations * (double)opt.part / (double)spent);
            return wanted > 0 ? wanted : 1;
        }
        if (spent < opt.part / 2) {
            operations *= 2;
        }
    }
}

static void
measure(void (*run)(long))
{
    long operations = opt.count > 0 ? opt.count : calibrate(run);
    int parts = opt.count > 0 ? 1 : opt.parts;

    check_all = false;
    printf("{\"parts\": [");
    long long cpu = server_cpu();
    for (int i = 0; i < parts; i++) {
        long long begun = now();
        run(operations);
        long long wall = now() - begun;
        long long after = server_cpu();
        printf("%s[%ld, %lld, %lld]", i ? ", " : "", operations, after - cpu,
               wall);
        cpu = after;
    }
    printf("]}\n");
}

static void
read_blob(struct blob *blob, const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail_errno(path);
    }
    blob->size = (size_t)ftell(file);
    rewind(file);
    blob->data = malloc(blob->size + 1);
    if (fread(blob->data, 1, blob->size, file) != blob->size) {
        fail_errno(path);
    }
    fclose(file);
}

static void
set_option(const char *name, const char *value)
{
    if (strcmp(name, "--request") == 0) {
        read_blob(&opt.request, value);
    }
    else if (strcmp(name, "--reply") == 0) {
        read_blob(&opt.reply, value);
    }
    else if (strcmp(name, "--prelude") == 0) {
        read_blob(&opt.prelude, value);
    }
    else if (strcmp(name, "--request-stamp") == 0) {
        opt.request.stamp = atol(value);
    }
    else if (strcmp(name, "--reply-stamp") == 0) {
        opt.reply.stamp = atol(value);
    }
    else if (strcmp(name, "--connections") == 0) {
        opt.connections = atoi(value);
    }
    else if (strcmp(name, "--in-flight") == 0) {
        opt.in_flight = atoi(value) < WINDOW ? atoi(value) : WINDOW;
    }
    else if (strcmp(name, "--warm-ms") == 0) {
        opt.warm = atol(value) * MS;
    }
    else if (strcmp(name, "--part-ms") == 0) {
        opt.part = atol(value) * MS;
    }
    else if (strcmp(name, "--parts") == 0) {
        opt.parts = atoi(value);
    }
    else if (strcmp(name, "--count") == 0) {
        opt.count = atol(value);
    }
    else if (strcmp(name, "--settle") == 0) {
        opt.settle = atoi(value) != 0;
    }
    else {
        fail("load: no such option: %s", name);
    }
}

int
main(int argc, char **argv)
{
    struct rlimit limit;

    if (argc < 4 || argc % 2) {
        fail("usage: load MODE ADDRESS PID [--option value]...");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    opt.mode = argv[1];
    parse_address(argv[2]);
    opt.pid = (pid_t)atol(argv[3]);
    for (int i = 4; i < argc; i += 2) {
        set_option(argv[i], argv[i + 1]);
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (clock_getcpuclockid(opt.pid, &server_clock) != 0) {
        fail("load: no such process: %d", (int)opt.pid);
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (strcmp(opt.mode, "exchange") == 0) {
        open_all(opt.connections);
        measure(exchange);
    }
    else if (strcmp(opt.mode, "storm") == 0) {
        conns = calloc((size_t)opt.connections, sizeof(*conns));
        measure(storm);
    }
    else if (strcmp(opt.mode, "datagrams") == 0) {
        measure(datagrams);
    }
    else if (strcmp(opt.mode, "idle") == 0) {
        idle();
    }
    else {
        fail("load: no such mode: %s", opt.mode);
    }
    return 0;
}
