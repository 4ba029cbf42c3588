/* connection.h - one TLS connection: the protocol of a transport below, and
 * the transport of a protocol above, in one object.
 *
 * asyncio has two (SSLProtocol and _SSLProtocolTransport), which refer to each
 * other; whoever asks for `_ssl_protocol` gets the object itself.
 *
 * Life, as asyncio's SSLProtocol:
 *   UNWRAPPED --connection_made--> HANDSHAKE --it is done--> WRAPPED
 *   --close, close_notify, end of the stream--> FLUSHING --all is encrypted-->
 *   SHUTDOWN --the peer's close_notify--> the transport below is closed.
 *   abort, an error or connection_lost: UNWRAPPED, from everywhere.
 *
 * Invariants:
 *   1. `raw` is NULL before connection_made and after connection_lost.
 *   2. The protocol hears connection_made once, after the handshake, and then
 *      connection_lost once, after everything else.
 *   3. What was written is in `backlog` as plain text until it is encrypted:
 *      when the loop sends (loop.h, al_flush), when 64 KiB are there, when
 *      the event that brought data ends, and before a shutdown.
 *   4. Whatever runs foreign code may have closed or aborted the connection:
 *      look again.
 *   5. Verbs that return -1 have an exception set that is the caller's to
 *      pass on; what asyncio calls a fatal error was dealt with: 0.
 *
 * Ownership: the transport below holds the connection as its protocol, and the
 * connection holds it, until connection_lost. Nothing else of ours holds a
 * connection but its timers and the loop's send list.
 * Threads: the loop's.
 */
#ifndef AL_TLS_CONNECTION_H
#define AL_TLS_CONNECTION_H

#include "loop/loop.h"
#include "tls/bio.h"
#include "transports/inlet.h"
#include "transports/outqueue.h"

typedef enum {
    AL_TLS_UNWRAPPED,
    AL_TLS_HANDSHAKE,
    AL_TLS_WRAPPED,
    AL_TLS_FLUSHING,
    AL_TLS_SHUTDOWN,
} al_tls_state;

/* What the application's protocol has heard. */
typedef enum {
    AL_APP_INIT,
    AL_APP_MADE,
    AL_APP_EOF,
    AL_APP_LOST,
} al_app_state;

struct al_tls_engine;

typedef struct al_tls {
    PyObject_HEAD
    /* The slots of asyncio's BaseTransport and _FlowControlMixin, which its
     * sendfile wants to see us inherit. Always NULL. */
    PyObject *mixin_slots[5];
    PyObject *dict;
    PyObject *weakrefs;
    struct al_state *st;         /* borrowed */
    LoopObject *loop;            /* strong */
    PyObject *raw;               /* strong: the transport below, or NULL */
    const al_outlet_ops *outlet; /* how to write to it; NULL: its methods */
    PyObject *protocol;          /* strong: the application's, or NULL */
    al_inlet inlet;              /* and what takes its data */
    PyObject *context;    /* strong; of all callbacks; NULL: the empty one */
    PyObject *waiter;     /* strong: hears of the handshake's end, or NULL */
    PyObject *sslcontext; /* strong: as the user gave it */
    PyObject *sslobj;     /* strong: ssl.SSLObject */
    PyObject *handshake_timeout; /* strong: numbers */
    PyObject *shutdown_timeout;
    PyObject *handshake_timer; /* strong, or NULL */
    PyObject *shutdown_timer;

    const struct al_tls_engine *engine;
    al_ssl *ssl; /* sslobj's; NULL: the pump drives it */
    al_tls_bio bio;
    PyObject *target; /* strong: the bytes that bio.target is the memory of */
    PyObject *incoming; /* strong: the pump's MemoryBIO objects, or NULL */
    PyObject *outgoing;

    al_flush flush;
    al_outqueue backlog;
    size_t high_water; /* of writing */
    size_t low_water;
    size_t read_high_water;
    size_t read_low_water;
    int64_t started; /* debug mode: when the handshake began */
    unsigned late_writes;
    uint8_t state;     /* al_tls_state */
    uint8_t app_state; /* al_app_state */
    bool server_side : 1;
    bool accepted : 1;    /* by a listener: failures are told in debug mode */
    bool established : 1; /* the handshake was done */
    bool closed : 1;      /* by the user, or with the transport below */
    bool released : 1;    /* closed twice: nobody asks about it any more */
    bool buffered : 1;    /* a BufferedProtocol */
    bool app_paused : 1;  /* pause_reading */
    bool writing_stopped : 1; /* the protocol was told pause_writing */
    bool raw_full : 1;        /* the transport below wants no more for now */
    bool raw_paused : 1;      /* we have paused its reading */
    bool eof_received : 1;    /* the transport below has no more */
    bool reading : 1; /* what is written now is sent at the end of that */
    bool read_queued : 1;
    bool in_storm : 1;    /* its handshake waits for another turn */
    bool left_over : 1;   /* OpenSSL may have decrypted more than was taken */
    bool reads_ahead : 1; /* OpenSSL keeps whole records to itself */
} al_tls;

