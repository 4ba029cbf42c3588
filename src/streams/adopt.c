/* adopt.c - see adopt.h.
 *
 * Ownership: a transport's inlet owns the link, which owns the protocol and a
 * weak reference to the reader, as the protocol itself does.
 */

#include "streams/adopt.h"

#include "streams/reader_calls.h"
#include "streams/stock.h"
#include "streams/writer.h"
#include "transports/transport.h"

/* Somebody else than drain() may ask for the exception; a reader whose writer
 * has not been found after so many calls is not drained. */
#define SEEK_MAX 8

/* --- readers and writers -------------------------------------------------- */

/* Set its class. True, or false without an exception. */
static bool
swap_class(struct al_state *st, PyObject *object, PyTypeObject *type)
{
    if (PyObject_SetAttr(object, st->str___class__, (PyObject *)type) == 0) {
        return true;
    }
    PyErr_Clear();
    return false;
}

/* Let the object have this state, which is stolen, instead of those attributes
 * and its class. True, or false, with an exception set or not. */
static bool
adopt_steal(struct al_state *st, PyObject *object, PyObject *state,
            PyTypeObject *type, PyObject *const *names, size_t count)
{
    PyObject *dict = al_instance_dict_borrow(object);
    int rc = PyDict_SetItem(dict, st->str__asyncloop, state);

    Py_DECREF(state);
    if (rc < 0) {
        return false;
    }
    if (!swap_class(st, object, type)) {
        (void)PyDict_DelItem(dict, st->str__asyncloop);
        return false;
    }
    dict = al_instance_dict_borrow(object); /* a new class, maybe a new dict */
    for (size_t i = 0; i < count; i++) {
        if (PyDict_DelItem(dict, names[i]) < 0) {
            PyErr_Clear(); /* a descriptor stands before it anyhow */
        }
    }
    return true;
}

ReaderState *
al_adopt_reader(struct al_state *st, PyObject *reader)
{
    if (Py_IS_TYPE(reader, st->reader_class)) {
        return al_reader_plain_state(st, reader);
    }
    if (!Py_IS_TYPE(reader, (PyTypeObject *)st->aio_StreamReader) ||
        !al_stock_is_whole(st, AL_STOCK_READER)) {
        return NULL;
    }
    PyObject *names[] = {
        st->str__buffer,    st->str__limit,     st->str__waiter,
        st->str__exception, st->str__transport, st->str__eof,
        st->str__paused,
    };
    PyObject *dict = al_instance_dict_borrow(reader);
    ReaderState *state = dict == NULL ? NULL : al_reader_state_new(st, dict);
    if (state == NULL ||
        !adopt_steal(st, reader, (PyObject *)state, st->reader_class, names,
                     Py_ARRAY_LENGTH(names))) {
        return NULL;
    }
    state->attributes = PyDict_GET_SIZE(al_instance_dict_borrow(reader));
    return state;
}

void
al_adopt_writer(struct al_state *st, PyObject *writer)
{
    if (!Py_IS_TYPE(writer, (PyTypeObject *)st->aio_StreamWriter) ||
        !al_stock_is_whole(st, AL_STOCK_WRITER)) {
        return;
    }
    PyObject *names[] = {
        st->str__transport,
        st->str__protocol,
        st->str__reader,
    };
    PyObject *dict = al_instance_dict_borrow(writer);
    if (dict == NULL || al_stock_is_hidden(st, AL_STOCK_WRITER, dict)) {
        return;
    }
    WriterState *state = al_writer_state_new(st, dict);
    if (state != NULL) {
        (void)adopt_steal(st, writer, (PyObject *)state, st->writer_class,
                          names, Py_ARRAY_LENGTH(names));
    }
    PyErr_Clear(); /* it stays asyncio's, then */
}

PyObject *
al_adopt_py_writer(PyObject *module, PyObject *writer)
{
    al_adopt_writer(al_state_of_module(module), writer);
    Py_RETURN_NONE;
}

