/* loop_type.c - the Python type: tables, attributes, life and death.
 *
 * The C type stands on object; asyncloop.Loop is made at import by
 * type("Loop", (C type, ColdMethods, AbstractEventLoop), {}), because a C
 * type that chained to AbstractEventLoop's own slots would crash.
 *
 * Ownership: what a queued handle holds counts as the loop's, for the
 * collector as well; see handles/handle.h.
 * Threads: the loop's; the finalizer may run on any.
 */

#include "api/loop_type.h"

#include "executors/executor.h"
#include "executors/resolve.h"
#include "futures/create.h"
#include "futures/native.h"
#include "loop/asyncgens.h"
#include "loop/lifecycle.h"
#include "loop/loop.h"
#include "loop/sched.h"
#include "metrics/snapshot.h"
#include "process/process.h"
#include "py/error.h"
#include "servers/connector.h"
#include "servers/listener.h"
#include "sockets/calls.h"
#include "sockets/reader.h"
#include "sockets/sendfile.h"
#include "tls/transport.h"
#include "transports/datagram.h"
#include "transports/pipe.h"
#include "transports/socket.h"
#include "watch/signal.h"
#include "watch/watch.h"

#define DEFAULT_SLOW_CALLBACK 0.1

/* --- attributes ----------------------------------------------------------- */

