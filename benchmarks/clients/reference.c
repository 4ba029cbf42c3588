/* What plain C over libuv needs for the same work: the limit of the rows.
 *
 *   reference echo           TCP, whatever comes goes back
 *   reference unix PATH      the same on a Unix socket
 *   reference storm SIZE     accept, SIZE bytes, SIZE bytes back, close
 *   reference datagrams      UDP, each datagram goes back
 *
 * Prints the address that it listens at, and ends with whoever started it.
 *
 * Ownership: a connection is freed in its close callback, a write that could
 * not go out at once in its own callback. Threads: one. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <uv.h>

#define SCRATCH (256 * 1024)

struct conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    size_t received;
};

struct late {
    uv_write_t request;
    char bytes[];
};

static char scratch[SCRATCH];
static uv_loop_t *loop;
static size_t storm_size; /* 0: connections stay */

static void
check(int err, const char *what)
{
    if (err < 0) {
        fprintf(stderr, "reference: %s: %s\n", what, uv_strerror(err));
        exit(1);
    }
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(scratch, SCRATCH);
}

static void
on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void
on_written(uv_write_t *request, int err)
{
    (void)err; /* the read will report it */
    free(request);
}

/* Send now; what finds no room is copied and queued. */
static void
answer(uv_stream_t *stream, char *bytes, size_t size)
{
    uv_buf_t buf = uv_buf_init(bytes, (unsigned)size);
    int sent = uv_try_write(stream, &buf, 1);

    if (sent == UV_EAGAIN) {
        sent = 0;
    }
    if (sent < 0 || (size_t)sent == size) {
        return;
    }
    size -= (size_t)sent;
    struct late *late = malloc(sizeof(*late) + size);
    memcpy(late->bytes, bytes + sent, size);
    buf = uv_buf_init(late->bytes, (unsigned)size);
    check(uv_write(&late->request, stream, &buf, 1, on_written), "write");
}

static void
on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct conn *conn = (struct conn *)stream;

    if (size < 0) {
        uv_close(&conn->uv.handle, on_closed);
        return;
    }
    conn->received += (size_t)size;
    if (storm_size == 0) {
        answer(stream, buf->base, (size_t)size);
    }
    else if (conn->received == storm_size) {
        answer(stream, buf->base, (size_t)size);
        uv_close(&conn->uv.handle, on_closed);
    }
}

static void
on_connection(uv_stream_t *server, int err)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    check(err, "listen");
    if (server->type == UV_TCP) {
        uv_tcp_init(loop, &conn->uv.tcp);
    }
    else {
        uv_pipe_init(loop, &conn->uv.pipe, 0);
    }
    check(uv_accept(server, &conn->uv.stream), "accept");
    if (server->type == UV_TCP) {
        uv_tcp_nodelay(&conn->uv.tcp, 1);
    }
    check(uv_read_start(&conn->uv.stream, on_alloc, on_read), "read");
}

static void
on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *buf,
            const struct sockaddr *from, unsigned flags)
{
    (void)flags;
    if (size > 0 && from != NULL) {
        uv_buf_t reply = uv_buf_init(buf->base, (unsigned)size);
        check(uv_udp_try_send(udp, &reply, 1, from), "send");
    }
}

static void
say_port(const struct sockaddr_storage *at)
{
    printf("127.0.0.1:%d\n",
           ntohs(((const struct sockaddr_in *)at)->sin_port));
}

static void
serve_tcp(const struct sockaddr_in *any)
{
    static uv_tcp_t server;
    struct sockaddr_storage at;
    int size = sizeof(at);

    uv_tcp_init(loop, &server);
    check(uv_tcp_bind(&server, (const struct sockaddr *)any, 0), "bind");
    check(uv_listen((uv_stream_t *)&server, 128, on_connection), "listen");
    uv_tcp_getsockname(&server, (struct sockaddr *)&at, &size);
    say_port(&at);
}

static void
serve_unix(const char *path)
{
    static uv_pipe_t server;

    uv_pipe_init(loop, &server, 0);
    check(uv_pipe_bind(&server, path), "bind");
    check(uv_listen((uv_stream_t *)&server, 128, on_connection), "listen");
    puts(path);
}

static void
serve_datagrams(const struct sockaddr_in *any)
{
    static uv_udp_t udp;
    struct sockaddr_storage at;
    int size = sizeof(at);

    uv_udp_init(loop, &udp);
    check(uv_udp_bind(&udp, (const struct sockaddr *)any, 0), "bind");
    check(uv_udp_recv_start(&udp, on_alloc, on_datagram), "receive");
    uv_udp_getsockname(&udp, (struct sockaddr *)&at, &size);
    say_port(&at);
}

int
main(int argc, char **argv)
{
    struct sockaddr_in any;
    struct rlimit limit;
    const char *mode = argc > 1 ? argv[1] : "";

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
    loop = uv_default_loop();
    uv_ip4_addr("127.0.0.1", 0, &any);
    if (strcmp(mode, "echo") == 0) {
        serve_tcp(&any);
    }
    else if (strcmp(mode, "unix") == 0 && argc == 3) {
        serve_unix(argv[2]);
    }
    else if (strcmp(mode, "storm") == 0 && argc == 3) {
        storm_size = (size_t)atol(argv[2]);
        serve_tcp(&any);
    }
    else if (strcmp(mode, "datagrams") == 0) {
        serve_datagrams(&any);
    }
    else {
        fprintf(stderr, "usage: reference echo|unix PATH|storm SIZE"
                        "|datagrams\n");
        return 2;
    }
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
