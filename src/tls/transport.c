/* transport.c - making a connection, and its Python type.
 *
 * The attributes are those that programs read of asyncio's
 * _SSLProtocolTransport and of its SSLProtocol.
 *
 * Threads: the loop's.
 */

#include "tls/transport.h"

#include "loop/sched.h"
#include "py/asyncio.h"
#include "tls/engine.h"
#include "tls/face.h"
#include "transports/transport.h"

/* --- making --------------------------------------------------------------------------- */

/* A timeout as given, or asyncio's default. 0, or -1. */
static int
take_timeout(const char *name, PyObject *given, PyObject *fallback,
             PyObject **timeout)
{
    PyObject *zero = PyLong_FromLong(0);
    PyObject *value = given == NULL || given == Py_None ? fallback : given;
    int positive =
        zero == NULL ? -1 : PyObject_RichCompareBool(value, zero, Py_GT);

    Py_XDECREF(zero);
    if (positive == 0) {
        PyErr_Format(PyExc_ValueError,
                     "%s should be a positive number, got %S", name, given);
    }
    if (positive <= 0) {
        return -1;
    }
    *timeout = Py_NewRef(value);
    return 0;
}

/* The context that is given, or asyncio's for a client that gave none. */
static PyObject *
take_context(const al_tls_options *options, PyObject *server_hostname)
{
    int given = PyObject_IsTrue(options->sslcontext);

    if (given != 0) {
        return given < 0 ? NULL : Py_NewRef(options->sslcontext);
    }
    PyObject *make =
        al_import_attribute("asyncio.sslproto", "_create_transport_context");
    PyObject *made = make == NULL
                         ? NULL
                         : PyObject_CallFunctionObjArgs(
                               make, options->server_side ? Py_True : Py_False,
                               server_hostname, NULL);
    Py_XDECREF(make);
    return made;
}

/* The name to ask the server for: a client's, and no empty one. Borrowed. */
static PyObject *
take_hostname(const al_tls_options *options)
{
    PyObject *name = options->server_hostname;
    int given =
        name == NULL || options->server_side ? 0 : PyObject_IsTrue(name);

    return given < 0 ? NULL : given ? name : Py_None;
}

/* Fill in a new object. 0, or -1. */
static int
tls_init(al_tls *self, LoopObject *loop, PyObject *protocol,
         const al_tls_options *options)
{
    struct al_state *st = loop->st;
    bool failed;

    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    self->flush.owner = (PyObject *)self;
    self->flush.send = al_tls_on_flush;
    al_outqueue_init(&self->backlog);
    self->engine = &al_tls_pump_engine;
    self->high_water = AL_TLS_WRITE_HIGH;
    self->low_water = AL_TLS_WRITE_HIGH / 4;
    self->read_high_water = AL_TLS_READ_HIGH;
    self->read_low_water = AL_TLS_READ_HIGH / 4;
    self->server_side = options->server_side;
    self->accepted = options->accepted;
    self->app_state =
        options->call_connection_made ? AL_APP_INIT : AL_APP_MADE;
    if (take_timeout("ssl_handshake_timeout", options->handshake_timeout,
                     st->aio_handshake_timeout,
                     &self->handshake_timeout) < 0 ||
        take_timeout("ssl_shutdown_timeout", options->shutdown_timeout,
                     st->aio_shutdown_timeout, &self->shutdown_timeout) < 0) {
        return -1;
    }
    PyObject *hostname = take_hostname(options);
    if (hostname == NULL) {
        return -1;
    }
    self->sslcontext = take_context(options, hostname);
    self->context = al_sched_copy_context(&failed);
    if (self->sslcontext == NULL || failed ||
        al_tls_set_protocol(self, protocol) < 0) {
        return -1;
    }
    if (options->waiter != NULL && options->waiter != Py_None) {
        self->waiter = Py_NewRef(options->waiter);
    }
    return al_tls_open(self, hostname);
}

al_tls *
al_tls_new(LoopObject *loop, PyObject *protocol, const al_tls_options *options)
{
    struct al_state *st = loop->st;

    if (al_tls_prepare(st) < 0) {
        return NULL;
    }
    PyTypeObject *type = st->tls_transport_type;
    al_tls *self = (al_tls *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    AL_LEDGER_MADE(st, tls);
    if (tls_init(self, loop, protocol, options) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

PyObject *
al_tls_py_make(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"protocol",
                            "sslcontext",
                            "waiter",
                            "server_side",
                            "server_hostname",
                            "ssl_handshake_timeout",
                            "ssl_shutdown_timeout",
                            "call_connection_made",
                            NULL};
    LoopObject *loop = (LoopObject *)op;
    al_tls_options options = {.call_connection_made = true};
    PyObject *protocol;
    int server_side = 0, call_connection_made = 1;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OO|OpOOOp:_make_tls", names, &protocol,
            &options.sslcontext, &options.waiter, &server_side,
            &options.server_hostname, &options.handshake_timeout,
            &options.shutdown_timeout, &call_connection_made) ||
        al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    options.server_side = server_side;
    options.call_connection_made = call_connection_made;
    return (PyObject *)al_tls_new(loop, protocol, &options);
}

PyObject *
al_tls_py_force_pump(PyObject *module, PyObject *flag)
{
    int truth = PyObject_IsTrue(flag);

    if (truth < 0) {
        return NULL;
    }
    al_state_of_module(module)->tls_pump_is_forced = truth;
    Py_RETURN_NONE;
}

/* --- attributes ------------------------------------------------------------------------ */

static PyObject *
object_or_none(PyObject *object)
{
    return Py_NewRef(object == NULL ? Py_None : object);
}

static PyObject *
tls_get_true(PyObject *op, void *closure)
{
    (void)op;
    (void)closure;
    Py_RETURN_TRUE;
}

static PyObject *
tls_get_sendfile_compatible(PyObject *op, void *closure)
{
    (void)closure;
    return Py_NewRef(((al_tls *)op)->st->aio_fallback);
}

static PyObject *
tls_get_protocol_paused(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((al_tls *)op)->writing_stopped);
}

