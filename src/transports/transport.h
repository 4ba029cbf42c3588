/* transport.h - what all transports share.
 *
 * Streams, pipes and datagrams are one mechanism: a descriptor with a watch
 * (watch/watch.h), a protocol, and the states below. Sending and receiving
 * are in stream.c, pipe.c and datagram.c.
 *
 * Life:  made, `loop` set --begin--> connection_made is queued, then reading
 *   starts --close, abort, error, end--> `closing` --nothing left to send-->
 *   `lost`, connection_lost is queued --it has run--> released:
 *   loop, protocol and server are NULL, the descriptor is closed.
 *
 * Invariants:
 *   1. `fd` is open exactly while `fd_open` is set, and then it is ours: with
 *      `file` set, that object owns it and is what closes it.
 *   2. The watch holds a reference to the transport while it waits for
 *      something, and so does the loop's send list; nothing else of ours
 *      does, so an idle transport goes when its user drops it.
 *   3. connection_lost is called once, after everything else.
 *   4. Whatever runs foreign code may have closed or released the transport:
 *      look again.
 *
 * A C type over asyncio's classes: the struct begins with the slot of
 * BaseTransport, and the slots of the type are complete in themselves.
 * Threads: the loop's.
 */
#ifndef AL_TRANSPORTS_TRANSPORT_H
#define AL_TRANSPORTS_TRANSPORT_H

#include "loop/loop.h"
#include "py/sockaddr.h"
#include "transports/inlet.h"
#include "watch/watch.h"

#define AL_HIGH_WATER ((size_t)64 * 1024)

struct al_transport_kind;

typedef struct al_transport {
    PyObject_HEAD
    PyObject *extra; /* BaseTransport's slot: a dict, or NULL so far */
    /* The slots of asyncio's _FlowControlMixin, which its sendfile wants to
     * see us inherit. Always NULL: the attributes are ours. */
    PyObject *mixin_slots[4];
    PyObject *dict;
    PyObject *weakrefs;
    const struct al_transport_kind *kind;
    struct al_state *st; /* borrowed */
    LoopObject *loop;    /* strong; NULL when released */
    PyObject *protocol;  /* strong; NULL when released */
    al_inlet inlet;      /* the protocol's, if it has one */
    PyObject *context;   /* strong; of all callbacks; NULL: the empty one */
    PyObject *server;    /* strong, or NULL */
    struct al_transport *server_next; /* borrowed; server_link.h */
    struct al_transport *server_prev;
    PyObject *file;         /* strong: the socket or pipe object, or NULL */
    PyObject *empty_waiter; /* strong: sendfile waits for an empty queue */
    al_watch_user user;
    size_t high_water;
    size_t low_water;
    al_address peer;  /* the peer's name, when it is known */
    al_address local; /* our own, kept when the descriptor is closed */
    int fd;
    unsigned late_writes;  /* after the end */
    unsigned expected;     /* bytes that the next read may bring */
    uint8_t socket_family; /* to make a socket object from; AF_UNSPEC: ask */
    bool fd_open : 1;
    bool lost : 1;         /* connection_lost is queued or was called */
    bool write_failed : 1; /* that was why */
    bool is_pipe : 1;
    bool closing : 1;
    bool paused : 1;    /* by pause_reading */
    bool begun : 1;     /* reading may start */
    bool connected : 1; /* the protocol is to hear connection_lost */
    bool buffered : 1;  /* a BufferedProtocol */
    bool protocol_paused : 1;
    bool eof_written : 1;
    bool write_waits : 1; /* the watch tells when there is room */
    bool made_roomy : 1;  /* the pipe was full once, and is larger now */
} al_transport;

