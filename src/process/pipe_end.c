/* pipe_end.c - see pipe_end.h.
 *
 * Threads: the loop's.
 */

#include "process/pipe_end.h"

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

    if (self->process != NULL &&
        al_process_pipe_data(self->process, self->fd, data) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
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
    return PyModule_AddType(module, st->pipe_end_type);
}