/* --- connection.c: handshake, shutdown, the end ------------------------------- */

/* The transport below is there. 0, or -1. */
int al_tls_connection_made(al_tls *self, PyObject *raw);

/* It is gone. 0, or -1. */
int al_tls_connection_lost(al_tls *self, PyObject *error);

/* It has brought data, or no more: 0, or -1. */
int al_tls_received(al_tls *self, const char *data, size_t count);

/* It has no more to bring: 1 to keep it open, 0 to close it, or -1. */
int al_tls_eof(al_tls *self);

/* Begin to close. 0, or -1. */
int al_tls_start_shutdown(al_tls *self);

/* Go on with a shutdown after what was received is read. 0, or -1. */
int al_tls_do_flush(al_tls *self);
int al_tls_do_shutdown(al_tls *self);

/* End the connection now; `error` may be None. 0, or -1. */
int al_tls_abort(al_tls *self, PyObject *error);

/* The exception that is set ends the connection, and is told of as asyncio
 * does. 0, or -1 when it must leave the loop, or cannot be dealt with. */
int al_tls_fatal(al_tls *self, const char *message);

/* The same, if it is an Exception: others are passed on. 0, or -1. */
int al_tls_fatal_if_exception(al_tls *self, const char *message);

/* The user has closed it twice, and does not want it any more: once it is
 * lost, let go of what answers get_extra_info. */
void al_tls_release(al_tls *self);

/* eof_received of the protocol, once. 0, or -1. */
int al_tls_call_eof(al_tls *self);

/* Around an event that is not a call of a method: enter the connection's
 * context, and keep what its callbacks have set. 0, or -1. */
int al_tls_enter(al_tls *self);
void al_tls_leave(al_tls *self);

/* Call a method of the transport below, or of the protocol. New reference or
 * NULL. `arg` may be NULL. */
PyObject *al_tls_call(PyObject *object, PyObject *name, PyObject *arg);

/* Tell the exception handler of the exception that is set. 0, or -1 with
 * what the handler raised. */
int al_tls_report(al_tls *self, const char *message, PyObject *transport);

/* The next step of the handshake. 0, or -1. */
int al_tls_do_handshake(al_tls *self);

/* --- storm.c --------------------------------------------------------------------- */

/* A server's connection may go on with its handshake: now, or, when others
 * have had their share of this turn, in one of the next. 0, or -1. */
int al_tls_handshake_in_turn(al_tls *self);

/* --- reading.c ------------------------------------------------------------------- */

/* Decrypt what is there and give it to the protocol. 0, or -1. */
int al_tls_read(al_tls *self);

/* Set the application's protocol. 0, or -1. */
int al_tls_set_protocol(al_tls *self, PyObject *protocol);

/* Pause or resume the transport below by what waits to be decrypted. */
int al_tls_control_reading(al_tls *self);

/* --- writing.c ------------------------------------------------------------------- */

/* As transport.write() with what was checked to be bytes-like. 0, or -1. */
int al_tls_write(al_tls *self, PyObject *data);

/* Add to the backlog, and nothing else. 0, or -1. */
int al_tls_add(al_tls *self, PyObject *data);

/* Encrypt and send the backlog, as much as the transport below takes or, with
 * `all`, to the end. 0, or -1: what encrypting has raised. */
int al_tls_send(al_tls *self, bool all);

/* Send what is encrypted, and tell the protocol if it may write. 0, or -1. */
int al_tls_process_outgoing(al_tls *self);

/* Bytes that were written and are not with the transport below. */
size_t al_tls_pending(const al_tls *self);

/* pause_writing or resume_writing. 0, or -1. */
int al_tls_control_writing(al_tls *self);

/* It is time to send (al_flush). */
void al_tls_on_flush(al_flush *flush);

/* Nothing that was written will be sent. */
void al_tls_discard(al_tls *self);

#endif
