/* state.h - the module state: everything that is made once per interpreter.
 *
 * Nothing of asyncloop lives in a static variable but the fork generation
 * (loop/fork.c). A LoopObject keeps `st`; every other object reaches it
 * through its loop or its handle pool.
 *
 * Ownership: every PyObject * here is strong; al_state_visit() is the one
 * list of them, which traverse and clear share.
 */
#ifndef AL_PY_STATE_H
#define AL_PY_STATE_H

#include "base/ledger.h"
#include "py/compat.h"

/* asyncio's and the standard library's names that C calls: AL_NAME(field,
 * module, attribute). py/asyncio.c looks them up at import; docs/compat.md
 * says what depends on which version. */
#define AL_STDLIB_NAMES(AL_NAME)                                              \
    AL_NAME(aio_Handle, "asyncio.events", "Handle")                           \
    AL_NAME(aio_TimerHandle, "asyncio.events", "TimerHandle")                 \
    AL_NAME(aio_AbstractEventLoop, "asyncio.events", "AbstractEventLoop")     \
    AL_NAME(aio_Future, "_asyncio", "Future")                                 \
    AL_NAME(aio_Task, "_asyncio", "Task")                                     \
    AL_NAME(aio_BaseEventLoop, "asyncio.base_events", "BaseEventLoop")        \
    AL_NAME(aio_until_complete_cb, "asyncio.base_events",                     \
            "_run_until_complete_cb")                                         \
    AL_NAME(aio_format_handle, "asyncio.base_events", "_format_handle")       \
    AL_NAME(aio_extract_stack, "asyncio.format_helpers", "extract_stack")     \
    AL_NAME(aio_logger, "asyncio.log", "logger")                              \
    AL_NAME(aio_ensure_future, "asyncio.tasks", "ensure_future")              \
    AL_NAME(aio_isfuture, "asyncio.futures", "isfuture")                      \
    AL_NAME(aio_set_running_loop, "asyncio.events", "_set_running_loop")      \
    AL_NAME(aio_get_running_loop, "asyncio.events", "_get_running_loop")      \
    AL_NAME(aio_get_future_loop, "asyncio.futures", "_get_loop")              \
    AL_NAME(aio_wrap_future, "asyncio.futures", "wrap_future")                \
    AL_NAME(aio_convert_future_exc, "asyncio.futures", "_convert_future_exc") \
    AL_NAME(queue_Empty, "_queue", "Empty")                                   \
    AL_NAME(CancelledError, "asyncio.exceptions", "CancelledError")           \
    AL_NAME(InvalidStateError, "asyncio.exceptions", "InvalidStateError")     \
    AL_NAME(aio_set_result_unless_cancelled, "asyncio.futures",               \
            "_set_result_unless_cancelled")                                   \
    AL_NAME(aio_FlowControl, "asyncio.transports", "_FlowControlMixin")       \
    AL_NAME(aio_ReadTransport, "asyncio.transports", "ReadTransport")         \
    AL_NAME(aio_DatagramTransport, "asyncio.transports", "DatagramTransport") \
    AL_NAME(aio_SubprocessTransport, "asyncio.transports",                    \
            "SubprocessTransport")                                            \
    AL_NAME(aio_Protocol, "asyncio.protocols", "Protocol")                    \
    AL_NAME(aio_BufferedProtocol, "asyncio.protocols", "BufferedProtocol")    \
    AL_NAME(aio_StreamReader, "asyncio.streams", "StreamReader")              \
    AL_NAME(aio_StreamWriter, "asyncio.streams", "StreamWriter")              \
    AL_NAME(aio_StreamReaderProtocol, "asyncio.streams",                      \
            "StreamReaderProtocol")                                           \
    AL_NAME(aio_SubprocessStreamProtocol, "asyncio.subprocess",               \
            "SubprocessStreamProtocol")                                       \
    AL_NAME(IncompleteReadError, "asyncio.exceptions", "IncompleteReadError") \
    AL_NAME(LimitOverrunError, "asyncio.exceptions", "LimitOverrunError")     \
    AL_NAME(aio_TransportSocket, "asyncio.trsock", "TransportSocket")         \
    AL_NAME(aio_try_native, "asyncio.constants", "_SendfileMode.TRY_NATIVE")  \
    AL_NAME(aio_fallback, "asyncio.constants", "_SendfileMode.FALLBACK")      \
    AL_NAME(aio_handshake_timeout, "asyncio.constants",                       \
            "SSL_HANDSHAKE_TIMEOUT")                                          \
    AL_NAME(aio_shutdown_timeout, "asyncio.constants",                        \
            "SSL_SHUTDOWN_TIMEOUT")                                           \
    AL_NAME(aio_conn_lost_threshold, "asyncio.constants",                     \
            "LOG_THRESHOLD_FOR_CONNLOST_WRITES")                              \
    AL_NAME(aio_accept_delay, "asyncio.constants", "ACCEPT_RETRY_DELAY")      \
    AL_NAME(socket_class, "socket", "socket")                                 \
    AL_NAME(socket_gaierror, "socket", "gaierror")                            \
    AL_NAME(socket_AddressFamily, "socket", "AddressFamily")                  \
    AL_NAME(socket_AF_INET, "socket", "AF_INET")                              \
    AL_NAME(socket_AF_INET6, "socket", "AF_INET6")                            \
    AL_NAME(socket_SocketKind, "socket", "SocketKind")                        \
    AL_NAME(socket_SOCK_STREAM, "socket", "SOCK_STREAM")                      \
    AL_NAME(socket_SOCK_DGRAM, "socket", "SOCK_DGRAM")                        \
    AL_NAME(socket_SOCK_RAW, "socket", "SOCK_RAW")                            \
    AL_NAME(mod_socket, "asyncio.base_events", "socket")                      \
    AL_NAME(mod_socket_dict, "socket", "__dict__")                            \
    AL_NAME(mod_base_events_dict, "asyncio.base_events", "__dict__")          \
    AL_NAME(mod_coroutines, "asyncio", "coroutines")                          \
    AL_NAME(mod_tasks, "asyncio", "tasks")                                    \
    AL_NAME(mod_tasks_dict, "asyncio.tasks", "__dict__")                      \
    AL_NAME(get_asyncgen_hooks, "sys", "get_asyncgen_hooks")                  \
    AL_NAME(set_asyncgen_hooks, "sys", "set_asyncgen_hooks")                  \
    AL_NAME(set_wakeup_fd, "signal", "set_wakeup_fd")                         \
    AL_NAME(WeakSet, "weakref", "WeakSet")                                    \
    AL_NAME(WeakValueDictionary, "weakref", "WeakValueDictionary")            \
    AL_NAME(main_thread, "threading", "main_thread")                          \
    AL_NAME(describe_callback, "asyncloop._compat", "describe_callback")      \
    AL_NAME(cold_methods, "asyncloop._cold", "ColdMethods")                   \
    AL_NAME(make_popen, "asyncloop._subprocess", "make_popen")                \
    AL_NAME(wait_for_exit, "asyncloop._subprocess", "wait_for_exit")          \
    AL_NAME(beside_tasks, "asyncloop._cold", "beside_tasks")