static PyObject *
loop_get_ready(PyObject *op, void *closure)
{
    (void)closure;
    al_ring *ready = &((LoopObject *)op)->ready;
    PyObject *list = PyList_New(0);

    for (size_t at = ready->head; list != NULL && at < ready->tail; at++) {
        if (PyList_Append(list, al_ring_peek(ready, at)) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *
loop_get_scheduled(PyObject *op, void *closure)
{
    (void)closure;
    al_heap *timers = &((LoopObject *)op)->timers;
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list != NULL && i < timers->len; i++) {
        PyObject *timer =
            (PyObject *)al_timer_of_node(timers->entries[i].node);
        if (PyList_Append(list, timer) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *
loop_get_thread_id(PyObject *op, void *closure)
{
    (void)closure;
    unsigned long ident = ((LoopObject *)op)->thread_id;
    if (ident == 0) {
        Py_RETURN_NONE;
    }
    return PyLong_FromUnsignedLong(ident);
}

static PyObject *
loop_get_closed(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((LoopObject *)op)->closed);
}

static PyObject *
loop_get_stopping(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((LoopObject *)op)->stopping);
}

/* The truth of an attribute that is being set; -1 with an exception set. */
static int
flag_of(PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot be deleted");
        return -1;
    }
    return PyObject_IsTrue(value);
}

static int
loop_set_stopping(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    int truth = flag_of(value);
    if (truth < 0) {
        return -1;
    }
    ((LoopObject *)op)->stopping = truth;
    return 0;
}

static PyObject *
loop_get_debug(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((LoopObject *)op)->debug);
}

static int
loop_set_debug(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    int truth = flag_of(value);
    if (truth < 0) {
        return -1;
    }
    al_life_set_debug_flag((LoopObject *)op, truth);
    return 0;
}

/* `*slot`, made by calling `factory` when it is first asked for. */
static PyObject *
get_or_make(PyObject **slot, PyObject *factory)
{
    if (*slot == NULL) {
        *slot = PyObject_CallNoArgs(factory);
    }
    return Py_XNewRef(*slot);
}

static PyObject *
loop_get_asyncgens(PyObject *op, void *closure)
{
    (void)closure;
    return Py_XNewRef(al_asyncgens_borrow((LoopObject *)op));
}

static PyObject *
loop_get_transports(PyObject *op, void *closure)
{
    (void)closure;
    LoopObject *self = (LoopObject *)op;
    return get_or_make(&self->transports, self->st->WeakValueDictionary);
}

static PyObject *
loop_get_signal_handlers(PyObject *op, void *closure)
{
    (void)closure;
    LoopObject *self = (LoopObject *)op;
    return get_or_make(&self->signal_handlers, (PyObject *)&PyDict_Type);
}

static PyObject *
loop_get_unix_server_sockets(PyObject *op, void *closure)
{
    (void)closure;
    LoopObject *self = (LoopObject *)op;
    return get_or_make(&self->unix_server_sockets, (PyObject *)&PyDict_Type);
}

static PyGetSetDef loop_getset[] = {
    {"_ready", loop_get_ready, NULL,
     "The callbacks that wait to be run: a copy.", NULL},
    {"_scheduled", loop_get_scheduled, NULL,
     "The timers that wait to be due: a copy.", NULL},
    {"_thread_id", loop_get_thread_id, NULL, NULL, NULL},
    {"_closed", loop_get_closed, NULL, NULL, NULL},
    {"_stopping", loop_get_stopping, loop_set_stopping, NULL, NULL},
    {"_debug", loop_get_debug, loop_set_debug, NULL, NULL},
    {"_asyncgens", loop_get_asyncgens, NULL, NULL, NULL},
    {"_transports", loop_get_transports, NULL, NULL, NULL},
    {"_signal_handlers", loop_get_signal_handlers, NULL, NULL, NULL},
    {"_unix_server_sockets", loop_get_unix_server_sockets, NULL, NULL, NULL},
    {NULL},
};

#define FIELD(name, type, field)                                              \
    {                                                                         \
        name, type, offsetof(LoopObject, field), 0, NULL                      \
    }

static PyMemberDef loop_members[] = {
    FIELD("slow_callback_duration", T_DOUBLE, slow_callback_duration),
    FIELD("_clock_resolution", T_DOUBLE, clock_resolution),
    FIELD("_current_handle", T_OBJECT, current_handle),
    FIELD("_exception_handler", T_OBJECT, exception_handler),
    FIELD("_task_factory", T_OBJECT, task_factory),
    FIELD("_default_executor", T_OBJECT, default_executor),
    FIELD("_resolver", T_OBJECT, resolver),
    FIELD("_executor_shutdown_called", T_BOOL, executor_shutdown_called),
    FIELD("_asyncgens_shutdown_called", T_BOOL, asyncgens_shutdown_called),
    FIELD("_coroutine_origin_tracking_enabled", T_BOOL,
          origin_tracking_enabled),
    FIELD("_coroutine_origin_tracking_saved_depth", T_OBJECT,
          origin_tracking_saved_depth),
    {NULL},
};

/* One line for each, however many there are. */
/* clang-format off */
static PyMethodDef loop_methods[] = {
    AL_LIFE_LOOP_METHODS,
    AL_ASYNCGENS_LOOP_METHODS,
    AL_SCHED_LOOP_METHODS,
    AL_CREATE_LOOP_METHODS,
    AL_EXECUTOR_LOOP_METHODS,
    AL_RESOLVE_LOOP_METHODS,
    AL_READER_LOOP_METHODS,
    AL_CALLS_LOOP_METHODS,
    AL_SENDFILE_LOOP_METHODS,
    AL_SOCKET_LOOP_METHODS,
    AL_TLS_LOOP_METHODS,
    AL_LISTENER_LOOP_METHODS,
    AL_CONNECTOR_LOOP_METHODS,
    AL_PIPE_LOOP_METHODS,
    AL_DATAGRAM_LOOP_METHODS,
    AL_PROCESS_LOOP_METHODS,
    AL_SIGNAL_LOOP_METHODS,
    AL_METRICS_LOOP_METHODS,
    {NULL},
};
/* clang-format on */

/* --- life and death -------------------------------------------------------- */

static int
ask_debug_mode(LoopObject *self)
{
    PyObject *answer = PyObject_CallMethodNoArgs(self->st->mod_coroutines,
                                                 self->st->str__is_debug_mode);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    if (truth < 0) {
        return -1;
    }
    al_life_set_debug_flag(self, truth);
    return 0;
}

/* 0, or -1 with TypeError set. */
static int
refuse_arguments(PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 ||
        (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Loop() takes no arguments");
        return -1;
    }
    return 0;
}

static int
loop_tp_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    (void)op;
    return refuse_arguments(args, kwargs);
}

