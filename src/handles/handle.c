/* handle.c - making, running, cancelling and freeing handles.
 *
 * Ownership: a queue (ready ring, timer heap, watch) holds one reference;
 * the caller of call_soon may hold another.
 * Threads: under the GIL. The last reference may be dropped on any thread.
 */

#include "handles/handle.h"

#include "handles/handle_face.h"

#include <stdlib.h>
#include <time.h>

#define SMALL_CELL                                                            \
    (sizeof(HandleObject) + AL_HANDLE_SMALL_ARGS * sizeof(PyObject *))
#define LARGE_CELL                                                            \
    (sizeof(HandleObject) + AL_HANDLE_LARGE_ARGS * sizeof(PyObject *))

_Static_assert(SMALL_CELL == 64, "one cache line");
_Static_assert(sizeof(TimerHandleObject) <= LARGE_CELL, "a large cell");

/* Nested deallocations before the rest is put off: far below what the stack
 * holds, far above what programs nest. */
#define DEALLOC_DEPTH 64

al_handle_pool *
al_handle_pool_new(struct al_state *st, PyObject *loop)
{
    al_handle_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    al_slab_pool_init(&pool->small, SMALL_CELL, pool);
    al_slab_pool_init(&pool->large, LARGE_CELL, pool);
    pool->st = st;
    pool->module = Py_NewRef(st->module);
    pool->loop = loop;
    AL_LEDGER_MADE(st, handle_pool);
    return pool;
}

static void
pool_free_if_unused(al_handle_pool *pool)
{
    if (pool->loop == NULL && pool->small.live == 0 && pool->large.live == 0) {
        al_slab_pool_free(&pool->small);
        al_slab_pool_free(&pool->large);
        PyObject *module = pool->module;
        AL_LEDGER_FREED(pool->st, handle_pool);
        free(pool);
        Py_DECREF(module);
    }
}

void
al_handle_pool_abandon(al_handle_pool *pool)
{
    pool->loop = NULL;
    pool_free_if_unused(pool);
}

/* Fill in what every handle has. `self` is a fresh cell; `room` says how many
 * arguments fit into it. Consumes `context_steal`. On failure the handle has
 * no arguments and is released.
 * 0, or -1 with an exception set and the cell given back. */
static int
handle_fill(HandleObject *self, PyTypeObject *type, size_t room,
            PyObject *callback, PyObject *const *args, size_t nargs,
            PyObject *context_steal, PyObject *traceback)
{
    PyObject_Init((PyObject *)self, type);
    self->callback = Py_NewRef(callback);
    self->context = context_steal;
    self->weakrefs = NULL;
    if (nargs <= room && traceback == NULL) {
        self->nargs = (uint8_t)nargs;
        for (size_t i = 0; i < nargs; i++) {
            self->args[i] = Py_NewRef(args[i]);
        }
        return 0;
    }
    self->nargs = 0;
    PyObject *tuple = PyTuple_New((Py_ssize_t)nargs);
    if (tuple == NULL) {
        Py_DECREF(self);
        return -1;
    }
    for (size_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, Py_NewRef(args[i]));
    }
    self->args[0] = tuple;
    self->nargs = 1;
    self->flags |= AL_HANDLE_ARGS_TUPLE;
    if (traceback != NULL) {
        self->args[1] = Py_NewRef(traceback);
        self->nargs = 2;
        self->flags |= AL_HANDLE_TRACED;
    }
    return 0;
}

HandleObject *
al_handle_new(al_handle_pool *pool, PyObject *callback, PyObject *const *args,
              size_t nargs, PyObject *context_steal, PyObject *traceback)
{
    bool small = nargs <= AL_HANDLE_SMALL_ARGS;
    HandleObject *self = al_slab_alloc(small ? &pool->small : &pool->large);
    if (self == NULL) {
        Py_XDECREF(context_steal);
        PyErr_NoMemory();
        return NULL;
    }
    AL_LEDGER_MADE(pool->st, handle);
    self->flags = small ? 0 : AL_HANDLE_LARGE;
    size_t room = small ? AL_HANDLE_SMALL_ARGS : AL_HANDLE_LARGE_ARGS;
    if (handle_fill(self, pool->st->handle_type, room, callback, args, nargs,
                    context_steal, traceback) < 0) {
        return NULL;
    }
    return self;
}