/* What is unlike between the kinds. */
typedef struct al_transport_kind {
    const char *write_error; /* asyncio's words for a failed write */
    /* Bytes queued, sent or not. */
    size_t (*pending)(al_transport *self);
    /* Drop what is queued. */
    void (*discard)(al_transport *self);
    /* Try to send what is queued; asked for by a user's call. */
    void (*send_now)(al_transport *self);
    /* connection_lost has been called; NULL if there is nothing to do. */
    void (*on_lost)(al_transport *self);
    /* All is sent that was queued, and the transport is still there: what
     * waits for that, waits no longer. NULL for those without a queue. */
    void (*drained)(al_transport *self);
    /* There is something to read, or room to write. */
    void (*read_ready)(al_transport *self);
    void (*write_ready)(al_transport *self);
} al_transport_kind;

/* Fill in a transport of a new object (zeroed memory but for `kind`). Takes the context of
 * the caller. 0, or -1 with an exception set. Adopts nothing yet. */
int al_transport_init(al_transport *self, LoopObject *loop, PyObject *protocol,
                      PyObject *extra, PyObject *server);

/* From here on the descriptor is the transport's. `file` is the object that
 * owns it, or NULL. Cannot fail. */
void al_transport_adopt(al_transport *self, int fd, PyObject *file);

/* Undo al_transport_adopt, of a transport that could not begin: the
 * descriptor is the caller's again. */
void al_transport_disown(al_transport *self);

/* Queue connection_made, the start of reading and then the waiter's result
 * (`waiter` may be NULL). 0, or -1 with an exception set. */
int al_transport_begin(al_transport *self, PyObject *waiter);

/* May data be delivered? */
static inline bool
al_transport_is_reading(const al_transport *self)
{
    return !self->closing && !self->paused;
}

/* Have the watch tell when there is something to read, or no longer. */
void al_transport_start_reading(al_transport *self);
void al_transport_stop_reading(al_transport *self);

/* The same for room to write. */
void al_transport_start_writing(al_transport *self);
void al_transport_stop_writing(al_transport *self);

/* Set the protocol and what is remembered of it. 0, or -1. */
int al_transport_set_protocol(al_transport *self, PyObject *protocol);

/* Call a method of the protocol as an event: in the transport's context.
 * `arg` may be NULL. New reference, or NULL with an exception set. */
PyObject *al_transport_call(al_transport *self, PyObject *name, PyObject *arg);
PyObject *al_transport_call_two(al_transport *self, PyObject *name,
                                PyObject *one, PyObject *two);

/* Give what was read to the inlet or to the protocol's data_received().
 * 0, or -1 with an exception set. */
int al_transport_deliver(al_transport *self, PyObject *bytes);

/* pause_writing or resume_writing, as the queue demands. `inside` a method
 * that the user called the context stays the caller's. 0, or -1 with an
 * exception set that is the caller's to pass on. */
int al_transport_check_high(al_transport *self, bool inside);
int al_transport_check_low(al_transport *self, bool inside);

/* The exception that is set ends the connection: it goes to the log or the
 * exception handler, as asyncio has it, and to connection_lost. Those that
 * leave the loop do so, and the connection stays. */
void al_transport_fatal(al_transport *self, const char *message);

/* The exception that is set is the exception handler's, and that is all. */
void al_transport_report(al_transport *self, const char *message);

/* Drop what is queued and end the connection with `error` (or None).
 * 0, or -1 with an exception set when the loop is closed, as asyncio. */
int al_transport_force_close(al_transport *self, PyObject *error);

/* Queue connection_lost(error); `lost` was 0. 0, or -1 likewise. */
int al_transport_queue_lost(al_transport *self, PyObject *error);

/* A system call has said EBADF: somebody closed the descriptor, and its
 * number is no longer ours to use. */
void al_transport_lose_descriptor(al_transport *self);

/* Call connection_lost(error) now and release the transport.
 * 0, or -1 with the protocol's exception set. */
int al_transport_lose(al_transport *self, PyObject *error);

/* As an outlet tells it. */
bool al_transport_is_closing(PyObject *op);

/* close(): when nothing is left to send, the end. 0, or -1 likewise. */
int al_transport_close(al_transport *self);

/* Queue a call in the transport's context. 0, or -1 with an exception. */
int al_transport_call_soon(al_transport *self, PyObject *callback,
                           PyObject *const *args, size_t nargs);

