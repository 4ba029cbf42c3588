/* create.c - asyncio's own futures and tasks, made without a detour.
 *
 * Ownership: new references to the caller.
 * Threads: the loop's.
 */

#include "futures/create.h"

#include "futures/native.h"
#include "py/args.h"

#include <string.h>

/* name and context. */
#define KEYWORDS_MAX 2

PyObject *
al_create_py_future(PyObject *op, PyObject *unused)
{
    (void)unused;
    LoopObject *self = (LoopObject *)op;
    struct al_state *st = self->st;

    if (al_loop_is_native(self)) {
        return al_native_new_future(self);
    }
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
    PyObject *task =
        al_args_call_with(method, (PyObject *)self, args, nargs, kwnames);
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

/* The keywords of create_task that go to the Task as they are. Borrowed. */
typedef struct {
    PyObject *name;
    PyObject *context;
    bool has_other; /* one that only the Task's constructor can judge */
} task_keywords;

static task_keywords
sort_keywords(struct al_state *st, PyObject *const *values, PyObject *kwnames)
{
    task_keywords found = {0};
    Py_ssize_t count = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, i);
        PyObject *value = values[i] == Py_None ? NULL : values[i];
        if (keyword == st->str_name &&
            (value == NULL || PyUnicode_CheckExact(value))) {
            found.name = value;
        }
        else if (keyword == st->str_context &&
                 (value == NULL || PyContext_CheckExact(value))) {
            found.context = value;
        }
        else {
            found.has_other = true;
        }
    }
    return found;
}

/* asyncio.Task(coro, loop=self, **keywords); `cls` borrowed. */
static PyObject *
construct_task(LoopObject *self, PyObject *cls, PyObject *const *args,
               PyObject *kwnames)
{
    Py_ssize_t count = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    PyObject *names = with_loop_keyword(self->st, kwnames);
    if (names == NULL) {
        return NULL;
    }
    PyObject *stack[2 + 1 + KEYWORDS_MAX] = {NULL, args[0], (PyObject *)self};
    for (Py_ssize_t i = 0; i < count; i++) {
        stack[3 + i] = args[1 + i];
    }
    PyObject *task = PyObject_Vectorcall(
        cls, stack + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
    Py_DECREF(names);
    return task;
}

/* asyncio.tasks.Task, looked up each time: tests replace it. New reference or
 * NULL. */
static PyObject *
find_task_class(struct al_state *st)
{
    PyObject *cls = PyDict_GetItemWithError(st->mod_tasks_dict, st->str_Task);
    if (cls != NULL) {
        return Py_NewRef(cls);
    }
    PyErr_Clear();
    return PyObject_GetAttr(st->mod_tasks, st->str_Task); /* says so */
}

PyObject *
al_create_py_task(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct al_state *st = self->st;
    Py_ssize_t count = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (al_loop_check_closed(self) < 0) {
        return NULL;
    }
    task_keywords keywords = sort_keywords(st, args + nargs, kwnames);
    bool has_factory =
        self->task_factory != NULL && self->task_factory != Py_None;
    if (has_factory || self->debug || nargs != 1 || keywords.has_other ||
        count > KEYWORDS_MAX) {
        return create_task_slow(self, args, nargs, kwnames);
    }
    PyObject *cls = find_task_class(st);
    if (cls == NULL) {
        return NULL;
    }
    PyObject *task;
    if (al_loop_is_native(self) && cls == st->aio_Task &&
        PyCoro_CheckExact(args[0])) {
        task =
            al_native_new_task(self, args[0], keywords.name, keywords.context);
    }
    else {
        task = construct_task(self, cls, args, kwnames);
    }
    Py_DECREF(cls);
    return task;
}