TimerHandleObject *
al_timer_handle_new(al_handle_pool *pool, PyObject *callback,
                    PyObject *const *args, size_t nargs,
                    PyObject *context_steal, PyObject *traceback, double when)
{
    TimerHandleObject *self = al_slab_alloc(&pool->large);
    if (self == NULL) {
        Py_XDECREF(context_steal);
        PyErr_NoMemory();
        return NULL;
    }
    AL_LEDGER_MADE(pool->st, timer_handle);
    self->base.flags = AL_HANDLE_LARGE;
    self->when = when;
    self->node.place = AL_HEAP_NOWHERE;
    if (handle_fill(&self->base, pool->st->timer_handle_type,
                    AL_TIMER_HANDLE_ARGS, callback, args, nargs, context_steal,
                    traceback) < 0) {
        return NULL;
    }
    return self;
}

PyObject *
al_handle_call(HandleObject *self)
{
    if (self->flags & AL_HANDLE_ARGS_TUPLE) {
        return PyObject_Call(self->callback, self->args[0], NULL);
    }
    /* The callee may use the slot before the arguments, so they are copied;
     * the references stay with the handle, which is running and keeps them
     * even when the callback cancels it. */
    PyObject *stack[1 + AL_HANDLE_LARGE_ARGS];
    size_t nargs = self->nargs;
    if (nargs == 1) {
        stack[1] = self->args[0]; /* the loop would become a call of memcpy */
    }
    else {
        for (size_t i = 0; i < nargs; i++) {
            stack[i + 1] = self->args[i];
        }
    }
    return PyObject_Vectorcall(self->callback, stack + 1,
                               nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

void
al_handle_drop(HandleObject *self)
{
    /* Detach everything before the first reference is dropped: a finalizer
     * may look at this handle again. */
    PyObject *callback = self->callback;
    PyObject *context = self->context;
    PyObject *args[AL_HANDLE_LARGE_ARGS];
    /* A debug handle keeps its traceback, in args[1]. */
    size_t nargs = self->flags & AL_HANDLE_TRACED ? 1 : self->nargs;

    for (size_t i = 0; i < nargs; i++) {
        args[i] = self->args[i];
        self->args[i] = NULL;
    }
    if (!(self->flags & AL_HANDLE_TRACED)) {
        self->nargs = 0;
    }
    self->flags &= (uint16_t)~AL_HANDLE_HAS_REPR;
    self->callback = NULL;
    self->context = NULL;
    Py_XDECREF(callback);
    for (size_t i = 0; i < nargs; i++) {
        Py_XDECREF(args[i]);
    }
    Py_XDECREF(context);
}

/* Debug mode: keep the text that shows what was cancelled. Never fails: the
 * text is a convenience. */
static void
handle_remember_repr(HandleObject *self)
{
    PyObject *repr = PyObject_Repr((PyObject *)self);
    if (repr == NULL) {
        PyErr_Clear();
        return;
    }
    al_handle_drop(self);
    self->args[0] = repr;
    self->flags |= AL_HANDLE_HAS_REPR;
}

/* How long a canceller in another thread sleeps between two looks. */
#define RUNNING_LOOK_NS 100000

void
al_handle_wait_while_running(HandleObject *self)
{
    al_handle_pool *pool = al_handle_pool_of(self);
    const struct timespec pause = {.tv_nsec = RUNNING_LOOK_NS};

    while (self->flags & AL_HANDLE_RUNNING && pool->runner != 0 &&
           pool->runner != PyThread_get_thread_ident()) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
}

void
al_handle_cancel(HandleObject *self)
{
    al_handle_pool *pool = al_handle_pool_of(self);

    if (self->flags & AL_HANDLE_CANCELLED) {
        return;
    }
    self->flags |= AL_HANDLE_CANCELLED;
    Py_INCREF(self); /* the heap may hold the last reference */
    if (al_handle_is_timer(self, pool->st) && pool->loop != NULL) {
        pool->on_timer_cancel(pool->loop, (TimerHandleObject *)self);
    }
    if (!(self->flags & AL_HANDLE_RUNNING)) {
        if (pool->debug && (self->flags & AL_HANDLE_TRACED) &&
            self->callback != NULL) {
            handle_remember_repr(self);
        }
        else {
            al_handle_drop(self);
        }
    }
    Py_DECREF(self);
}

PyObject *
al_handle_args_tuple(HandleObject *self)
{
    if (self->flags & AL_HANDLE_ARGS_TUPLE) {
        return Py_NewRef(self->args[0]);
    }
    PyObject *tuple = PyTuple_New(self->nargs);
    if (tuple != NULL) {
        for (uint8_t i = 0; i < self->nargs; i++) {
            PyTuple_SET_ITEM(tuple, i, Py_NewRef(self->args[i]));
        }
    }
    return tuple;
}

PyObject *
al_handle_context(HandleObject *self)
{
    if (self->context == NULL) {
        self->context = PyContext_New();
    }
    return Py_XNewRef(self->context);
}

int
al_handle_visit(HandleObject *self, visitproc visit, void *arg)
{
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    for (uint8_t i = 0; i < self->nargs; i++) {
        Py_VISIT(self->args[i]);
    }
    return 0;
}

/* Everything but the memory's way back; the type's reference goes last. */
static void
handle_release(HandleObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    al_handle_pool *pool = al_handle_pool_of(self);
    bool large = self->flags & AL_HANDLE_LARGE;

    al_handle_drop(self);
    if (self->flags & AL_HANDLE_TRACED) {
        Py_XDECREF(self->args[1]);
    }
    if (al_handle_is_timer(self, pool->st)) {
        AL_LEDGER_FREED(pool->st, timer_handle);
    }
    else {
        AL_LEDGER_FREED(pool->st, handle);
    }
    al_slab_give_back(large ? &pool->large : &pool->small, self);
    Py_DECREF(tp);
}

/* A handle whose argument is a handle whose argument is a handle …: the
 * collector's own guard against deep recursion needs tracked objects, so the
 * pool keeps a list of what must wait for the outermost deallocation. */
static void
handle_tp_dealloc(PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    al_handle_pool *pool = al_handle_pool_of(self);

    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    if (pool->depth >= DEALLOC_DEPTH) {
        self->weakrefs = (PyObject *)pool->doomed;
        pool->doomed = self;
        return;
    }
    pool->depth++;
    handle_release(self);
    pool->depth--;
    while (pool->depth == 0 && pool->doomed != NULL) {
        HandleObject *next = pool->doomed;
        pool->doomed = (HandleObject *)next->weakrefs;
        pool->depth++;
        handle_release(next);
        pool->depth--;
    }
    pool_free_if_unused(pool);
}

static PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weakrefs),
     READONLY, NULL},
    {NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_dealloc, handle_tp_dealloc},
    {Py_tp_repr, al_handle_tp_repr},
    {Py_tp_methods, al_handle_methods},
    {Py_tp_getset, al_handle_getset},
    {Py_tp_members, handle_members},
    {Py_tp_doc, "A callback that the loop will run; asyncio.Handle."},
    {0, NULL},
};