static PyObject *
tls_get_closed(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((al_tls *)op)->closed);
}

static PyObject *
tls_get_reading_paused(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((al_tls *)op)->app_paused);
}

static PyObject *
tls_get_self(PyObject *op, void *closure)
{
    (void)closure;
    return Py_NewRef(op);
}

static PyObject *
tls_get_engine(PyObject *op, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((al_tls *)op)->ssl != NULL ? "native"
                                                            : "pump");
}

/* The object at an offset, or None. */
static PyObject *
tls_get_object(PyObject *op, void *closure)
{
    return object_or_none(*(PyObject **)((char *)op + (intptr_t)closure));
}

#define OBJECT_AT(name, field)                                                \
    {                                                                         \
        name, tls_get_object, NULL, NULL, (void *)offsetof(al_tls, field)     \
    }

static PyGetSetDef tls_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"_start_tls_compatible", tls_get_true, NULL, NULL, NULL},
    {"_sendfile_compatible", tls_get_sendfile_compatible, NULL, NULL, NULL},
    {"_protocol_paused", tls_get_protocol_paused, NULL, NULL, NULL},
    {"_app_reading_paused", tls_get_reading_paused, NULL, NULL, NULL},
    {"_closed", tls_get_closed, NULL, NULL, NULL},
    {"_ssl_protocol", tls_get_self, NULL, NULL, NULL},
    {"_app_transport", tls_get_self, NULL, NULL, NULL},
    {"_engine", tls_get_engine, NULL, NULL, NULL},
    OBJECT_AT("_loop", loop),
    OBJECT_AT("_transport", raw),
    OBJECT_AT("_app_protocol", protocol),
    OBJECT_AT("_sslobj", sslobj),
    OBJECT_AT("_sslcontext", sslcontext),
    {NULL},
};

static PyMemberDef tls_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(al_tls, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(al_tls, weakrefs), READONLY,
     NULL},
    {NULL},
};

/* --- life ------------------------------------------------------------------------------- */

static int
tls_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    al_tls *self = (al_tls *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->dict);
    Py_VISIT(self->loop);
    Py_VISIT(self->raw);
    Py_VISIT(self->protocol);
    Py_VISIT(self->inlet.target);
    Py_VISIT(self->context);
    Py_VISIT(self->waiter);
    Py_VISIT(self->sslcontext);
    Py_VISIT(self->sslobj);
    Py_VISIT(self->handshake_timeout);
    Py_VISIT(self->shutdown_timeout);
    Py_VISIT(self->handshake_timer);
    Py_VISIT(self->shutdown_timer);
    Py_VISIT(self->incoming);
    Py_VISIT(self->outgoing);
    Py_VISIT(self->target);
    return 0;
}

static int
tls_tp_clear(PyObject *op)
{
    al_tls *self = (al_tls *)op;

    self->state = AL_TLS_UNWRAPPED;
    self->closed = true;
    self->established = false;
    self->outlet = NULL;
    al_inlet_clear(&self->inlet);
    al_tls_close_engine(self);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->raw);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->context);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->sslcontext);
    Py_CLEAR(self->sslobj);
    Py_CLEAR(self->handshake_timeout);
    Py_CLEAR(self->shutdown_timeout);
    Py_CLEAR(self->handshake_timer);
    Py_CLEAR(self->shutdown_timer);
    Py_CLEAR(self->incoming);
    Py_CLEAR(self->outgoing);
    Py_CLEAR(self->loop);
    return 0;
}

static void
tls_tp_finalize(PyObject *op)
{
    al_tls *self = (al_tls *)op;

    if (self->closed || self->raw == NULL) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    self->closed = true;
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

static void
tls_tp_dealloc(PyObject *op)
{
    al_tls *self = (al_tls *)op;
    PyTypeObject *tp = Py_TYPE(op);

    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return; /* somebody wants it again */
    }
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    if (self->loop != NULL) {
        al_outqueue_clear(&self->backlog);
    }
    (void)tls_tp_clear(op);
    AL_LEDGER_FREED(self->st, tls);
    tp->tp_free(op);
    Py_DECREF(tp);
}

/* --- the type ---------------------------------------------------------------------------- */

static PyType_Slot tls_slots[] = {
    {Py_tp_traverse, tls_tp_traverse},
    {Py_tp_clear, tls_tp_clear},
    {Py_tp_finalize, tls_tp_finalize},
    {Py_tp_dealloc, tls_tp_dealloc},
    {Py_tp_members, tls_members},
    {Py_tp_methods, al_tls_methods},
    {Py_tp_getset, tls_getset},
    {Py_tp_doc, "The transport of a TLS connection."},
    {0, NULL},
};

static PyType_Spec tls_spec = {
    .name = "asyncloop._core.SSLTransport",
    .basicsize = sizeof(al_tls),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = tls_slots,
};

int
al_tls_setup(PyObject *module, struct al_state *st)
{
    st->tls_transport_type = al_transport_make_type(
        module, &tls_spec, st->aio_FlowControl, offsetof(al_tls, dict));
    if (st->tls_transport_type == NULL ||
        al_inlet_register(st, al_tls_find_inlet) < 0) {
        return -1;
    }
    return al_outlet_register(st, st->tls_transport_type, &al_tls_outlet);
}
