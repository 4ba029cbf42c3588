/* What plain C over libuv needs for the same work: the limit of the rows.
 *
 *   reference echo           TCP, whatever comes goes back
 *   reference unix PATH      the same on a Unix socket
 *   reference storm SIZE     accept, SIZE bytes, SIZE bytes back, close
 *   reference datagrams      UDP, each datagram goes back
 *
 * Compiled with -DTLS, `echo PEM` and `storm SIZE PEM` are the same by OpenSSL,
 * PEM being the file of a key and its certificate.
 *
 * Prints the address that it listens at, and ends with whoever started it.
 *
 * Ownership: a connection is freed in its close callback, a write that could
 * not go out at once in its own callback. Threads: one. */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <uv.h>

#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#define SCRATCH (256 * 1024)

struct conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    size_t received;
#ifdef TLS
    SSL *tls;
#endif
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
#ifdef TLS
    SSL_free(((struct conn *)handle)->tls);
#endif
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

#ifdef TLS

static SSL_CTX *context;

/* Where a BIO reads and writes: for all connections, one at a time. */
static struct {
    const char *in;
    size_t in_size;
    char out[2 * SCRATCH];
    size_t out_size;
} wire;

static int
wire_read(BIO *bio, char *bytes, size_t size, size_t *count)
{
    BIO_clear_retry_flags(bio);
    *count = size < wire.in_size ? size : wire.in_size;
    if (*count == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(bytes, wire.in, *count);
    wire.in += *count;
    wire.in_size -= *count;
    return 1;
}

static int
wire_write(BIO *bio, const char *bytes, size_t size, size_t *count)
{
    BIO_clear_retry_flags(bio);
    memcpy(wire.out + wire.out_size, bytes, size);
    wire.out_size += size;
    *count = size;
    return 1;
}

static long
wire_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void
prepare_tls(const char *pem)
{
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_PrivateKey_file(context, pem, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_certificate_chain_file(context, pem) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
}

static void
begin_tls(struct conn *conn)
{
    static BIO_METHOD *method;

    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "w");
        BIO_meth_set_read_ex(method, wire_read);
        BIO_meth_set_write_ex(method, wire_write);
        BIO_meth_set_ctrl(method, wire_ctrl);
    }
    BIO *bio = BIO_new(method);
    BIO_set_init(bio, 1);
    conn->tls = SSL_new(context);
    SSL_set_bio(conn->tls, bio, bio);
    SSL_set_accept_state(conn->tls);
}

static void
on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    static char plain[SCRATCH];
    struct conn *conn = (struct conn *)stream;
    size_t have = 0;
    int n = 0;

    wire.in = buf->base;
    wire.in_size = size < 0 ? 0 : (size_t)size;
    wire.out_size = 0;
    while (size >= 0 &&
           (n = SSL_read(conn->tls, plain + have, (int)(SCRATCH - have))) >
               0) {
        have += (size_t)n;
    }
    conn->received += have;
    if (have > 0) {
        SSL_write(conn->tls, plain, (int)have);
    }
    bool ready = storm_size != 0 && conn->received == storm_size && have > 0;
    if (ready) {
        SSL_shutdown(conn->tls);
    }
    if (wire.out_size > 0) {
        answer(stream, wire.out, wire.out_size);
    }
    bool over = SSL_get_shutdown(conn->tls) & SSL_RECEIVED_SHUTDOWN;
    ERR_clear_error();
    if (size < 0 || over) {
        uv_close(&conn->uv.handle, on_closed);
    }
}

#else

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

#endif

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
#ifdef TLS
    begin_tls(conn);
#endif
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
#ifdef TLS
    prepare_tls(argv[argc - 1]);
    argc--;
#endif
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