static PyObject *
loop_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct al_state *st = al_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    /* A subclass may have an __init__ of its own that takes them. */
    if (type->tp_init == loop_tp_init && refuse_arguments(args, kwargs) < 0) {
        return NULL;
    }
    LoopObject *self = (LoopObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    AL_LEDGER_MADE(st, loop);
    self->st = st;
    self->closed = true; /* until it is whole: nothing to warn about */
    self->slow_callback_duration = DEFAULT_SLOW_CALLBACK;
    self->clock_resolution = 1e-9;
    al_watch_setup_loop(self);
    al_native_setup_loop(self);
    al_executor_setup_loop(self);
    if (al_loop_open(self) < 0 || ask_debug_mode(self) < 0 ||
        al_life_look_for_overrides(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->closed = false;
    return (PyObject *)self;
}

/* The attributes that C consults itself are noticed when they are set. */
static int
loop_tp_setattro(PyObject *op, PyObject *name, PyObject *value)
{
    LoopObject *self = (LoopObject *)op;
    struct al_state *st = self->st;

    if (PyObject_GenericSetAttr(op, name, value) < 0) {
        return -1;
    }
    if (!PyUnicode_Check(name)) {
        return 0;
    }
    bool is_set = value != NULL;
    if (PyUnicode_Compare(name, st->str_time) == 0) {
        self->time_on_instance = is_set;
    }
    else if (PyUnicode_Compare(name, st->str_call_soon) == 0 ||
             PyUnicode_Compare(name, st->str_get_debug) == 0) {
        self->short_cut_on_instance = is_set;
    }
    else if (PyUnicode_Compare(name, st->str_call_soon_threadsafe) == 0) {
        self->threadsafe_on_instance = is_set;
    }
    else {
        int is_part = PyDict_Contains(st->connect_parts, name);
        if (is_part <= 0) {
            return is_part;
        }
        /* For good: who takes it back gets what does the same, slower. */
        self->connect_on_instance = true;
    }
    return al_life_look_for_overrides(self);
}

/* Visit what the queues hold. A reader that is queued is visited by its
 * watch, once. */
static int
visit_queues(LoopObject *self, visitproc visit, void *arg)
{
    al_ring *ready = &self->ready;

    for (size_t at = ready->head; at != ready->tail; at++) {
        PyObject *entry = al_ring_peek(ready, at);
        HandleObject *handle = (HandleObject *)entry;
        int rc = 0;
        if (!PyObject_TypeCheck(entry, self->st->handle_type)) {
            rc = visit(entry, arg); /* a task */
        }
        else if (!(handle->flags & AL_HANDLE_PERSISTENT)) {
            rc = al_handle_visit(handle, visit, arg);
        }
        if (rc != 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < self->timers.len; i++) {
        TimerHandleObject *timer =
            al_timer_of_node(self->timers.entries[i].node);
        int rc = al_handle_visit(&timer->base, visit, arg);
        if (rc != 0) {
            return rc;
        }
    }
    return al_watch_visit(self, visit, arg);
}

static int
loop_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    LoopObject *self = (LoopObject *)op;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->empty_context);
    Py_VISIT(self->leaving);
    Py_VISIT(self->current_handle);
    Py_VISIT(self->exception_handler);
    Py_VISIT(self->task_factory);
    Py_VISIT(self->default_executor);
    Py_VISIT(self->resolver);
    Py_VISIT(self->handshakes);
    Py_VISIT(self->late_queue);
    Py_VISIT(self->asyncgens);
    Py_VISIT(self->asyncgen_on_death);
    Py_VISIT(self->transports);
    Py_VISIT(self->signal_handlers);
    Py_VISIT(self->unix_server_sockets);
    Py_VISIT(self->origin_tracking_saved_depth);
    return visit_queues(self, visit, arg);
}

static int
loop_tp_clear(PyObject *op)
{
    LoopObject *self = (LoopObject *)op;

    if (self->handles != NULL) {
        al_loop_drop_work(self);
    }
    Py_CLEAR(self->empty_context);
    Py_CLEAR(self->leaving);
    Py_CLEAR(self->current_handle);
    Py_CLEAR(self->exception_handler);
    Py_CLEAR(self->task_factory);
    Py_CLEAR(self->default_executor);
    Py_CLEAR(self->resolver);
    Py_CLEAR(self->handshakes);
    self->late_station = NULL;
    Py_CLEAR(self->late_queue);
    Py_CLEAR(self->asyncgens);
    Py_CLEAR(self->asyncgen_on_death);
    Py_CLEAR(self->transports);
    Py_CLEAR(self->signal_handlers);
    Py_CLEAR(self->unix_server_sockets);
    Py_CLEAR(self->origin_tracking_saved_depth);
    return 0;
}

/* asyncio's: an open loop is warned about and closed. */
static void
loop_tp_finalize(PyObject *op)
{
    LoopObject *self = (LoopObject *)op;

    if (self->closed) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    if (PyErr_ResourceWarning(op, 1, "unclosed event loop %R", op) < 0) {
        /* Warnings may be errors; a finalizer cannot raise. */
        PyErr_WriteUnraisable(op);
    }
    if (!self->running) {
        PyObject *result = PyObject_CallMethodNoArgs(op, self->st->str_close);
        if (result == NULL) {
            PyErr_WriteUnraisable(op);
        }
        Py_XDECREF(result);
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

static void
loop_tp_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    LoopObject *self = (LoopObject *)op;
    PyTypeObject *tp = Py_TYPE(op);

    if (self->handles != NULL) {
        al_loop_drop_work(self);
    }
    al_loop_close(self); /* a close() that was overridden may not have */
    (void)loop_tp_clear(op);
    al_ring_free(&self->ready);
    al_heap_free(&self->timers);
    if (self->handles != NULL) {
        al_handle_pool_abandon(self->handles);
    }
    AL_LEDGER_FREED(self->st, loop);
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyType_Slot loop_slots[] = {
    {Py_tp_new, loop_tp_new},
    {Py_tp_init, loop_tp_init},
    {Py_tp_setattro, loop_tp_setattro},
    {Py_tp_traverse, loop_tp_traverse},
    {Py_tp_clear, loop_tp_clear},
    {Py_tp_finalize, loop_tp_finalize},
    {Py_tp_dealloc, loop_tp_dealloc},
    {Py_tp_methods, loop_methods},
    {Py_tp_members, loop_members},
    {Py_tp_getset, loop_getset},
    {Py_tp_doc, "The C half of asyncloop.Loop."},
    {0, NULL},
};

static PyType_Spec loop_spec = {
    .name = "asyncloop._core.LoopCore",
    .basicsize = sizeof(LoopObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = loop_slots,
};

/* type("Loop", (LoopCore, ColdMethods, AbstractEventLoop), namespace) */
static PyObject *
join_with_asyncio(struct al_state *st)
{
    return PyObject_CallFunction((PyObject *)&PyType_Type, "s(OOO){s:s,s:s}",
                                 "Loop", st->loop_core_type, st->cold_methods,
                                 st->aio_AbstractEventLoop, "__module__",
                                 "asyncloop", "__doc__",
                                 "asyncio's event loop, in C over libuv.");
}

/* What asyncio's create_connection calls, and tests and libraries replace. A
 * loop on which one of these is not ours connects by asyncio's rules. */
static const char *const connect_parts[] = {
    "sock_connect",           "_connect_sock",
    "_ensure_resolved",       "_create_connection_transport",
    "_make_socket_transport", "create_future",
};

static PyObject *
find_connect_parts(PyObject *loop_class)
{
    PyObject *parts = PyDict_New();

    for (size_t i = 0; parts != NULL && i < Py_ARRAY_LENGTH(connect_parts);
         i++) {
        PyObject *method =
            PyObject_GetAttrString(loop_class, connect_parts[i]);
        if (method == NULL ||
            PyDict_SetItemString(parts, connect_parts[i], method) < 0) {
            Py_CLEAR(parts);
        }
        Py_XDECREF(method);
    }
    return parts;
}

int
al_loop_type_setup(PyObject *module, struct al_state *st)
{
    st->loop_core_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &loop_spec, NULL);
    if (st->loop_core_type == NULL) {
        return -1;
    }
    PyObject *loop_class = join_with_asyncio(st);
    if (loop_class == NULL) {
        return -1;
    }
    st->loop_time = PyObject_GetAttr(loop_class, st->str_time);
    st->loop_call_soon = PyObject_GetAttr(loop_class, st->str_call_soon);
    st->loop_call_soon_threadsafe =
        PyObject_GetAttr(loop_class, st->str_call_soon_threadsafe);
    st->loop_get_debug = PyObject_GetAttr(loop_class, st->str_get_debug);
    st->loop_class = loop_class;
    st->connect_parts = find_connect_parts(loop_class);
    if (st->connect_parts == NULL || st->loop_time == NULL ||
        st->loop_call_soon == NULL || st->loop_call_soon_threadsafe == NULL ||
        st->loop_get_debug == NULL) {
        return -1;
    }
    if (PyModule_AddType(module, st->loop_core_type) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Loop", loop_class);
}
