/* reader.c - what an adopted reader knows, and how it is fed. See reader.h. */

#include "streams/reader.h"

#include "futures/waiter.h"
#include "py/args.h"
#include "streams/attributes.h"
#include "streams/stock.h"

/* --- finding it ----------------------------------------------------------- */

ReaderState *
al_reader_state_of(struct al_state *st, PyObject *reader)
{
    return (ReaderState *)al_attribute_state(st, reader,
                                             st->reader_state_type);
}

bool
al_reader_is_plain(ReaderState *self, PyObject *reader)
{
    PyObject *dict = al_instance_dict_borrow(reader);

    if (dict != NULL && PyDict_GET_SIZE(dict) != self->attributes) {
        self->attributes = PyDict_GET_SIZE(dict);
        self->hidden = al_stock_is_hidden(self->st, AL_STOCK_READER, dict);
    }
    return !self->hidden && !self->odd_limit;
}

ReaderState *
al_reader_plain_state(struct al_state *st, PyObject *reader)
{
    ReaderState *self = al_reader_state_of(st, reader);

    return self != NULL && al_reader_is_plain(self, reader) ? self : NULL;
}

PyObject *
al_reader_call_stock(struct al_state *st, PyObject *reader, const char *name,
                     PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    return al_stock_call(st, AL_STOCK_READER, reader, name, args, nargs,
                         kwnames);
}

/* --- being fed ------------------------------------------------------------ */

/* method(): its result's truth, or -1 with an exception set. */
static int
ask(PyObject *object, PyObject *name)
{
    PyObject *answer = PyObject_CallMethodNoArgs(object, name);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    return truth;
}