PyObject *
al_adopt_py_reader(PyObject *module, PyObject *reader)
{
    bool is_ours = al_adopt_reader(al_state_of_module(module), reader) != NULL;

    return PyErr_Occurred() ? NULL : PyBool_FromLong(is_ours);
}

/* If drain() of a writer of asyncio's is what calls us, adopt it. */
static void
seek_writer(struct al_state *st, PyObject *reader)
{
    PyFrameObject *frame = PyEval_GetFrame();
    PyObject *drain = PyDict_GetItemString(st->writer_parts, "drain");

    if (frame == NULL || drain == NULL) {
        return;
    }
    PyCodeObject *code = PyFrame_GetCode(frame);
    bool is_drain = (PyObject *)code == PyFunction_GET_CODE(drain);
    Py_DECREF(code);
    PyObject *writer = is_drain ? al_frame_local(frame, "self") : NULL;
    if (writer == NULL) {
        PyErr_Clear();
        return;
    }
    PyObject *dict = al_instance_dict_borrow(writer);
    if (dict != NULL &&
        PyDict_GetItemWithError(dict, st->str__reader) == reader) {
        al_adopt_writer(st, writer);
    }
    PyErr_Clear();
    Py_DECREF(writer);
}

PyObject *
al_adopt_py_exception(PyObject *op, PyObject *unused)
{
    (void)unused;
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    ReaderState *self = al_reader_state_of(st, op);

    if (self == NULL) {
        return al_reader_call_stock(st, op, "exception", NULL, 0, NULL);
    }
    if (self->writers_sought < SEEK_MAX) {
        self->writers_sought++;
        seek_writer(st, op);
    }
    return Py_NewRef(self->exception == NULL ? Py_None : self->exception);
}

/* --- the link between a transport and a reader ---------------------------- */

typedef struct {
    PyObject_HEAD
    struct al_state *st;   /* borrowed: the type keeps the module */
    PyObject *protocol;    /* strong */
    PyObject *reader;      /* strong: the protocol's weak reference to it */
    ReaderState *state;    /* strong: the reader's */
    Py_ssize_t attributes; /* how many the protocol had when last seen */
    bool hidden;           /* one of them stands before a method */
} LinkObject;

/* Does asyncio's code, if it were called, do nothing but feed this reader? New
 * reference to it, or NULL. */
static PyObject *
link_reader(LinkObject *self)
{
    struct al_state *st = self->st;
    PyObject *dict = self->protocol == NULL
                         ? NULL
                         : al_instance_dict_borrow(self->protocol);

    if (dict == NULL || !al_stock_is_whole(st, AL_STOCK_PROTOCOL) ||
        !al_stock_is_whole(st, AL_STOCK_READER) ||
        PyDict_GetItemWithError(dict, st->str__stream_reader_wr) !=
            self->reader) {
        PyErr_Clear();
        return NULL;
    }
    if (PyDict_GET_SIZE(dict) != self->attributes) {
        self->attributes = PyDict_GET_SIZE(dict);
        self->hidden = al_stock_is_hidden(st, AL_STOCK_PROTOCOL, dict);
    }
    PyObject *reader = self->hidden ? NULL : al_weakref_get(self->reader);
    if (reader != NULL && (!Py_IS_TYPE(reader, st->reader_class) ||
                           !al_reader_is_plain(self->state, reader))) {
        Py_CLEAR(reader);
    }
    return reader;
}

/* protocol.<name>(arg), in the transport's context where that is known. New
 * reference, or NULL with an exception set. */
static PyObject *
call_protocol(LinkObject *self, PyObject *op, PyObject *name, PyObject *arg)
{
    const struct al_state *st = self->st;

    if (Py_IS_TYPE(op, st->socket_transport_type) ||
        Py_IS_TYPE(op, st->read_pipe_type)) {
        return al_transport_call((al_transport *)op, name, arg);
    }
    return arg == NULL ? PyObject_CallMethodNoArgs(self->protocol, name)
                       : PyObject_CallMethodOneArg(self->protocol, name, arg);
}