static PyType_Spec handle_spec = {
    .name = "asyncloop._core.Handle",
    .basicsize = sizeof(HandleObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = handle_slots,
};

static PyType_Slot timer_handle_slots[] = {
    {Py_tp_dealloc, handle_tp_dealloc},
    {Py_tp_methods, al_timer_handle_methods},
    {Py_tp_getset, al_timer_handle_getset},
    {Py_tp_richcompare, al_timer_handle_tp_richcompare},
    {Py_tp_hash, al_timer_handle_tp_hash},
    {Py_tp_doc, "A callback with a deadline; asyncio.TimerHandle."},
    {0, NULL},
};

static PyType_Spec timer_handle_spec = {
    .name = "asyncloop._core.TimerHandle",
    .basicsize = sizeof(TimerHandleObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = timer_handle_slots,
};

int
al_handle_setup(PyObject *module, struct al_state *st)
{
    st->handle_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &handle_spec, NULL);
    if (st->handle_type == NULL) {
        return -1;
    }
    st->timer_handle_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &timer_handle_spec, (PyObject *)st->handle_type);
    if (st->timer_handle_type == NULL) {
        return -1;
    }
    if (PyModule_AddType(module, st->handle_type) < 0) {
        return -1;
    }
    return PyModule_AddType(module, st->timer_handle_type);
}