/* Interned strings: AL_STR(name), the field is str_<name>. */
#define AL_STRINGS(AL_STR)                                                    \
    AL_STR(future)                                                            \
    AL_STR(_enqueue)                                                          \
    AL_STR(_work_queue)                                                       \
    AL_STR(_getaddrinfo_debug)                                                \
    AL_STR(getaddrinfo)                                                       \
    AL_STR(getnameinfo)                                                       \
    AL_STR(host)                                                              \
    AL_STR(port)                                                              \
    AL_STR(family)                                                            \
    AL_STR(type)                                                              \
    AL_STR(proto)                                                             \
    AL_STR(flags)                                                             \
    AL_STR(sockaddr)                                                          \
    AL_STR(executor)                                                          \
    AL_STR(func)                                                              \
    AL_STR(run_in_executor)                                                   \
    AL_STR(submit)                                                            \
    AL_STR(enabled)                                                           \
    AL_STR(fd)                                                                \
    AL_STR(_ThreadSafeHandle)                                                 \
    AL_STR(address)                                                           \
    AL_STR(buf)                                                               \
    AL_STR(bufsize)                                                           \
    AL_STR(count)                                                             \
    AL_STR(fallback)                                                          \
    AL_STR(file)                                                              \
    AL_STR(gettimeout)                                                        \
    AL_STR(n)                                                                 \
    AL_STR(nbytes)                                                            \
    AL_STR(offset)                                                            \
    AL_STR(sock)                                                              \
    AL_STR(set_exception)                                                     \
    AL_STR(throw)                                                             \
    AL_STR(msg)                                                               \
    AL_STR(cancel)                                                            \
    AL_STR(call_soon)                                                         \
    AL_STR(_is_debug_mode)                                                    \
    AL_STR(_asyncio_future_blocking)                                          \
    AL_STR(_asyncgen_finalizer_hook)                                          \
    AL_STR(_asyncgen_firstiter_hook)                                          \
    AL_STR(_check_callback)                                                   \
    AL_STR(_iterating)                                                        \
    AL_STR(_pending_removals)                                                 \
    AL_STR(_check_thread)                                                     \
    AL_STR(_forget_signal_handlers)                                           \
    AL_STR(_handle_signal)                                                    \
    AL_STR(_log_destroy_pending)                                              \
    AL_STR(_repr_info)                                                        \
    AL_STR(_run)                                                              \
    AL_STR(_set_coroutine_origin_tracking)                                    \
    AL_STR(__repr__)                                                          \
    AL_STR(__eq__)                                                            \
    AL_STR(__ge__)                                                            \
    AL_STR(__gt__)                                                            \
    AL_STR(__le__)                                                            \
    AL_STR(__lt__)                                                            \
    AL_STR(Task)                                                              \
    AL_STR(add_done_callback)                                                 \
    AL_STR(call_exception_handler)                                            \
    AL_STR(call_soon_threadsafe)                                              \
    AL_STR(callback)                                                          \
    AL_STR(cancelled)                                                         \
    AL_STR(close)                                                             \
    AL_STR(context)                                                           \
    AL_STR(create_task)                                                       \
    AL_STR(delay)                                                             \
    AL_STR(done)                                                              \
    AL_STR(exception)                                                         \
    AL_STR(fileno)                                                            \
    AL_STR(get_debug)                                                         \
    AL_STR(handle)                                                            \
    AL_STR(ident)                                                             \
    AL_STR(is_closing)                                                        \
    AL_STR(loop)                                                              \
    AL_STR(message)                                                           \
    AL_STR(name)                                                              \
    AL_STR(remove_done_callback)                                              \
    AL_STR(result)                                                            \
    AL_STR(run)                                                               \
    AL_STR(run_forever)                                                       \
    AL_STR(shutdown)                                                          \
    AL_STR(source_traceback)                                                  \
    AL_STR(time)                                                              \
    AL_STR(wait)                                                              \
    AL_STR(_attach)                                                           \
    AL_STR(_detach)                                                           \
    AL_STR(buffer_updated)                                                    \
    AL_STR(connection_lost)                                                   \
    AL_STR(connection_made)                                                   \
    AL_STR(data_received)                                                     \
    AL_STR(debug)                                                             \
    AL_STR(eof_received)                                                      \
    AL_STR(error_received)                                                    \
    AL_STR(datagram_received)                                                 \
    AL_STR(get_buffer)                                                        \
    AL_STR(getsockname)                                                       \
    AL_STR(getpeername)                                                       \
    AL_STR(pause_writing)                                                     \
    AL_STR(resume_writing)                                                    \
    AL_STR(peername)                                                          \
    AL_STR(protocol)                                                          \
    AL_STR(sockname)                                                          \
    AL_STR(socket)                                                            \
    AL_STR(pipe)                                                              \
    AL_STR(transport)                                                         \
    AL_STR(warning)                                                           \
    AL_STR(addr)                                                              \
    AL_STR(detach)                                                            \
    AL_STR(getsockopt)                                                        \
    AL_STR(info)                                                              \
    AL_STR(__class__)                                                         \
    AL_STR(_asyncloop)                                                        \
    AL_STR(_buffer)                                                           \
    AL_STR(_client_connected_cb)                                              \
    AL_STR(_connection_lost)                                                  \
    AL_STR(_eof)                                                              \
    AL_STR(_exception)                                                        \
    AL_STR(_limit)                                                            \
    AL_STR(_loop)                                                             \
    AL_STR(_paused)                                                           \
    AL_STR(_protocol)                                                         \
    AL_STR(_reader)                                                           \
    AL_STR(_stream_reader_wr)                                                 \
    AL_STR(_transport)                                                        \
    AL_STR(_waiter)                                                           \
    AL_STR(extend)                                                            \
    AL_STR(pause_reading)                                                     \
    AL_STR(resume_reading)                                                    \
    AL_STR(stderr)                                                            \
    AL_STR(stdin)                                                             \
    AL_STR(stdout)                                                            \
    AL_STR(separator)                                                         \
    AL_STR(write)                                                             \
    AL_STR(writelines)                                                        \
    AL_STR(_start_next)                                                       \
    AL_STR(_start_reading)                                                    \
    AL_STR(_call_connection_lost)                                             \
    AL_STR(set_result)                                                        \
    AL_STR(create_future)                                                     \
    AL_STR(data)                                                              \
    AL_STR(list_of_data)                                                      \
    AL_STR(_when_idle)                                                        \
    AL_STR(when)                                                              \
    AL_STR(pipe_connection_lost)                                              \
    AL_STR(pipe_data_received)                                                \
    AL_STR(process_exited)                                                    \
    AL_STR(returncode)                                                        \
    AL_STR(signal)                                                            \
    AL_STR(_sslobj)                                                           \
    AL_STR(read)                                                              \
    AL_STR(unwrap)                                                            \
    AL_STR(do_handshake)                                                      \
    AL_STR(wrap_bio)                                                          \
    AL_STR(server_side)                                                       \
    AL_STR(server_hostname)                                                   \
    AL_STR(pending)                                                           \
    AL_STR(call_later)                                                        \
    AL_STR(_force_close)                                                      \
    AL_STR(_check_handshake_timeout)                                          \
    AL_STR(_check_shutdown_timeout)                                           \
    AL_STR(abort)                                                             \
    AL_STR(_do_read)                                                          \
    AL_STR(_read_on)                                                          \
    AL_STR(peercert)                                                          \
    AL_STR(getpeercert)                                                       \
    AL_STR(cipher)                                                            \
    AL_STR(compression)                                                       \
    AL_STR(sslcontext)                                                        \
    AL_STR(ssl_object)                                                        \
    AL_STR(get_extra_info)                                                    \
    AL_STR(_continue_handshakes)                                              \
    AL_STR(subprocess)