/* asyncio's line in debug mode, "%r" being the transport. */
void al_transport_log_debug(al_transport *self, const char *format);
void al_transport_log_info(al_transport *self, const char *format);

/* A write after the end: warned about from the fifth on. Passes on an
 * exception of the logger: -1. */
int al_transport_write_is_late(al_transport *self, const char *message);

/* The socket or pipe object, made if there is none. Borrowed; NULL with an
 * exception set. */
PyObject *al_transport_file(al_transport *self);

/* The slots of every transport type. */
int al_transport_tp_traverse(PyObject *op, visitproc visit, void *arg);
int al_transport_tp_clear(PyObject *op);
void al_transport_tp_finalize(PyObject *op);
void al_transport_tp_dealloc(PyObject *op);
PyObject *al_transport_tp_repr(PyObject *op);

extern PyMemberDef al_transport_members[];

/* Attributes of asyncio's transports that libraries read. */
enum { AL_FLAG_CLOSING, AL_FLAG_PAUSED, AL_FLAG_EOF, AL_FLAG_PROTOCOL_PAUSED };

PyObject *al_transport_get_extra(PyObject *op, void *closure);
int al_transport_set_extra(PyObject *op, PyObject *value, void *closure);
PyObject *al_transport_get_loop(PyObject *op, void *closure);
PyObject *al_transport_get_protocol(PyObject *op, void *closure);
int al_transport_set_protocol_attr(PyObject *op, PyObject *value,
                                   void *closure);
PyObject *al_transport_get_server(PyObject *op, void *closure);
PyObject *al_transport_get_file(PyObject *op, void *closure);
int al_transport_set_file(PyObject *op, PyObject *value, void *closure);
PyObject *al_transport_get_fd(PyObject *op, void *closure);
PyObject *al_transport_get_lost(PyObject *op, void *closure);
PyObject *al_transport_get_flag(PyObject *op, void *closure);

#define AL_TRANSPORT_GETSET                                                   \
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL,      \
     NULL},                                                                   \
        {"_extra", al_transport_get_extra, al_transport_set_extra, NULL,      \
         NULL},                                                               \
        {"_loop", al_transport_get_loop, NULL, NULL, NULL},                   \
        {"_protocol", al_transport_get_protocol,                              \
         al_transport_set_protocol_attr, NULL, NULL},                         \
        {"_server", al_transport_get_server, NULL, NULL, NULL},               \
        {"_sock", al_transport_get_file, al_transport_set_file, NULL, NULL},  \
        {"_pipe", al_transport_get_file, al_transport_set_file, NULL, NULL},  \
        {"_sock_fd", al_transport_get_fd, NULL, NULL, NULL},                  \
        {"_fileno", al_transport_get_fd, NULL, NULL, NULL},                   \
        {"_conn_lost", al_transport_get_lost, NULL, NULL, NULL},              \
        {"_closing", al_transport_get_flag, NULL, NULL,                       \
         (void *)AL_FLAG_CLOSING},                                            \
        {"_paused", al_transport_get_flag, NULL, NULL,                        \
         (void *)AL_FLAG_PAUSED},                                             \
        {"_eof", al_transport_get_flag, NULL, NULL, (void *)AL_FLAG_EOF},     \
    {                                                                         \
        "_protocol_paused", al_transport_get_flag, NULL, NULL,                \
            (void *)AL_FLAG_PROTOCOL_PAUSED                                   \
    }

/* Make a transport type over a class of asyncio's. `own` is the offset of the
 * struct's first field that is not a slot of that class. NULL with an
 * exception set. */
PyTypeObject *al_transport_make_type(PyObject *module, PyType_Spec *spec,
                                     PyObject *base, size_t own);