/* if not waiter.cancelled(): waiter.set_result(None). 0, or -1. */
static int
wake_foreign(const ReaderState *self, PyObject *waiter)
{
    int cancelled = ask(waiter, self->st->str_cancelled);

    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    PyObject *result =
        PyObject_CallMethodOneArg(waiter, self->st->str_set_result, Py_None);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* _wakeup_waiter(). 0, or -1 with an exception set. */
static int
reader_wake(ReaderState *self)
{
    PyObject *waiter = self->waiter;
    int rc;

    if (waiter == NULL) {
        return 0;
    }
    self->waiter = NULL;
    int pending = Py_IS_TYPE(waiter, (PyTypeObject *)self->st->aio_Future)
                      ? al_waiter_is_pending(self->loop, waiter)
                      : 0;
    if (pending != 0) {
        rc = pending < 0 ? -1 : al_waiter_wake(self->loop, waiter);
    }
    else {
        rc = wake_foreign(self, waiter);
    }
    Py_DECREF(waiter);
    return rc;
}

/* There is more than twice the limit. 0, or -1 with an exception set. */
static int
reader_pause(ReaderState *self)
{
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *result =
        PyObject_CallMethodNoArgs(transport, self->st->str_pause_reading);

    Py_DECREF(transport);
    if (result != NULL) {
        Py_DECREF(result);
        self->paused = true;
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
        return -1;
    }
    PyErr_Clear();
    Py_CLEAR(self->transport); /* it cannot; never ask it again */
    return 0;
}

/* Something was added. 0, or -1 with an exception set. */
static int
reader_fed(ReaderState *self)
{
    if (reader_wake(self) < 0) {
        return -1;
    }
    if (al_content_len(&self->content) > 2 * self->limit &&
        self->transport != NULL && !self->paused) {
        return reader_pause(self);
    }
    return 0;
}

/* 0, or -1 with AssertionError set. */
static int
check_fed_in_time(const ReaderState *self)
{
    if (!self->eof) {
        return 0;
    }
    PyErr_SetString(PyExc_AssertionError, "feed_data after feed_eof");
    return -1;
}

int
al_reader_feed(ReaderState *self, const char *data, Py_ssize_t count)
{
    if (check_fed_in_time(self) < 0 ||
        al_content_add(&self->content, data, count) < 0) {
        return -1;
    }
    return reader_fed(self);
}

int
al_reader_feed_bytes(ReaderState *self, PyObject *bytes)
{
    if (check_fed_in_time(self) < 0) {
        return -1;
    }
    if (PyBytes_GET_SIZE(bytes) == 0) {
        return 0;
    }
    if (al_content_add_bytes(&self->content, bytes) < 0) {
        return -1;
    }
    return reader_fed(self);
}

int
al_reader_resume(ReaderState *self)
{
    if (!self->paused) {
        return 0;
    }
    self->paused = false;
    PyObject *transport =
        Py_NewRef(self->transport == NULL ? Py_None : self->transport);
    PyObject *result =
        PyObject_CallMethodNoArgs(transport, self->st->str_resume_reading);
    Py_DECREF(transport);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
al_reader_maybe_resume(ReaderState *self)
{
    return self->paused && al_content_len(&self->content) <= self->limit
               ? al_reader_resume(self)
               : 0;
}

/* --- methods -------------------------------------------------------------- */

/* self._buffer.extend(data), of what is not bytes. 0, or -1. */
static int
extend_by(ReaderState *self, PyObject *data)
{
    if (al_content_settle(&self->content) < 0) {
        return -1;
    }
    PyObject *array = Py_NewRef(self->content.array);
    PyObject *result =
        PyObject_CallMethodOneArg(array, self->st->str_extend, data);
    Py_DECREF(array);
    Py_XDECREF(result);
    return result == NULL ? -1 : reader_fed(self);
}

PyObject *
al_reader_py_feed_data(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    ReaderState *self = al_reader_plain_state(st, op);
    int rc = -1;

    if (self == NULL) {
        return al_reader_call_stock(st, op, "feed_data", args, nargs, kwnames);
    }
    PyObject *data =
        al_args_one("feed_data", st->str_data, args, nargs, kwnames);
    if (data == NULL) {
        return NULL;
    }
    Py_INCREF(self);
    if (PyBytes_CheckExact(data)) {
        rc = al_reader_feed_bytes(self, data);
    }
    else if (PyByteArray_CheckExact(data) && data != self->content.array &&
             PyByteArray_GET_SIZE(data) > 0) {
        rc = al_reader_feed(self, PyByteArray_AS_STRING(data),
                            PyByteArray_GET_SIZE(data));
    }
    else if (check_fed_in_time(self) == 0) {
        rc = PyObject_IsTrue(data);
        if (rc > 0) {
            rc = extend_by(self, data);
        }
    }
    Py_DECREF(self);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_reader_py_at_eof(PyObject *op, PyObject *unused)
{
    (void)unused;
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    const ReaderState *self = al_reader_plain_state(st, op);

    if (self == NULL) {
        return al_reader_call_stock(st, op, "at_eof", NULL, 0, NULL);
    }
    return PyBool_FromLong(self->eof && al_content_len(&self->content) == 0);
}

/* --- the state ------------------------------------------------------------ */

/* The attribute of an unadopted reader: borrowed; None for NULL and -1, with
 * an exception set or not, if it is not there. */
static int
read_slot(PyObject *dict, PyObject *name, PyObject **value)
{
    *value = PyDict_GetItemWithError(dict, name);
    if (*value == NULL) {
        return -1;
    }
    if (*value == Py_None) {
        *value = NULL;
    }
    return 0;
}

bool
al_reader_take_limit(ReaderState *self, PyObject *value)
{
    int overflow = 0;
    long long limit = value != NULL && PyLong_CheckExact(value)
                          ? PyLong_AsLongLongAndOverflow(value, &overflow)
                          : -1;

    if (overflow > 0 || limit > PY_SSIZE_T_MAX / 2) {
        limit = PY_SSIZE_T_MAX / 2;
    }
    if (limit <= 0) {
        return false;
    }
    self->limit = (Py_ssize_t)limit;
    Py_XSETREF(self->limit_seen, Py_NewRef(value));
    return true;
}

/* 1, 0 if the reader is not as asyncio makes it, or -1 with an exception. */
static int
fill_in(ReaderState *self, PyObject *dict)
{
    struct al_state *st = self->st;
    PyObject *loop, *buffer, *limit, *eof, *waiter, *error, *transport,
        *paused;

    if (read_slot(dict, st->str__loop, &loop) < 0 ||
        read_slot(dict, st->str__buffer, &buffer) < 0 ||
        read_slot(dict, st->str__limit, &limit) < 0 ||
        read_slot(dict, st->str__eof, &eof) < 0 ||
        read_slot(dict, st->str__waiter, &waiter) < 0 ||
        read_slot(dict, st->str__exception, &error) < 0 ||
        read_slot(dict, st->str__transport, &transport) < 0 ||
        read_slot(dict, st->str__paused, &paused) < 0) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (loop == NULL || !PyObject_TypeCheck(loop, st->loop_core_type) ||
        buffer == NULL || !PyByteArray_CheckExact(buffer) || limit == NULL ||
        !al_reader_take_limit(self, limit) ||
        (eof != Py_True && eof != Py_False) ||
        (paused != Py_True && paused != Py_False) ||
        al_stock_is_hidden(st, AL_STOCK_READER, dict)) {
        return 0;
    }
    self->loop = (LoopObject *)Py_NewRef(loop);
    self->content.array = Py_NewRef(buffer);
    self->waiter = Py_XNewRef(waiter);
    self->exception = Py_XNewRef(error);
    self->transport = Py_XNewRef(transport);
    self->eof = eof == Py_True;
    self->paused = paused == Py_True;
    return 1;
}

ReaderState *
al_reader_state_new(struct al_state *st, PyObject *dict)
{
    PyTypeObject *type = st->reader_state_type;
    ReaderState *self = (ReaderState *)type->tp_alloc(type, 0);

    if (self == NULL) {
        return NULL;
    }
    AL_LEDGER_MADE(st, reader);
    self->st = st;
    if (fill_in(self, dict) <= 0) {
        Py_CLEAR(self);
    }
    return self;
}

static int
state_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    ReaderState *self = (ReaderState *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->content.array);
    Py_VISIT(self->content.chunk);
    Py_VISIT(self->waiter);
    Py_VISIT(self->exception);
    Py_VISIT(self->transport);
    Py_VISIT(self->limit_seen);
    return 0;
}

/* The bytearray and the limit stay: methods rely on them. */
static int
state_tp_clear(PyObject *op)
{
    ReaderState *self = (ReaderState *)op;

    Py_CLEAR(self->content.chunk);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->transport);
    return 0;
}

static void
state_tp_dealloc(PyObject *op)
{
    PyTypeObject *tp = Py_TYPE(op);
    ReaderState *self = (ReaderState *)op;

    PyObject_GC_UnTrack(op);
    (void)state_tp_clear(op);
    Py_CLEAR(self->content.array);
    Py_CLEAR(self->limit_seen);
    Py_CLEAR(self->loop);
    if (self->st != NULL) {
        AL_LEDGER_FREED(self->st, reader);
    }
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyType_Slot state_slots[] = {
    {Py_tp_traverse, state_tp_traverse},
    {Py_tp_clear, state_tp_clear},
    {Py_tp_dealloc, state_tp_dealloc},
    {Py_tp_doc, "What an adopted StreamReader knows."},
    {0, NULL},
};

static PyType_Spec state_spec = {
    .name = "asyncloop._core.ReaderState",
    .basicsize = sizeof(ReaderState),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = state_slots,
};

int
al_reader_setup(PyObject *module, struct al_state *st)
{
    st->reader_state_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &state_spec, NULL);
    return st->reader_state_type == NULL ? -1 : 0;
}
