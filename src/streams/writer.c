/* writer.c - see writer.h. */

#include "streams/writer.h"

#include "py/args.h"
#include "streams/stream_op.h"
#include "transports/inlet.h"

/* --- where it writes to --------------------------------------------------- */

/* An attribute of the writer: new reference, or NULL with an exception. */
static PyObject *
get_part(PyObject *writer, PyObject *name)
{
    PyObject *dict = al_instance_dict_borrow(writer);
    PyObject *part = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);

    if (part != NULL) {
        return Py_NewRef(part);
    }
    return PyErr_Occurred() ? NULL : PyObject_GetAttr(writer, name);
}

/* May it be called in C? An attribute of the transport itself may stand
 * before its method. */
static inline const al_outlet_ops *
outlet_of(struct al_state *st, PyObject *transport)
{
    const al_outlet_ops *outlet = al_outlet_of(st, transport);

    if (outlet != NULL) {
        PyObject *dict = al_instance_dict_borrow(transport);
        if (dict != NULL && PyDict_GET_SIZE(dict) > 0) {
            return NULL;
        }
    }
    return outlet;
}

PyObject *
al_writer_py_write(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    PyObject *data = al_args_one("write", st->str_data, args, nargs, kwnames);
    PyObject *transport =
        data == NULL ? NULL : get_part(op, st->str__transport);
    PyObject *result = NULL;

    if (transport == NULL) {
        return NULL;
    }
    const al_outlet_ops *outlet = outlet_of(st, transport);
    if (outlet != NULL) {
        result =
            outlet->write(transport, data) < 0 ? NULL : Py_NewRef(Py_None);
    }
    else {
        result = PyObject_CallMethodOneArg(transport, st->str_write, data);
        if (result != NULL) {
            Py_SETREF(result, Py_NewRef(Py_None));
        }
    }
    Py_DECREF(transport);
    return result;
}

PyObject *
al_writer_py_writelines(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames)
{
    struct al_state *st = al_state_of_type(Py_TYPE(op));
    PyObject *data =
        al_args_one("writelines", st->str_data, args, nargs, kwnames);
    PyObject *transport =
        data == NULL ? NULL : get_part(op, st->str__transport);

    if (transport == NULL) {
        return NULL;
    }
    PyObject *result =
        PyObject_CallMethodOneArg(transport, st->str_writelines, data);
    Py_DECREF(transport);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    Py_RETURN_NONE;
}

/* self._transport.<name>() */
static PyObject *
pass_on(PyObject *op, struct al_state *st, PyObject *name)
{
    PyObject *transport = get_part(op, st->str__transport);

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
    struct al_state *st = al_state_of_type(Py_TYPE(op));

    return pass_on(op, st, st->str_is_closing);
}

PyObject *
al_writer_py_close(PyObject *op, PyObject *unused)
{
    (void)unused;
    struct al_state *st = al_state_of_type(Py_TYPE(op));

    return pass_on(op, st, st->str_close);
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
has_no_exception(struct al_state *st, PyObject *dict)
{
    PyObject *reader = PyDict_GetItemWithError(dict, st->str__reader);

    if (reader == NULL || reader == Py_None) {
        PyErr_Clear();
        return reader != NULL;
    }
    if (!Py_IS_TYPE(reader, st->reader_class)) {
        return false;
    }
    const ReaderState *state = al_reader_plain_state(st, reader);
    return state != NULL && state->exception == NULL;
}

/* Is the protocol one of asyncio's, not paused, and its connection there? */
static bool
may_go_on(struct al_state *st, PyObject *dict)
{
    PyObject *protocol = PyDict_GetItemWithError(dict, st->str__protocol);

    if (protocol == NULL ||
        (!Py_IS_TYPE(protocol, (PyTypeObject *)st->aio_StreamReaderProtocol) &&
         !Py_IS_TYPE(protocol,
                     (PyTypeObject *)st->aio_SubprocessStreamProtocol))) {
        PyErr_Clear();
        return false;
    }
    PyObject *state = al_instance_dict_borrow(protocol);
    return state != NULL && is_item(state, st->str__paused, Py_False) &&
           is_item(state, st->str__connection_lost, Py_False);
}

static al_op_outcome
drain_begin(OpObject *op)
{
    StreamOpObject *self = (StreamOpObject *)op;
    struct al_state *st = op->loop->st;
    PyObject *dict = al_instance_dict_borrow(self->owner);
    PyObject *transport =
        dict == NULL ? NULL
                     : PyDict_GetItemWithError(dict, st->str__transport);

    if (transport == NULL) {
        PyErr_Clear();
        return AL_OP_BORROW;
    }
    const al_outlet_ops *outlet = outlet_of(st, transport);
    if (outlet == NULL || outlet->is_closing(transport) ||
        !has_no_exception(st, dict) || !may_go_on(st, dict)) {
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
    PyObject *none[AL_OP_ARGS] = {NULL};
    PyObject *loop = get_part(op, st->str__loop);
    PyObject *coro;

    if (loop == NULL) {
        return NULL;
    }
    if (PyObject_TypeCheck(loop, st->loop_core_type)) {
        coro =
            al_stream_op_new(&drain_kind, (LoopObject *)loop, op, NULL, none);
    }
    else {
        coro = PyObject_CallMethod(st->aio_StreamWriter, "drain", "O", op);
    }
    Py_DECREF(loop);
    return coro;
}
