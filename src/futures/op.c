/* op.c - an operation: how it is made, and its end. See op.h. */

#include "futures/op.h"

#include "futures/op_coro.h"
#include "py/args.h"
#include "py/error.h"

#include <string.h>

#define FREE_OPS_MAX 64

/* --- asyncio's own coroutine ------------------------------------------------ */

/* asyncio's method of this name, called with `loop` and these arguments. */
static PyObject *
call_borrowed(const al_op_kind *kind, LoopObject *loop, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *method =
        PyObject_GetAttrString(loop->st->cold_methods, kind->name);
    PyObject *coro = method == NULL
                         ? NULL
                         : al_args_call_with(method, (PyObject *)loop, args,
                                             nargs, kwnames);

    Py_XDECREF(method);
    return coro;
}

static inline PyObject *
name_of_arg(const OpObject *self, size_t i)
{
    return *(PyObject **)((char *)self->loop->st + self->kind->names[i]);
}

/* The same with the arguments of an operation: those that have a default by
 * name, as far as they were given. */
PyObject *
al_op_borrow(OpObject *self)
{
    const al_op_kind *kind = self->kind;
    PyObject *stack[AL_OP_ARGS];
    PyObject *names = NULL;
    Py_ssize_t count = kind->required;

    for (size_t i = 0; i < kind->most; i++) {
        if (i < kind->required) {
            stack[i] = self->args[i];
        }
        else if (self->args[i] != NULL) {
            stack[count++] = self->args[i];
        }
    }
    if (count > kind->required) {
        names = PyTuple_New(count - kind->required);
        if (names == NULL) {
            return NULL;
        }
        Py_ssize_t at = 0;
        for (size_t i = kind->required; i < kind->most; i++) {
            if (self->args[i] != NULL) {
                PyTuple_SET_ITEM(names, at++, Py_NewRef(name_of_arg(self, i)));
            }
        }
    }
    PyObject *coro =
        call_borrowed(kind, self->loop, stack, kind->required, names);
    Py_XDECREF(names);
    return coro;
}

/* --- making ----------------------------------------------------------------- */