/* A kind of socket in an answer of getaddrinfo. */
typedef struct {
    int type;
    int proto;
} al_socket_kind;

#define AL_SOCKET_KINDS 4

/* asyncio's classes of streams that are watched for replaced methods. */
#define AL_STREAM_CLASSES 4

/* How layers above transports find out about them; transports/inlet.h. */
struct al_state;
struct al_inlet;
struct al_outlet_ops;
typedef int (*al_inlet_finder)(struct al_state *st, PyObject *transport,
                               PyObject *protocol, struct al_inlet *inlet);

#define AL_INLET_FINDERS 4
#define AL_OUTLET_TYPES 4

typedef struct {
    PyTypeObject *type; /* borrowed: a field of the state has it */
    const struct al_outlet_ops *ops;
} al_outlet_entry;

/* Memory of operations (futures/op.h) that are over, for the next ones. */
typedef struct {
    void *first;
    unsigned len;
} al_op_free_list;

struct al_state {
    PyObject *module; /* borrowed: the module of this state */
    PyTypeObject *handle_type;
    PyTypeObject *timer_handle_type;
    PyTypeObject *loop_core_type; /* the C type */
    PyObject *loop_class; /* asyncloop.Loop: the C type joined to asyncio's */
    PyObject *loop_time;  /* Loop.time as found at import; shows overrides */
    PyObject *aio_ThreadSafeHandle; /* from 3.14 on, else NULL */
    PyObject *policy_class;         /* made at the first look-up, or NULL */
    PyObject *kw_loop;              /* ("loop",) */
    PyObject *kw_wait;              /* ("wait",) */
    PyObject *kw_msg;               /* ("msg",) */
    PyObject *kw_context;           /* ("context",) */
    PyObject *kw_wrap_bio;          /* ("server_side", "server_hostname") */
    PyObject *loop_call_soon;       /* and of these three, likewise */
    PyObject *loop_call_soon_threadsafe;
    PyObject *loop_get_debug;
    PyObject *connect_parts; /* dict: name -> method of Loop found at import,
                              * of those that create_connection calls */
    bool direct_contexts;    /* contexts are as py/context.h says */