static int
link_receive_bytes(PyObject *op, PyObject *transport, PyObject *bytes)
{
    LinkObject *self = (LinkObject *)op;
    PyObject *reader = link_reader(self);

    if (reader != NULL) {
        int rc = al_reader_feed_bytes(self->state, bytes);
        Py_DECREF(reader);
        return rc;
    }
    PyObject *result =
        call_protocol(self, transport, self->st->str_data_received, bytes);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
link_receive(PyObject *op, PyObject *transport, const char *data, size_t count)
{
    LinkObject *self = (LinkObject *)op;
    PyObject *reader = link_reader(self);

    if (reader != NULL) {
        int rc = al_reader_feed(self->state, data, (Py_ssize_t)count);
        Py_DECREF(reader);
        return rc;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)count);
    int rc = bytes == NULL ? -1 : link_receive_bytes(op, transport, bytes);
    Py_XDECREF(bytes);
    return rc;
}

static int
link_eof(PyObject *op, PyObject *transport)
{
    LinkObject *self = (LinkObject *)op;
    PyObject *result =
        call_protocol(self, transport, self->st->str_eof_received, NULL);
    int keep_open = result == NULL ? -1 : PyObject_IsTrue(result);

    Py_XDECREF(result);
    return keep_open;
}

static const al_inlet_ops link_ops = {
    .receive = link_receive,
    .receive_bytes = link_receive_bytes,
    .eof = link_eof,
};

static int
link_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    LinkObject *self = (LinkObject *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->protocol);
    Py_VISIT(self->reader);
    Py_VISIT(self->state);
    return 0;
}

static int
link_tp_clear(PyObject *op)
{
    LinkObject *self = (LinkObject *)op;

    Py_CLEAR(self->protocol);
    Py_CLEAR(self->reader);
    Py_CLEAR(self->state);
    return 0;
}

