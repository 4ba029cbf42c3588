/* reader_lines.c - readuntil, readline and iteration. See reader_calls.h. */

#include "streams/reader_calls.h"

/* Where a separator was found; `end` -1: nowhere. */
typedef struct {
    Py_ssize_t start;
    Py_ssize_t end;
} place;

static const char newline[] = "\n";

/* The lengths of the shortest and of the longest separator. */
static void
measure(const StreamOpObject *self, Py_ssize_t *least, Py_ssize_t *most)
{
    PyObject *separator = self->op.args[0];

    if (separator == NULL || PyBytes_CheckExact(separator)) {
        *least = *most = separator == NULL ? 1 : PyBytes_GET_SIZE(separator);
        return;
    }
    *least = PY_SSIZE_T_MAX;
    *most = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(separator); i++) {
        Py_ssize_t len = PyBytes_GET_SIZE(PyTuple_GET_ITEM(separator, i));
        *least = len < *least ? len : *least;
        *most = len > *most ? len : *most;
    }
}

static place
find_one(const StreamOpObject *self, PyObject *separator)
{
    const char *what =
        separator == NULL ? newline : PyBytes_AS_STRING(separator);
    Py_ssize_t len = separator == NULL ? 1 : PyBytes_GET_SIZE(separator);
    place found;

    found.start =
        al_content_find(&self->state->content, what, len, self->offset);
    found.end = found.start < 0 ? -1 : found.start + len;
    return found;
}

/* The one that ends first; of two that end together, the shorter. */
static place
find_separator(const StreamOpObject *self)
{
    PyObject *separator = self->op.args[0];

    if (separator == NULL || PyBytes_CheckExact(separator)) {
        return find_one(self, separator);
    }
    place best = {-1, -1};
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(separator); i++) {
        place found = find_one(self, PyTuple_GET_ITEM(separator, i));
        if (found.end >= 0 &&
            (best.end < 0 || found.end < best.end ||
             (found.end == best.end && found.start > best.start))) {
            best = found;
        }
    }
    return best;
}

/* --- what differs between a line and other ends ----------------------------- */

static const al_op_kind readuntil_kind;

static inline bool
is_line(const StreamOpObject *self)
{
    return self->op.kind != &readuntil_kind;
}

/* readline() raises ValueError for what is too long, and takes it away, with
 * the line's end if that is known. `error` is the LimitOverrunError. */
static void
raise_too_long(StreamOpObject *self, const char *message, Py_ssize_t consumed,
               PyObject *error)
{
    al_content *content = &self->state->content;
    bool at_end = al_content_find(content, newline, 1, consumed) == consumed;
    Py_ssize_t count = at_end ? consumed + 1 : al_content_len(content);

    if (al_content_drop(content, count) < 0 ||
        al_reader_maybe_resume(self->state) < 0) {
        return;
    }
    PyObject *raised = PyObject_CallFunction(PyExc_ValueError, "s", message);
    if (raised != NULL) {
        PyException_SetContext(raised, Py_NewRef(error));
        PyErr_SetObject(PyExc_ValueError, raised);
        Py_DECREF(raised);
    }
}

static al_op_outcome
raise_overrun(StreamOpObject *self, const char *message, Py_ssize_t consumed)
{
    PyObject *type = self->state->st->LimitOverrunError;
    PyObject *error = PyObject_CallFunction(type, "sn", message, consumed);

    if (error == NULL) {
        return AL_OP_FAILED;
    }
    if (is_line(self)) {
        raise_too_long(self, message, consumed, error);
    }
    else {
        PyErr_SetObject(type, error);
    }
    Py_DECREF(error);
    return AL_OP_FAILED;
}

/* --- searching ------------------------------------------------------------- */

static al_op_outcome
take_until(StreamOpObject *self)
{
    ReaderState *state = self->state;
    Py_ssize_t least, most;
    Py_ssize_t len = al_content_len(&state->content);

    measure(self, &least, &most);
    if (len - self->offset >= least) {
        place found = find_separator(self);
        if (found.end >= 0) {
            return found.start > state->limit
                       ? raise_overrun(self,
                                       "Separator is found, but chunk is "
                                       "longer than limit",
                                       found.start)
                       : al_read_take(self, found.end);
        }
        self->offset = len + 1 > most ? len + 1 - most : 0;
        if (self->offset > state->limit) {
            return raise_overrun(
                self, "Separator is not found, and chunk exceed the limit",
                self->offset);
        }
    }
    if (!state->eof) {
        return al_read_wait(state, "readuntil");
    }
    return is_line(self)
               ? al_op_done_steal(&self->op,
                                  al_content_take(&state->content, len))
               : al_read_incomplete(self, NULL);
}

/* Is the separator bytes, or a tuple of bytes, none of them empty? */
static bool
is_plain_separator(PyObject *separator)
{
    if (separator == NULL || PyBytes_CheckExact(separator)) {
        return separator == NULL || PyBytes_GET_SIZE(separator) > 0;
    }
    if (!AL_READUNTIL_TAKES_TUPLES || !PyTuple_CheckExact(separator)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(separator); i++) {
        PyObject *one = PyTuple_GET_ITEM(separator, i);
        if (!PyBytes_CheckExact(one) || PyBytes_GET_SIZE(one) == 0) {
            return false;
        }
    }
    return PyTuple_GET_SIZE(separator) > 0;
}

static al_op_outcome
until_begin(OpObject *op)
{
    if (!al_read_may_begin(stream_op(op)) ||
        !is_plain_separator(op->args[0])) {
        return AL_OP_BORROW;
    }
    return al_read_check(stream_op(op)->state) < 0 ? AL_OP_FAILED
                                                   : take_until(stream_op(op));
}

static al_op_outcome
until_again(OpObject *op)
{
    al_stream_op_stop_waiting(stream_op(op));
    return take_until(stream_op(op));
}

/* An empty line is the end of an iteration. */
static al_op_outcome
line_or_end(OpObject *op, al_op_outcome outcome)
{
    if (outcome != AL_OP_DONE || PyBytes_GET_SIZE(op->result) > 0) {
        return outcome;
    }
    Py_CLEAR(op->result);
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return AL_OP_FAILED;
}

static al_op_outcome
anext_begin(OpObject *op)
{
    return line_or_end(op, until_begin(op));
}

static al_op_outcome
anext_again(OpObject *op)
{
    return line_or_end(op, until_again(op));
}

/* --- the methods ------------------------------------------------------------ */

static const al_op_kind readuntil_kind = {
    .family = &al_reader_family,
    .name = "readuntil",
    .owner = "StreamReader",
    .positional = 1,
    .most = 1,
    .names = {offsetof(struct al_state, str_separator)},
    .begin = until_begin,
    .again = until_again,
};

static const al_op_kind readline_kind = {
    .family = &al_reader_family,
    .name = "readline",
    .owner = "StreamReader",
    .most = 1, /* none, which is a newline */
    .begin = until_begin,
    .again = until_again,
};

static const al_op_kind anext_kind = {
    .family = &al_reader_family,
    .name = "__anext__",
    .owner = "StreamReader",
    .most = 1,
    .begin = anext_begin,
    .again = anext_again,
};

PyObject *
al_read_py_readuntil(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    return al_read_call(&readuntil_kind, op, args, nargs, kwnames);
}

PyObject *
al_read_py_readline(PyObject *op, PyObject *unused)
{
    (void)unused;
    return al_read_call(&readline_kind, op, NULL, 0, NULL);
}

PyObject *
al_read_py_anext(PyObject *op, PyObject *unused)
{
    (void)unused;
    return al_read_call(&anext_kind, op, NULL, 0, NULL);
}