    PyTypeObject *socket_transport_type;
    PyTypeObject *read_pipe_type;
    PyTypeObject *write_pipe_type;
    PyTypeObject *datagram_type;
    al_inlet_finder inlet_finders[AL_INLET_FINDERS];
    al_outlet_entry outlets[AL_OUTLET_TYPES];
    PyTypeObject *process_type;
    PyTypeObject *pipe_end_type;
    PyTypeObject *listener_type;
    PyObject *server_class; /* asyncloop.Server, set by _server.py */
    PyTypeObject *connector_type;

    /* Streams. */
    PyTypeObject *reader_class; /* what an adopted StreamReader is, */
    PyTypeObject *writer_class; /* and an adopted StreamWriter */
    PyTypeObject *reader_state_type;
    PyTypeObject *writer_state_type;
    PyTypeObject *stream_link_type;
    PyTypeObject *stream_op_type;
    al_op_free_list free_stream_ops;
    PyObject
        *reader_parts; /* dict: name -> method of asyncio's StreamReader */
    PyObject *writer_parts; /* found at import; and so of the others */
    PyObject *stream_protocol_parts;
    PyObject *process_protocol_parts;
    unsigned stream_tags[AL_STREAM_CLASSES]; /* versions last looked at */

    /* TLS; looked up when it is first used. */
    PyTypeObject *tls_transport_type;
    PyTypeObject *ssl_socket_type; /* _ssl._SSLSocket */
    PyObject *ssl_module;          /* NULL until then */
    PyObject *ssl_MemoryBIO;
    PyObject *ssl_SSLError;
    PyObject *ssl_SSLWantReadError;
    PyObject *ssl_SSLSyscallError;
    PyObject *ssl_CertificateError;
    bool tls_is_native;      /* libssl can be called directly */
    bool tls_pump_is_forced; /* and shall not, as a test wants */

