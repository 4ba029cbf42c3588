/* reader_calls.c - read and readexactly, and what all that read share. See
 * reader_calls.h. */

#include "streams/reader_calls.h"

#include <string.h>

/* --- what they share ------------------------------------------------------ */

int
al_read_check(const ReaderState *state)
{
    if (state->exception == NULL) {
        return 0;
    }
    PyObject *error = Py_NewRef(state->exception);
    if (PyExceptionInstance_Check(error)) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    }
    else if (PyExceptionClass_Check(error)) {
        PyErr_SetNone(error);
    }
    else {
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must derive from BaseException");
    }
    Py_DECREF(error);
    return -1;
}

al_op_outcome
al_read_wait(const ReaderState *state, const char *name)
{
    if (state->waiter == NULL) {
        return AL_OP_AGAIN;
    }
    PyErr_Format(PyExc_RuntimeError,
                 "%s() called while another coroutine is already waiting for "
                 "incoming data",
                 name);
    return AL_OP_FAILED;
}

al_op_outcome
al_read_take(StreamOpObject *self, Py_ssize_t count)
{
    ReaderState *state = self->state;
    PyObject *data = al_content_take(&state->content, count);

    if (data != NULL && al_reader_maybe_resume(state) < 0) {
        Py_CLEAR(data);
    }
    return al_op_done_steal(&self->op, data);
}

/* Empty bytes as the result. */
static al_op_outcome
nothing(StreamOpObject *self)
{
    return al_op_done_steal(&self->op, PyBytes_FromStringAndSize(NULL, 0));
}

