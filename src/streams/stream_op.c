/* stream_op.c - see stream_op.h.
 *
 * Ownership: see futures/op.h.
 */

#include "streams/stream_op.h"

#include "futures/op_coro.h"
#include "streams/stock.h"

StreamOpObject *
al_stream_op_new(const al_op_kind *kind, LoopObject *loop, PyObject *owner,
                 PyObject *const *values)
{
    StreamOpObject *self = (StreamOpObject *)al_op_make(kind, loop, values);

    if (self != NULL) {
        self->owner = Py_NewRef(owner);
    }
    return self;
}

static void
stream_op_init(OpObject *op)
{
    StreamOpObject *self = (StreamOpObject *)op;

    self->owner = self->blocks = NULL;
    self->state = NULL;
    self->writer = NULL;
    self->wanted = self->block_limit = self->offset = 0;
    self->waiting = false;
}

/* --- waiting for data ----------------------------------------------------- */

void
al_stream_op_stop_waiting(StreamOpObject *self)
{
    if (!self->waiting) {
        return;
    }
    self->waiting = false;
    Py_CLEAR(self->state->waiter);
}

static int
reader_op_wait(OpObject *op)
{
    StreamOpObject *self = (StreamOpObject *)op;
    ReaderState *state = self->state;

    if (al_reader_resume(state) < 0 || al_content_trim(&state->content) < 0) {
        return -1;
    }
    Py_XSETREF(state->waiter, Py_NewRef(op->future));
    self->waiting = true;
    return 0;
}

static void
stream_op_release(OpObject *op)
{
    StreamOpObject *self = (StreamOpObject *)op;

    al_stream_op_stop_waiting(self);
    Py_CLEAR(self->blocks);
    Py_CLEAR(self->state);
    Py_CLEAR(self->writer);
    Py_CLEAR(self->owner);
}

static int
stream_op_traverse(OpObject *op, visitproc visit, void *arg)
{
    StreamOpObject *self = (StreamOpObject *)op;

    Py_VISIT(self->blocks);
    Py_VISIT(self->state);
    Py_VISIT(self->writer);
    Py_VISIT(self->owner);
    return 0;
}

/* --- asyncio's way -------------------------------------------------------- */

/* The coroutine of asyncio's method, with the arguments that were given. */
static PyObject *
borrow_from(int which, OpObject *op)
{
    /* What is beyond `most` is not set. */
    PyObject *argument = op->kind->most > 0 ? op->args[0] : NULL;

    return al_stock_call(op->loop->st, which, ((StreamOpObject *)op)->owner,
                         op->kind->name, &argument, argument != NULL, NULL);
}

static PyObject *
reader_op_borrow(OpObject *op)
{
    return borrow_from(AL_STOCK_READER, op);
}

static PyObject *
writer_op_borrow(OpObject *op)
{
    return borrow_from(AL_STOCK_WRITER, op);
}

/* --- the families and their type ------------------------------------------ */

#define STREAM_FAMILY                                                         \
    .type = offsetof(struct al_state, stream_op_type),                        \
    .free_list = offsetof(struct al_state, free_stream_ops),                  \
    .init = stream_op_init, .release = stream_op_release,                     \
    .traverse = stream_op_traverse

const al_op_family al_reader_family = {
    STREAM_FAMILY,
    .wait = reader_op_wait,
    .again_in_task = true,
    .borrow = reader_op_borrow,
};

const al_op_family al_writer_family = {
    STREAM_FAMILY,
    .borrow = writer_op_borrow,
};

static PyType_Slot op_slots[] = {
    AL_OP_SLOTS,
    {Py_tp_dealloc, al_op_tp_dealloc},
    {Py_tp_doc, "A call of a stream's method, to be awaited."},
    {0, NULL},
};

static PyType_Spec op_spec = {
    .name = "asyncloop._core.StreamOperation",
    .basicsize = sizeof(StreamOpObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = op_slots,
};

int
al_stream_op_setup(PyObject *module, struct al_state *st)
{
    st->stream_op_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &op_spec, NULL);
    return st->stream_op_type == NULL ? -1 : 0;
}