    /* Executors. */
    PyTypeObject *work_queue_type;
    PyTypeObject *work_item_type;
    PyObject *pool_class;  /* asyncloop.ThreadPoolExecutor, once needed */
    PyObject *pool_submit; /* its submit as it should be; None: was replaced */

    /* Names. */
    PyTypeObject *lookup_type;
    al_op_free_list free_lookups;
    PyObject *look_up_function;    /* of executors/addrinfo.c */
    PyObject *genuine_getaddrinfo; /* the socket module's own; NULL: it was */
    PyObject *genuine_getnameinfo; /* replaced before we were imported */
    al_socket_kind any_kinds[AL_SOCKET_KINDS]; /* listed when none is asked */
    size_t any_kinds_len;
    bool any_kinds_asked;

    /* Tasks; futures/ fills this in. */
    PyTypeObject *wake_type;
    PyTypeObject *task_step_type; /* of the callback of a stock task's step */
    PyCFunction task_wakeup;      /* a stock task's wake-up from a future */
    bool native_tasks;            /* the layout was checked and is right */
    PyObject *future_set_exception; /* Future.set_exception */
    PyObject *coro_throw;           /* types.CoroutineType.throw */
    PyObject *awaited_by_add; /* asyncio.future_add_to_awaited_by, 3.14 */
    PyObject *awaited_by_discard;
    PyObject *current_tasks; /* up to 3.13: dict, loop -> task */
    PyObject *all_tasks;     /* up to 3.13: set of weak references */
    Py_ssize_t sweep_at;     /* size at which `all_tasks` is swept */
    void *free_wakes;        /* free list of WakeObjects */
    unsigned free_wakes_len;

    /* Operations on sockets; sockets/. */
    PyTypeObject *sock_op_type;
    PyObject *op_try_again;  /* a function: the callback of a queued one */
    PyObject *socket_family; /* attributes of the C type under socket.socket */
    PyObject *socket_type;
    PyObject *socket_proto;
    PyCFunction socket_fileno;
    al_op_free_list free_sock_ops;

    PyObject *kept_stop; /* a StopIteration, for futures/op_coro.c; or NULL */
    uint64_t native_steps;
    uint64_t tasks_named;
#define AL_NAME(field, module, attribute) PyObject *field;
    AL_STDLIB_NAMES(AL_NAME)
#undef AL_NAME
#define AL_STR(name) PyObject *str_##name;
    AL_STRINGS(AL_STR)
#undef AL_STR
#if AL_DEBUG
    al_ledger ledger;
#endif
};

/* The state of a module of ours, or of a type that it defines. */
struct al_state *al_state_of_module(PyObject *module);
struct al_state *al_state_of_type(PyTypeObject *defining_class);

/* Call `visit` on the address of each strong reference. */
typedef int (*al_state_visitor)(PyObject **slot, void *arg);
int al_state_visit(struct al_state *st, al_state_visitor visit, void *arg);

#endif