static void
link_tp_dealloc(PyObject *op)
{
    PyTypeObject *tp = Py_TYPE(op);

    PyObject_GC_UnTrack(op);
    (void)link_tp_clear(op);
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyType_Slot link_slots[] = {
    {Py_tp_traverse, link_tp_traverse},
    {Py_tp_clear, link_tp_clear},
    {Py_tp_dealloc, link_tp_dealloc},
    {Py_tp_doc, "What feeds a StreamReader."},
    {0, NULL},
};

static PyType_Spec link_spec = {
    .name = "asyncloop._core.StreamLink",
    .basicsize = sizeof(LinkObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = link_slots,
};

/* --- finding streams ------------------------------------------------------ */

/* What stands in a server's protocol for the callback, once: `self` is the
 * module and the callback. Adopts the writer. */
static PyObject *
connected(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct al_state *st = al_state_of_module(PyTuple_GET_ITEM(self, 0));
    PyObject *callback = PyTuple_GET_ITEM(self, 1);

    if (nargs == 2) {
        al_adopt_writer(st, args[1]);
    }
    return PyObject_Vectorcall(callback, args, (size_t)nargs, NULL);
}

static PyMethodDef connected_def = {
    "client_connected_cb", _PyCFunction_CAST(connected), METH_FASTCALL, NULL};

/* Put `connected` before the callback of a server's protocol. 0, or -1 with an
 * exception set. */
static int
wrap_callback(struct al_state *st, PyObject *dict)
{
    PyObject *callback =
        PyDict_GetItemWithError(dict, st->str__client_connected_cb);

    if (callback == NULL || callback == Py_None) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (PyCFunction_Check(callback) &&
        PyCFunction_GET_FUNCTION(callback) == connected_def.ml_meth) {
        return 0;
    }
    PyObject *self = PyTuple_Pack(2, st->module, callback);
    PyObject *wrapper =
        self == NULL ? NULL : PyCFunction_New(&connected_def, self);
    int rc = wrapper == NULL
                 ? -1
                 : PyDict_SetItem(dict, st->str__client_connected_cb, wrapper);
    Py_XDECREF(wrapper);
    Py_XDECREF(self);
    return rc;
}

/* The reader of a protocol with these attributes, if it is plain: new
 * reference, or NULL, with an exception set or not. */
static PyObject *
plain_reader(struct al_state *st, PyObject *dict, PyObject **weak)
{
    *weak = PyDict_GetItemWithError(dict, st->str__stream_reader_wr);
    if (*weak == NULL || !PyWeakref_CheckRefExact(*weak) ||
        al_stock_is_hidden(st, AL_STOCK_PROTOCOL, dict)) {
        return NULL;
    }
    return al_weakref_get(*weak);
}

static int
find_stream(struct al_state *st, PyObject *transport, PyObject *protocol,
            al_inlet *inlet)
{
    PyObject *weak;

    (void)transport;
    if (!Py_IS_TYPE(protocol, (PyTypeObject *)st->aio_StreamReaderProtocol) ||
        !al_stock_is_whole(st, AL_STOCK_PROTOCOL)) {
        return 0;
    }
    PyObject *dict = al_instance_dict_borrow(protocol);
    PyObject *reader = dict == NULL ? NULL : plain_reader(st, dict, &weak);
    if (reader == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    ReaderState *state =
        (ReaderState *)Py_XNewRef((PyObject *)al_adopt_reader(st, reader));
    Py_DECREF(reader);
    if (state == NULL || wrap_callback(st, dict) < 0) {
        Py_XDECREF((PyObject *)state);
        return PyErr_Occurred() ? -1 : 0;
    }
    PyTypeObject *type = st->stream_link_type;
    LinkObject *self = (LinkObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF((PyObject *)state);
        return -1;
    }
    self->st = st;
    self->state = state; /* the link's */
    self->protocol = Py_NewRef(protocol);
    self->reader = Py_NewRef(weak);
    self->attributes = PyDict_GET_SIZE(dict);
    inlet->ops = &link_ops;
    inlet->target = (PyObject *)self;
    return 1;
}

/* --- set-up --------------------------------------------------------------- */

static PyMethodDef reader_methods[] = {
    AL_READER_METHODS,
    AL_READ_METHODS,
    {"exception", al_adopt_py_exception, METH_NOARGS,
     "exception($self, /)\n--\n\nThe exception that reading ended with."},
    {NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_methods, reader_methods},
    {Py_tp_getset, al_reader_getset},
    {0, NULL},
};

/* Objects are given these classes and keep their memory, so nothing may be
 * added to it; and they are called like asyncio's. */
static PyType_Spec reader_spec = {
    .name = "asyncio.streams.StreamReader",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = reader_slots,
};

static PyMethodDef writer_methods[] = {
    AL_WRITER_METHODS,
    {NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, al_writer_getset},
    {0, NULL},
};

static PyType_Spec writer_spec = {
    .name = "asyncio.streams.StreamWriter",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = writer_slots,
};

int
al_streams_setup(PyObject *module, struct al_state *st)
{
    if (al_stock_setup(st) < 0 || al_reader_setup(module, st) < 0 ||
        al_writer_setup(module, st) < 0 ||
        al_stream_op_setup(module, st) < 0) {
        return -1;
    }
    st->reader_class = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &reader_spec, st->aio_StreamReader);
    st->writer_class = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &writer_spec, st->aio_StreamWriter);
    st->stream_link_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &link_spec, NULL);
    if (st->reader_class == NULL || st->writer_class == NULL ||
        st->stream_link_type == NULL) {
        return -1;
    }
    return al_inlet_register(st, find_stream);
}