/* The argument as a number: false if it is none that C can count with. */
static bool
take_number(StreamOpObject *self)
{
    PyObject *number = self->op.args[0];

    if (!PyLong_CheckExact(number)) {
        return false;
    }
    self->wanted = PyLong_AsSsize_t(number);
    if (self->wanted == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return true;
}

/* --- read ----------------------------------------------------------------- */

/* The end of read(): all blocks as one. */
static al_op_outcome
join_blocks(StreamOpObject *self)
{
    PyObject *blocks = self->blocks;
    Py_ssize_t count = PyList_GET_SIZE(blocks);
    Py_ssize_t total = 0;

    if (count == 1) {
        return al_op_done_steal(&self->op,
                                Py_NewRef(PyList_GET_ITEM(blocks, 0)));
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        total += PyBytes_GET_SIZE(PyList_GET_ITEM(blocks, i));
    }
    PyObject *joined = PyBytes_FromStringAndSize(NULL, total);
    char *end = joined == NULL ? NULL : PyBytes_AS_STRING(joined);
    for (Py_ssize_t i = 0; joined != NULL && i < count; i++) {
        PyObject *block = PyList_GET_ITEM(blocks, i);
        memcpy(end, PyBytes_AS_STRING(block), (size_t)PyBytes_GET_SIZE(block));
        end += PyBytes_GET_SIZE(block);
    }
    return al_op_done_steal(&self->op, joined);
}

/* Take a block of all there is; of what asyncio would take, when there is an
 * exception for the next. 1; 0: there was nothing; -1: an exception is set. */
static int
take_block(StreamOpObject *self)
{
    ReaderState *state = self->state;
    Py_ssize_t len = al_content_len(&state->content);

    if (state->exception != NULL && len > self->block_limit) {
        len = self->block_limit;
    }
    else if (state->paused && state->transport == NULL && len > state->limit) {
        /* Resuming is going to fail, and the rest stays. */
        len = (len - 1) / state->limit * state->limit;
    }
    PyObject *block = al_content_take(&state->content, len);
    int rc = block == NULL ? -1 : al_reader_maybe_resume(state);
    if (rc == 0 && len > 0) {
        rc = PyList_Append(self->blocks, block);
    }
    Py_XDECREF(block);
    return rc < 0 ? -1 : len > 0;
}

/* read(-1): asyncio's calls read(limit) until nothing comes. */
static al_op_outcome
read_all(StreamOpObject *self, bool has_waited)
{
    ReaderState *state = self->state;

    for (;;) {
        if (!has_waited) {
            if (al_read_check(state) < 0) {
                return AL_OP_FAILED;
            }
            self->block_limit = state->limit;
            if (al_content_len(&state->content) == 0 && !state->eof) {
                return al_read_wait(state, "read");
            }
        }
        has_waited = false;
        int taken = take_block(self);
        if (taken <= 0) {
            return taken < 0 ? AL_OP_FAILED : join_blocks(self);
        }
    }
}

static al_op_outcome
read_what_there_is(StreamOpObject *self)
{
    Py_ssize_t len = al_content_len(&self->state->content);

    return al_read_take(self, len < self->wanted ? len : self->wanted);
}

static al_op_outcome
read_begin(OpObject *op)
{
    StreamOpObject *self = stream_op(op);
    ReaderState *state = self->state;

    self->wanted = -1;
    if (!al_read_may_begin(self) ||
        (op->args[0] != NULL && !take_number(self))) {
        return AL_OP_BORROW;
    }
    if (al_read_check(state) < 0) {
        return AL_OP_FAILED;
    }
    if (self->wanted == 0) {
        return nothing(self);
    }
    if (self->wanted < 0) {
        self->blocks = PyList_New(0);
        return self->blocks == NULL ? AL_OP_FAILED : read_all(self, false);
    }
    return al_content_len(&state->content) == 0 && !state->eof
               ? al_read_wait(state, "read")
               : read_what_there_is(self);
}

static al_op_outcome
read_again(OpObject *op)
{
    StreamOpObject *self = stream_op(op);

    al_stream_op_stop_waiting(self);
    return self->blocks != NULL ? read_all(self, true)
                                : read_what_there_is(self);
}

/* --- readexactly ---------------------------------------------------------- */

al_op_outcome
al_read_incomplete(StreamOpObject *self, PyObject *expected)
{
    ReaderState *state = self->state;
    PyObject *type = state->st->IncompleteReadError;
    PyObject *partial =
        al_content_take(&state->content, al_content_len(&state->content));
    PyObject *error =
        partial == NULL
            ? NULL
            : PyObject_CallFunctionObjArgs(
                  type, partial, expected == NULL ? Py_None : expected, NULL);

    if (error != NULL) {
        PyErr_SetObject(type, error);
    }
    Py_XDECREF(error);
    Py_XDECREF(partial);
    return AL_OP_FAILED;
}

static al_op_outcome
take_exactly(StreamOpObject *self)
{
    const ReaderState *state = self->state;

    if (al_content_len(&state->content) >= self->wanted) {
        return al_read_take(self, self->wanted);
    }
    return state->eof ? al_read_incomplete(self, self->op.args[0])
                      : al_read_wait(state, "readexactly");
}

static al_op_outcome
readexactly_begin(OpObject *op)
{
    StreamOpObject *self = stream_op(op);

    if (!al_read_may_begin(self) || !take_number(self)) {
        return AL_OP_BORROW;
    }
    if (self->wanted < 0) {
        PyErr_SetString(PyExc_ValueError,
                        "readexactly size can not be less than zero");
        return AL_OP_FAILED;
    }
    if (al_read_check(self->state) < 0) {
        return AL_OP_FAILED;
    }
    return self->wanted == 0 ? nothing(self) : take_exactly(self);
}

static al_op_outcome
readexactly_again(OpObject *op)
{
    StreamOpObject *self = stream_op(op);

    al_stream_op_stop_waiting(self);
    return take_exactly(self);
}

/* --- the methods ---------------------------------------------------------- */

#define NAME(name) offsetof(struct al_state, str_##name)

static const al_op_kind read_kind = {
    .family = &al_reader_family,
    .name = "read",
    .owner = "StreamReader",
    .positional = 1,
    .most = 1,
    .names = {NAME(n)},
    .begin = read_begin,
    .again = read_again,
};

static const al_op_kind readexactly_kind = {
    .family = &al_reader_family,
    .name = "readexactly",
    .owner = "StreamReader",
    .required = 1,
    .positional = 1,
    .most = 1,
    .names = {NAME(n)},
    .begin = readexactly_begin,
    .again = readexactly_again,
};

PyObject *
al_read_call(const al_op_kind *kind, PyObject *reader, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames)
{
    struct al_state *st = al_state_of_type(Py_TYPE(reader));
    ReaderState *state = al_reader_plain_state(st, reader);
    PyObject *values[AL_OP_ARGS];

    if (state != NULL && al_op_sort(kind, st, args, nargs, kwnames, values)) {
        StreamOpObject *self =
            al_stream_op_new(kind, state->loop, reader, values);
        if (self != NULL) {
            self->state = (ReaderState *)Py_NewRef((PyObject *)state);
        }
        return (PyObject *)self;
    }
    return al_reader_call_stock(st, reader, kind->name, args, nargs, kwnames);
}

PyObject *
al_read_py_read(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    return al_read_call(&read_kind, op, args, nargs, kwnames);
}

PyObject *
al_read_py_readexactly(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    return al_read_call(&readexactly_kind, op, args, nargs, kwnames);
}
