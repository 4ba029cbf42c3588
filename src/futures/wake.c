/* wake.c - the wake-up object.
 *
 * Ownership: it owns the task; the future's callback list owns it.
 */

#include "futures/wake.h"

#include "futures/native.h"

PyObject *
al_wake_new(struct al_state *st, PyObject *task, PyObject *error)
{
    WakeObject *self = st->free_wakes;

    if (self != NULL) {
        st->free_wakes = self->task; /* the link, while it is free */
        st->free_wakes_len--;
        (void)PyObject_Init((PyObject *)self, st->wake_type);
    }
    else {
        self = PyObject_GC_New(WakeObject, st->wake_type);
        if (self == NULL) {
            return NULL;
        }
    }
    AL_LEDGER_MADE(st, wake);
    self->task = Py_NewRef(task);
    self->error = Py_XNewRef(error);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

#define FREE_WAKES_MAX 256

void
al_wake_close(struct al_state *st)
{
    while (st->free_wakes != NULL) {
        WakeObject *self = st->free_wakes;
        st->free_wakes = self->task; /* the link, while it is free */
        PyObject_GC_Del(self);
    }
    st->free_wakes_len = FREE_WAKES_MAX; /* full, so that nobody follows */
}

static PyObject *
wake_tp_call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    WakeObject *self = (WakeObject *)op;

    if (self->task == NULL || ((al_task *)self->task)->base.loop == NULL) {
        Py_RETURN_NONE; /* the collector took it apart */
    }
    /* Only loops of ours have given out such an object. */
    LoopObject *loop = (LoopObject *)((al_task *)self->task)->base.loop;
    if (al_native_wake(loop, self->task, Py_XNewRef(self->error)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Tools look for the task here, and repr(future) shows the name: as with
 * asyncio's own wake-up. */
static PyObject *
wake_get_self(PyObject *op, void *closure)
{
    (void)closure;
    PyObject *task = ((WakeObject *)op)->task;
    return Py_NewRef(task == NULL ? Py_None : task);
}

static PyObject *
wake_get_qualname(PyObject *op, void *closure)
{
    (void)op;
    (void)closure;
    return PyUnicode_FromString("Task.task_wakeup");
}

static int
wake_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((WakeObject *)op)->task);
    Py_VISIT(((WakeObject *)op)->error);
    return 0;
}

static int
wake_tp_clear(PyObject *op)
{
    Py_CLEAR(((WakeObject *)op)->task);
    Py_CLEAR(((WakeObject *)op)->error);
    return 0;
}

static void
wake_tp_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    WakeObject *self = (WakeObject *)op;
    PyTypeObject *tp = Py_TYPE(op);
    /* At the end of the interpreter the module may be gone already. */
    PyObject *module = ((PyHeapTypeObject *)tp)->ht_module;
    struct al_state *st = module == NULL ? NULL : al_state_of_module(module);

    (void)wake_tp_clear(op);
    if (st != NULL) {
        AL_LEDGER_FREED(st, wake);
    }
    if (st != NULL && st->free_wakes_len < FREE_WAKES_MAX) {
        self->task = st->free_wakes;
        st->free_wakes = self;
        st->free_wakes_len++;
    }
    else {
        PyObject_GC_Del(op);
    }
    Py_DECREF(tp);
}

static PyGetSetDef wake_getset[] = {
    {"__self__", wake_get_self, NULL, NULL, NULL},
    {"__name__", wake_get_qualname, NULL, NULL, NULL},
    {"__qualname__", wake_get_qualname, NULL, NULL, NULL},
    {NULL},
};

static PyType_Slot wake_slots[] = {
    {Py_tp_call, wake_tp_call},
    {Py_tp_traverse, wake_tp_traverse},
    {Py_tp_clear, wake_tp_clear},
    {Py_tp_dealloc, wake_tp_dealloc},
    {Py_tp_getset, wake_getset},
    {Py_tp_doc, "Queues a task when the future it waits for is done."},
    {0, NULL},
};

static PyType_Spec wake_spec = {
    .name = "asyncloop._core.TaskWakeup",
    .basicsize = sizeof(WakeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = wake_slots,
};

int
al_wake_setup(PyObject *module, struct al_state *st)
{
    st->wake_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &wake_spec, NULL);
    return st->wake_type == NULL ? -1 : 0;
}
