/* writer.c - see writer.h. */

#include "streams/writer.h"

#include "py/args.h"
#include "streams/attributes.h"
#include "streams/stock.h"
#include "streams/stream_op.h"

/* The state of an adopted writer, borrowed; NULL, without an exception, if
 * somebody took it away. */
static WriterState *
writer_state(struct al_state *st, PyObject *writer)
{
    return (WriterState *)al_attribute_state(st, writer,
                                             st->writer_state_type);
}

/* asyncio's method of this name. New reference, or NULL with an exception. */
static PyObject *
call_stock(struct al_state *st, PyObject *writer, const char *name,
           PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return al_stock_call(st, AL_STOCK_WRITER, writer, name, args, nargs,
                         kwnames);
}

/* --- writing -------------------------------------------------------------- */

/* May the transport be called in C? An attribute of its own may stand before
 * its method. */
static inline bool
has_outlet(const WriterState *self)
{
    if (self->outlet == NULL) {
        return false;
    }
    PyObject *dict = al_instance_dict_borrow(self->transport);
    return dict == NULL || PyDict_GET_SIZE(dict) == 0;
}

/* transport.<name>(data), whose result is dropped. None, or NULL. */
static PyObject *
call_transport(PyObject *transport, PyObject *name, PyObject *data)
{
    PyObject *result = PyObject_CallMethodOneArg(transport, name, data);

    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    Py_RETURN_NONE;
}

PyObject *
al_writer_py_write(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    const WriterState *self = writer_state(st, op);

    if (self == NULL) {
        return call_stock(st, op, "write", args, nargs, kwnames);
    }
    PyObject *data = al_args_one("write", st->str_data, args, nargs, kwnames);
    if (data == NULL) {
        return NULL;
    }
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *result;
    if (has_outlet(self)) {
        result = self->outlet->write(transport, data) < 0 ? NULL
                                                          : Py_NewRef(Py_None);
    }
    else {
        result = call_transport(transport, st->str_write, data);
    }
    Py_DECREF(transport);
    return result;
}

PyObject *
al_writer_py_writelines(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames)
{
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    const WriterState *self = writer_state(st, op);

    if (self == NULL) {
        return call_stock(st, op, "writelines", args, nargs, kwnames);
    }
    PyObject *data =
        al_args_one("writelines", st->str_data, args, nargs, kwnames);
    if (data == NULL) {
        return NULL;
    }
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *result = call_transport(transport, st->str_writelines, data);
    Py_DECREF(transport);
    return result;
}