/* Methods of every transport. */
PyObject *al_transport_py_close(PyObject *op, PyObject *unused);
PyObject *al_transport_py_is_closing(PyObject *op, PyObject *unused);
PyObject *al_transport_py_set_protocol(PyObject *op, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_transport_py_get_protocol(PyObject *op, PyObject *unused);
PyObject *al_transport_py_get_extra_info(PyObject *op, PyObject *const *args,
                                         Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_transport_py_call_lost(PyObject *op, PyObject *error);
PyObject *al_transport_py_force_close(PyObject *op, PyObject *error);
PyObject *al_transport_py_fatal_error(PyObject *op, PyObject *args,
                                      PyObject *kwargs);
/* Of those that read. */
PyObject *al_transport_py_is_reading(PyObject *op, PyObject *unused);
PyObject *al_transport_py_pause_reading(PyObject *op, PyObject *unused);
PyObject *al_transport_py_resume_reading(PyObject *op, PyObject *unused);
PyObject *al_transport_py_start_reading(PyObject *op, PyObject *unused);
/* Of those that write. */
PyObject *al_transport_py_abort(PyObject *op, PyObject *unused);
PyObject *al_transport_py_write_limits(PyObject *op, PyObject *unused);
PyObject *al_transport_py_set_limits(PyObject *op, PyObject *args,
                                     PyObject *kwargs);
PyObject *al_transport_py_buffer_size(PyObject *op, PyObject *unused);

#define AL_TRANSPORT_METHODS                                                  \
    {"close", al_transport_py_close, METH_NOARGS,                             \
     "close($self, /)\n--\n\nClose after what is written is sent."},          \
        {"is_closing", al_transport_py_is_closing, METH_NOARGS,               \
         "is_closing($self, /)\n--\n\nIs it closing or closed?"},             \
        {"set_protocol", _PyCFunction_CAST(al_transport_py_set_protocol),     \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "set_protocol($self, protocol)\n--\n\nChange the protocol."},        \
        {"get_protocol", al_transport_py_get_protocol, METH_NOARGS,           \
         "get_protocol($self, /)\n--\n\nThe protocol."},                      \
        {"get_extra_info", _PyCFunction_CAST(al_transport_py_get_extra_info), \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "get_extra_info($self, name, default=None)\n--\n\n"                  \
         "What is known of the connection under this name."},                 \
        {"_call_connection_lost", al_transport_py_call_lost, METH_O, NULL},   \
        {"_force_close", al_transport_py_force_close, METH_O, NULL},          \
    {                                                                         \
        "_fatal_error", _PyCFunction_CAST(al_transport_py_fatal_error),       \
            METH_VARARGS | METH_KEYWORDS, NULL                                \
    }

#define AL_READ_TRANSPORT_METHODS                                             \
    {"is_reading", al_transport_py_is_reading, METH_NOARGS,                   \
     "is_reading($self, /)\n--\n\nIs it receiving?"},                         \
        {"pause_reading", al_transport_py_pause_reading, METH_NOARGS,         \
         "pause_reading($self, /)\n--\n\nDeliver no data until resumed."},    \
        {"_start_reading", al_transport_py_start_reading, METH_NOARGS, NULL}, \
    {                                                                         \
        "resume_reading", al_transport_py_resume_reading, METH_NOARGS,        \
            "resume_reading($self, /)\n--\n\nDeliver data again."             \
    }

#define AL_WRITE_TRANSPORT_METHODS                                            \
    {"abort", al_transport_py_abort, METH_NOARGS,                             \
     "abort($self, /)\n--\n\nClose at once; what is not sent is lost."},      \
        {"get_write_buffer_limits", al_transport_py_write_limits,             \
         METH_NOARGS,                                                         \
         "get_write_buffer_limits($self, /)\n--\n\n(low, high)."},            \
        {"set_write_buffer_limits",                                           \
         _PyCFunction_CAST(al_transport_py_set_limits),                       \
         METH_VARARGS | METH_KEYWORDS,                                        \
         "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"        \
         "When to pause and resume the protocol's writing."},                 \
    {                                                                         \
        "get_write_buffer_size", al_transport_py_buffer_size, METH_NOARGS,    \
            "get_write_buffer_size($self, /)\n--\n\nBytes not sent yet."      \
    }

#endif
