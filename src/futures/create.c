/* create.c - asyncio's own futures and tasks, made without a detour.
 *
 * Ownership: new references to the caller.
 * Threads: the loop's.
 */

#include "futures/create.h"

#include <string.h>

/* name, context and eager_start. */
#define KEYWORDS_MAX 3

PyObject *
al_create_py_future(PyObject *op, PyObject *unused)
{
    (void)unused;
    struct al_state *st = ((LoopObject *)op)->st;
    PyObject *stack[] = {NULL, op};

    return PyObject_Vectorcall(st->aio_Future, stack + 1,
                               0 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                               st->kw_loop);
}

/* A task factory, debug mode, or an unusual call: asyncio's own method, which
 * does with factories and keywords what this version of it does. */
static PyObject *
create_task_slow(LoopObject *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    PyObject *method = PyObject_GetAttr(self->st->aio_BaseEventLoop,
                                        self->st->str_create_task);
    if (method == NULL) {
        return NULL;
    }
    Py_ssize_t total =
        nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject **stack = PyMem_New(PyObject *, (size_t)total + 1);
    PyObject *task = NULL;
    if (stack == NULL) {
        PyErr_NoMemory();
    }
    else {
        stack[0] = (PyObject *)self;
        memcpy(stack + 1, args, (size_t)total * sizeof(PyObject *));
        task = PyObject_Vectorcall(method, stack, (size_t)nargs + 1, kwnames);
        PyMem_Free(stack);
    }
    Py_DECREF(method);
    return task;
}

/* ("loop",) followed by the names the caller gave; new reference. */
static PyObject *
with_loop_keyword(struct al_state *st, PyObject *kwnames)
{
    if (kwnames == NULL) {
        return Py_NewRef(st->kw_loop);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(kwnames);
    PyObject *names = PyTuple_New(count + 1);
    if (names != NULL) {
        PyTuple_SET_ITEM(names, 0, Py_NewRef(st->str_loop));
        for (Py_ssize_t i = 0; i < count; i++) {
            PyTuple_SET_ITEM(names, i + 1,
                             Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
        }
    }
    return names;
}

/* Does every keyword go to the Task as it is? */
static bool
keywords_are_known(struct al_state *st, PyObject *kwnames)
{
    if (kwnames == NULL) {
        return true;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (name != st->str_name && name != st->str_context &&
            name != st->str_eager_start) {
            return false;
        }
    }
    return PyTuple_GET_SIZE(kwnames) <= KEYWORDS_MAX;
}

PyObject *
al_create_py_task(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct al_state *st = self->st;
    Py_ssize_t count = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    bool has_factory =
        self->task_factory != NULL && self->task_factory != Py_None;

    if (al_loop_check_closed(self) < 0) {
        return NULL;
    }
    if (has_factory || self->debug || nargs != 1 ||
        !keywords_are_known(st, kwnames)) {
        return create_task_slow(self, args, nargs, kwnames);
    }
    /* Looked up each time: tests replace asyncio.tasks.Task. */
    PyObject *cls = PyObject_GetAttr(st->mod_tasks, st->str_Task);
    if (cls == NULL) {
        return NULL;
    }
    PyObject *names = with_loop_keyword(st, kwnames);
    PyObject *task = NULL;
    if (names != NULL) {
        PyObject *stack[2 + 1 + KEYWORDS_MAX] = {NULL, args[0], op};
        for (Py_ssize_t i = 0; i < count; i++) {
            stack[3 + i] = args[nargs + i];
        }
        task = PyObject_Vectorcall(cls, stack + 1,
                                   1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
        Py_DECREF(names);
    }
    Py_DECREF(cls);
    return task;
}