bool
al_op_sort(const al_op_kind *kind, struct al_state *st, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, PyObject **values)
{
    if (nargs > kind->positional) {
        return false;
    }
    for (Py_ssize_t i = 0; i < kind->most; i++) {
        values[i] = i < nargs ? args[i] : NULL;
    }
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < keywords; k++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, k);
        size_t i = 0;
        while (i < kind->most &&
               !al_args_is_name(name,
                                *(PyObject **)((char *)st + kind->names[i]))) {
            i++;
        }
        if (i == kind->most || values[i] != NULL) {
            return false; /* unknown, or twice */
        }
        values[i] = args[nargs + k];
    }
    for (size_t i = 0; i < kind->required; i++) {
        if (values[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* cr_origin: where the operation was made, innermost first. */
static PyObject *
origin_of_caller(void)
{
    PyObject *depth =
        PySys_GetObject("get_coroutine_origin_tracking_depth"); /* borrowed */
    PyObject *number = depth == NULL ? NULL : PyObject_CallNoArgs(depth);
    long limit = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    if (limit < 0) {
        return NULL;
    }
    PyObject *list = PyList_New(0);
    PyFrameObject *frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    while (list != NULL && frame != NULL && limit-- > 0) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyObject *entry =
            Py_BuildValue("OiO", code->co_filename,
                          PyFrame_GetLineNumber(frame), code->co_name);
        Py_DECREF(code);
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    PyObject *origin = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    if (origin != NULL && PyTuple_GET_SIZE(origin) == 0) {
        Py_SETREF(origin, Py_NewRef(Py_None));
    }
    return origin;
}

static inline void *
at_offset(struct al_state *st, size_t offset)
{
    return (char *)st + offset;
}

static OpObject *
op_alloc(struct al_state *st, const al_op_family *family)
{
    PyTypeObject *type = *(PyTypeObject **)at_offset(st, family->type);
    al_op_free_list *list = at_offset(st, family->free_list);
    OpObject *self = list->first;

    if (self == NULL) {
        return PyObject_GC_New(OpObject, type);
    }
    list->first = self->inner; /* the link, while it is free */
    list->len--;
    (void)PyObject_Init((PyObject *)self, type);
    return self;
}

OpObject *
al_op_make(const al_op_kind *kind, LoopObject *loop, PyObject *const *values)
{
    PyObject *origin = NULL;
    if (loop->debug) {
        origin = origin_of_caller();
        if (origin == NULL) {
            return NULL;
        }
    }
    OpObject *self = op_alloc(loop->st, kind->family);
    if (self == NULL) {
        Py_XDECREF(origin);
        return NULL;
    }
    AL_LEDGER_MADE(loop->st, op);
    self->kind = kind;
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    for (size_t i = 0; i < kind->most; i++) {
        self->args[i] = Py_XNewRef(values[i]);
    }
    self->future = self->inner = self->result = self->error = NULL;
    self->origin = origin; /* ours */
    self->state = AL_OP_CREATED;
    self->ready = self->borrowed = false;
    if (kind->family->init != NULL) {
        kind->family->init(self);
    }
    PyObject_GC_Track((PyObject *)self);
    return self;
}

PyObject *
al_op_new(const al_op_kind *kind, LoopObject *loop, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[AL_OP_ARGS];

    if (!al_op_sort(kind, loop->st, args, nargs, kwnames, values)) {
        return call_borrowed(kind, loop, args, nargs, kwnames);
    }
    return (PyObject *)al_op_make(kind, loop, values);
}

al_op_outcome
al_op_done_steal(OpObject *self, PyObject *result)
{
    Py_XSETREF(self->result, result);
    return result == NULL ? AL_OP_FAILED : AL_OP_DONE;
}

/* --- the end ---------------------------------------------------------------- */

void
al_op_release(OpObject *self)
{
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;

    if (self->kind->family->release != NULL) {
        self->kind->family->release(self);
    }
    Py_CLEAR(self->future);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->result);
    Py_CLEAR(self->error);
    for (size_t i = 0; i < self->kind->most; i++) {
        Py_CLEAR(self->args[i]);
    }
    PyObject *loop = (PyObject *)self->loop;
    self->loop = NULL;
    Py_XDECREF(loop);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

int
al_op_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    OpObject *self = (OpObject *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    for (size_t i = 0; i < self->kind->most; i++) {
        Py_VISIT(self->args[i]);
    }
    Py_VISIT(self->future);
    Py_VISIT(self->inner);
    Py_VISIT(self->result);
    Py_VISIT(self->error);
    Py_VISIT(self->origin);
    return self->kind->family->traverse == NULL
               ? 0
               : self->kind->family->traverse(self, visit, arg);
}

int
al_op_tp_clear(PyObject *op)
{
    OpObject *self = (OpObject *)op;

    self->state = AL_OP_OVER;
    if (self->loop != NULL) { /* else it has been released */
        al_op_release(self);
    }
    Py_CLEAR(self->origin);
    return 0;
}

/* The warning for one that was never awaited. */
void
al_op_tp_finalize(PyObject *op)
{
    OpObject *self = (OpObject *)op;

    if (self->state != AL_OP_CREATED) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    PyObject *warnings = PyImport_ImportModule("warnings");
    PyObject *done = warnings == NULL
                         ? NULL
                         : PyObject_CallMethod(
                               warnings, "_warn_unawaited_coroutine", "O", op);
    if (done == NULL) {
        PyErr_WriteUnraisable(op);
    }
    Py_XDECREF(done);
    Py_XDECREF(warnings);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

/* Keep the memory for the next one, if there is room. */
static bool
op_keep(OpObject *self, struct al_state *st)
{
    const al_op_family *family = self->kind->family;
    al_op_free_list *list = at_offset(st, family->free_list);

    /* One whose finalizer ran would not be finalized again. */
    if (*(PyTypeObject **)at_offset(st, family->type) == NULL ||
        list->len == FREE_OPS_MAX ||
        PyObject_GC_IsFinalized((PyObject *)self)) {
        return false;
    }
    self->inner = list->first; /* the link */
    list->first = self;
    list->len++;
    return true;
}

void
al_op_tp_dealloc(PyObject *op)
{
    OpObject *self = (OpObject *)op;

    if (self->state == AL_OP_CREATED &&
        PyObject_CallFinalizerFromDealloc(op) < 0) {
        return; /* the warning's filter kept it */
    }
    PyObject_GC_UnTrack(op);
    PyTypeObject *tp = Py_TYPE(op);
    /* At the end of the interpreter the module may be gone already. */
    PyObject *module = ((PyHeapTypeObject *)tp)->ht_module;
    struct al_state *st = module == NULL ? NULL : al_state_of_module(module);

    (void)al_op_tp_clear(op);
    if (st != NULL) {
        AL_LEDGER_FREED(st, op);
    }
    if (st == NULL || !op_keep(self, st)) {
        PyObject_GC_Del(op);
    }
    Py_DECREF(tp);
}

void
al_op_free_list_clear(al_op_free_list *list)
{
    while (list->first != NULL) {
        OpObject *self = list->first;
        list->first = self->inner; /* the link, while it is free */
        PyObject_GC_Del(self);
    }
    list->len = 0;
}
