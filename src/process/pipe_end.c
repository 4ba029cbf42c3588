/* pipe_end.c - see pipe_end.h.
 *
 * Threads: the loop's.
 */

#include "process/pipe_end.h"

#include "streams/adopt.h"
#include "streams/stock.h"
#include "transports/transport.h"

PyObject *
al_pipe_end_new(ProcessObject *process, int fd)
{
    PyTypeObject *type = process->st->pipe_end_type;
    PipeEndObject *self = (PipeEndObject *)type->tp_alloc(type, 0);

    if (self != NULL) {
        self->st = process->st;
        AL_LEDGER_MADE(self->st, pipe_end);
        self->process = (ProcessObject *)Py_NewRef((PyObject *)process);
        self->fd = fd;
    }
    return (PyObject *)self;
}

/* --- what the pipe's transport calls ------------------------------------- */

static PyObject *
end_py_connection_made(PyObject *op, PyObject *transport)
{
    PipeEndObject *self = (PipeEndObject *)op;

    Py_XSETREF(self->pipe, Py_NewRef(transport));
    Py_RETURN_NONE;
}

static PyObject *
end_py_connection_lost(PyObject *op, PyObject *error)
{
    PipeEndObject *self = (PipeEndObject *)op;
    ProcessObject *process = self->process;

    if (process == NULL) {
        Py_RETURN_NONE;
    }
    self->disconnected = true;
    self->process = NULL;
    int rc = al_process_pipe_lost(process, self->fd, error);
    Py_DECREF(process);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
end_py_data_received(PyObject *op, PyObject *data)
{
    PipeEndObject *self = (PipeEndObject *)op;
    ProcessObject *process = self->process;

    if (process == NULL) {
        Py_RETURN_NONE;
    }
    Py_INCREF(process);
    int rc = al_process_pipe_data(process, self->fd, data);
    if (process->loop != NULL) {
        self->queued_end = process->loop->ready.tail;
    }
    Py_DECREF(process);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* --- straight to the reader ----------------------------------------------- */

/* The stream that asyncio's own protocol has for this pipe: borrowed, or NULL
 * if there is none yet or the protocol is not plain. */
static PyObject *
end_stream(PipeEndObject *self)
{
    const ProcessObject *process = self->process;
    struct al_state *st = self->st;
    PyObject *names[] = {st->str_stdin, st->str_stdout, st->str_stderr};

    if (process == NULL || process->protocol == NULL || self->fd > 2 ||
        !Py_IS_TYPE(process->protocol,
                    (PyTypeObject *)st->aio_SubprocessStreamProtocol) ||
        !al_stock_is_whole(st, AL_STOCK_PROCESS)) {
        return NULL;
    }
    PyObject *dict = al_instance_dict_borrow(process->protocol);
    if (dict == NULL) {
        return NULL;
    }
    if (PyDict_GET_SIZE(dict) != self->attributes) {
        self->attributes = PyDict_GET_SIZE(dict);
        self->hidden = al_stock_is_hidden(st, AL_STOCK_PROCESS, dict);
    }
    if (self->hidden) {
        return NULL;
    }
    PyObject *stream = PyDict_GetItemWithError(dict, names[self->fd]);
    if (stream == NULL) {
        PyErr_Clear();
    }
    return stream == Py_None ? NULL : stream;
}

void
al_pipe_end_adopt(PyObject *op)
{
    PipeEndObject *self = (PipeEndObject *)op;
    PyObject *stream = end_stream(self);

    if (stream == NULL) {
        return;
    }
    if (self->fd == 0) {
        al_adopt_writer(self->st, stream);
    }
    else if (al_adopt_reader(self->st, stream) == NULL) {
        PyErr_Clear();
    }
}

/* The reader to feed, and its state: borrowed; or NULL where asyncio's way is
 * to be gone, as something may be queued that has to come before. */
static ReaderState *
end_reader(PipeEndObject *self, PyObject **reader)
{
    const ProcessObject *process = self->process;

    if (process == NULL || process->loop == NULL || process->pending != NULL ||
        process->loop->ready.head < self->queued_end ||
        !al_stock_is_whole(self->st, AL_STOCK_READER)) {
        return NULL;
    }
    *reader = end_stream(self);
    return *reader == NULL ? NULL : al_adopt_reader(self->st, *reader);
}

/* asyncio queues a call which feeds the reader; we feed it at once. */
static int
end_receive_bytes(PyObject *op, PyObject *transport, PyObject *bytes)
{
    PyObject *reader;
    ReaderState *state = end_reader((PipeEndObject *)op, &reader);

    if (state != NULL) {
        Py_INCREF(reader);
        Py_INCREF(state);
        int rc = al_reader_feed_bytes(state, bytes);
        Py_DECREF(state);
        Py_DECREF(reader);
        return rc;
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    /* In the pipe's context, of which the queued call has a copy. */
    PyObject *result =
        al_transport_call((al_transport *)transport,
                          ((PipeEndObject *)op)->st->str_data_received, bytes);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
end_receive(PyObject *op, PyObject *transport, const char *data, size_t count)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)count);
    int rc = bytes == NULL ? -1 : end_receive_bytes(op, transport, bytes);

    Py_XDECREF(bytes);
    return rc;
}

/* pipe.c does not ask: a pipe that ends is closed. */
static int
end_eof(PyObject *op, PyObject *transport)
{
    (void)op;
    (void)transport;
    return 0;
}

static const al_inlet_ops end_inlet = {
    .receive = end_receive,
    .receive_bytes = end_receive_bytes,
    .eof = end_eof,
};

static int
find_end(struct al_state *st, PyObject *transport, PyObject *protocol,
         al_inlet *inlet)
{
    if (!Py_IS_TYPE(protocol, st->pipe_end_type) ||
        !Py_IS_TYPE(transport, st->read_pipe_type)) {
        return 0;
    }
    inlet->ops = &end_inlet;
    inlet->target = Py_NewRef(protocol);
    return 1;
}

/* pause_writing and resume_writing are the process's protocol's. */
static PyObject *
pass_on(PyObject *op, PyObject *name)
{
    const ProcessObject *process = ((PipeEndObject *)op)->process;

    if (process == NULL || process->protocol == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *protocol = Py_NewRef(process->protocol);
    PyObject *result = PyObject_CallMethodNoArgs(protocol, name);
    Py_DECREF(protocol);
    return result;
}

static PyObject *
end_py_pause_writing(PyObject *op, PyObject *unused)
{
    (void)unused;
    return pass_on(op, ((PipeEndObject *)op)->st->str_pause_writing);
}

static PyObject *
end_py_resume_writing(PyObject *op, PyObject *unused)
{
    (void)unused;
    return pass_on(op, ((PipeEndObject *)op)->st->str_resume_writing);
}

/* --- the type --------------------------------------------------------------- */

static int
end_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    PipeEndObject *self = (PipeEndObject *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->process);
    Py_VISIT(self->pipe);
    return 0;
}

static int
end_tp_clear(PyObject *op)
{
    PipeEndObject *self = (PipeEndObject *)op;

    Py_CLEAR(self->process);
    Py_CLEAR(self->pipe);
    return 0;
}

static void
end_tp_dealloc(PyObject *op)
{
    PyTypeObject *tp = Py_TYPE(op);
    PipeEndObject *self = (PipeEndObject *)op;

    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    (void)end_tp_clear(op);
    if (self->st != NULL) {
        AL_LEDGER_FREED(self->st, pipe_end);
    }
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyObject *
end_tp_repr(PyObject *op)
{
    PipeEndObject *self = (PipeEndObject *)op;

    return PyUnicode_FromFormat("<PipeEnd fd=%d pipe=%R>", self->fd,
                                self->pipe == NULL ? Py_None : self->pipe);
}

static PyMemberDef end_members[] = {
    {"proc", T_OBJECT, offsetof(PipeEndObject, process), READONLY, NULL},
    {"pipe", T_OBJECT, offsetof(PipeEndObject, pipe), READONLY, NULL},
    {"fd", T_INT, offsetof(PipeEndObject, fd), READONLY, NULL},
    {"disconnected", T_BOOL, offsetof(PipeEndObject, disconnected), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PipeEndObject, weakrefs),
     READONLY, NULL},
    {NULL},
};

static PyMethodDef end_methods[] = {
    {"connection_made", end_py_connection_made, METH_O, NULL},
    {"connection_lost", end_py_connection_lost, METH_O, NULL},
    {"data_received", end_py_data_received, METH_O, NULL},
    {"pause_writing", end_py_pause_writing, METH_NOARGS, NULL},
    {"resume_writing", end_py_resume_writing, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot end_slots[] = {
    {Py_tp_traverse, end_tp_traverse},
    {Py_tp_clear, end_tp_clear},
    {Py_tp_dealloc, end_tp_dealloc},
    {Py_tp_repr, end_tp_repr},
    {Py_tp_members, end_members},
    {Py_tp_methods, end_methods},
    {Py_tp_doc, "The protocol of one pipe of a child process."},
    {0, NULL},
};

static PyType_Spec end_spec = {
    .name = "asyncloop._core.PipeEnd",
    .basicsize = sizeof(PipeEndObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = end_slots,
};

int
al_pipe_end_setup(PyObject *module, struct al_state *st)
{
    PyObject *type =
        PyType_FromModuleAndSpec(module, &end_spec, st->aio_Protocol);

    st->pipe_end_type = (PyTypeObject *)type;
    if (type == NULL) {
        return -1;
    }
    if (al_inlet_register(st, find_end) < 0) {
        return -1;
    }
    return PyModule_AddType(module, st->pipe_end_type);
}