/* self._transport.<name>() */
static PyObject *
pass_on(PyObject *op, PyObject *name)
{
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    PyObject *transport = PyObject_GetAttr(op, st->str__transport);

    if (transport == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallMethodNoArgs(transport, name);
    Py_DECREF(transport);
    return result;
}

PyObject *
al_writer_py_is_closing(PyObject *op, PyObject *unused)
{
    (void)unused;
    return pass_on(op, al_state_of_type(Py_TYPE(op))->str_is_closing);
}

PyObject *
al_writer_py_close(PyObject *op, PyObject *unused)
{
    (void)unused;
    return pass_on(op, al_state_of_type(Py_TYPE(op))->str_close);
}

/* --- drain ---------------------------------------------------------------- */

/* Is this attribute of the instance there, and what is said? */
static inline bool
is_item(PyObject *dict, PyObject *name, PyObject *value)
{
    PyObject *item = PyDict_GetItemWithError(dict, name);

    if (item == NULL) {
        PyErr_Clear();
    }
    return item == value;
}

/* Can we tell that the reader has no exception? */
static bool
has_no_exception(const WriterState *self)
{
    return self->reader == Py_None ||
           (self->reader_state != NULL &&
            self->reader_state->exception == NULL &&
            al_reader_is_plain(self->reader_state, self->reader));
}

/* Is the protocol one of asyncio's, not paused, and its connection there? */
static bool
may_go_on(const WriterState *self)
{
    const struct al_state *st = self->st;
    PyTypeObject *type = Py_TYPE(self->protocol);

    if ((PyObject *)type != st->aio_StreamReaderProtocol &&
        (PyObject *)type != st->aio_SubprocessStreamProtocol) {
        return false;
    }
    PyObject *dict = al_instance_dict_borrow(self->protocol);
    return dict != NULL && is_item(dict, st->str__paused, Py_False) &&
           is_item(dict, st->str__connection_lost, Py_False);
}

static al_op_outcome
drain_begin(OpObject *op)
{
    const WriterState *self = ((StreamOpObject *)op)->writer;

    if (!has_outlet(self) || self->outlet->is_closing(self->transport) ||
        !has_no_exception(self) || !may_go_on(self)) {
        return AL_OP_BORROW;
    }
    return al_op_done_steal(op, Py_NewRef(Py_None));
}

static const al_op_kind drain_kind = {
    .family = &al_writer_family,
    .name = "drain",
    .owner = "StreamWriter",
    .begin = drain_begin,
};

PyObject *
al_writer_py_drain(PyObject *op, PyObject *unused)
{
    (void)unused;
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    WriterState *state = writer_state(st, op);

    if (state == NULL) {
        return call_stock(st, op, "drain", NULL, 0, NULL);
    }
    StreamOpObject *self =
        al_stream_op_new(&drain_kind, state->loop, op, NULL);
    if (self != NULL) {
        self->writer = (WriterState *)Py_NewRef((PyObject *)state);
    }
    return (PyObject *)self;
}

/* --- attributes ----------------------------------------------------------- */

static void
set_transport(WriterState *self, PyObject *value)
{
    self->outlet = al_outlet_of(self->st, value);
    Py_XSETREF(self->transport, Py_NewRef(value));
}

static void
set_protocol(WriterState *self, PyObject *value)
{
    Py_XSETREF(self->protocol, Py_NewRef(value));
}

static void
set_reader(WriterState *self, PyObject *value)
{
    ReaderState *state = Py_IS_TYPE(value, self->st->reader_class)
                             ? al_reader_state_of(self->st, value)
                             : NULL;

    Py_XINCREF(state);
    Py_XSETREF(self->reader_state, state);
    Py_XSETREF(self->reader, Py_NewRef(value));
}

typedef struct {
    const char *name;
    size_t offset; /* in WriterState */
    void (*set)(WriterState *self, PyObject *value);
} attribute;

static const attribute attributes[] = {
    {"_transport", offsetof(WriterState, transport), set_transport},
    {"_protocol", offsetof(WriterState, protocol), set_protocol},
    {"_reader", offsetof(WriterState, reader), set_reader},
};

static PyObject *
get_attribute(PyObject *op, void *closure)
{
    const attribute *what = closure;
    WriterState *self = writer_state(al_state_of_type(Py_TYPE(op)), op);

    return self == NULL
               ? al_attribute_get(op, what->name)
               : Py_NewRef(*(PyObject **)((char *)self + what->offset));
}

static int
set_attribute(PyObject *op, PyObject *value, void *closure)
{
    const attribute *what = closure;
    WriterState *self = writer_state(al_state_of_type(Py_TYPE(op)), op);

    if (self == NULL) {
        return al_attribute_set(op, what->name, value);
    }
    if (al_attribute_check(what->name, value) < 0) {
        return -1;
    }
    Py_INCREF(self);
    what->set(self, value);
    Py_DECREF(self);
    return 0;
}

#define ATTRIBUTE(name, i)                                                    \
    {                                                                         \
        name, get_attribute, set_attribute, NULL, (void *)&attributes[i]      \
    }

PyGetSetDef al_writer_getset[] = {
    ATTRIBUTE("_transport", 0),
    ATTRIBUTE("_protocol", 1),
    ATTRIBUTE("_reader", 2),
    {"transport", get_attribute, NULL, NULL, (void *)&attributes[0]},
    {NULL},
};

/* --- the state ------------------------------------------------------------ */

WriterState *
al_writer_state_new(struct al_state *st, PyObject *dict)
{
    PyTypeObject *type = st->writer_state_type;
    PyObject *loop = PyDict_GetItemWithError(dict, st->str__loop);
    PyObject *values[Py_ARRAY_LENGTH(attributes)];

    if (loop == NULL || !PyObject_TypeCheck(loop, st->loop_core_type)) {
        return NULL;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(attributes); i++) {
        values[i] = PyDict_GetItemString(dict, attributes[i].name);
        if (values[i] == NULL) {
            return NULL;
        }
    }
    WriterState *self = (WriterState *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    AL_LEDGER_MADE(st, writer);
    self->st = st;
    self->loop = (LoopObject *)Py_NewRef(loop);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(attributes); i++) {
        attributes[i].set(self, values[i]);
    }
    return self;
}

static int
state_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    WriterState *self = (WriterState *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->transport);
    Py_VISIT(self->protocol);
    Py_VISIT(self->reader);
    Py_VISIT(self->reader_state);
    return 0;
}

static int
state_tp_clear(PyObject *op)
{
    WriterState *self = (WriterState *)op;

    set_transport(self, Py_None);
    set_protocol(self, Py_None);
    set_reader(self, Py_None);
    return 0;
}

static void
state_tp_dealloc(PyObject *op)
{
    PyTypeObject *tp = Py_TYPE(op);
    WriterState *self = (WriterState *)op;

    PyObject_GC_UnTrack(op);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->reader);
    Py_CLEAR(self->reader_state);
    Py_CLEAR(self->loop);
    if (self->st != NULL) {
        AL_LEDGER_FREED(self->st, writer);
    }
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyType_Slot state_slots[] = {
    {Py_tp_traverse, state_tp_traverse},
    {Py_tp_clear, state_tp_clear},
    {Py_tp_dealloc, state_tp_dealloc},
    {Py_tp_doc, "What an adopted StreamWriter knows."},
    {0, NULL},
};

static PyType_Spec state_spec = {
    .name = "asyncloop._core.WriterState",
    .basicsize = sizeof(WriterState),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = state_slots,
};

int
al_writer_setup(PyObject *module, struct al_state *st)
{
    st->writer_state_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &state_spec, NULL);
    return st->writer_state_type == NULL ? -1 : 0;
}
