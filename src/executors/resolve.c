/* resolve.c - see resolve.h.
 *
 * Ownership: an operation that waits owns an iterator of its future, the item
 * (item.h) the future; whoever cancels the future makes the item worthless.
 * Threads: the loop's.
 */

#include "executors/resolve.h"

#include "executors/addrinfo.h"
#include "executors/executor.h"
#include "executors/item.h"
#include "executors/queue.h"
#include "futures/op.h"
#include "futures/op_coro.h"
#include "py/asyncio.h"

#include <netdb.h>
#include <string.h>

/* --- the threads ------------------------------------------------------------ */

/* The loop's resolver, borrowed, made when it is first needed; or NULL with an
 * exception set. */
static PyObject *
resolver_of_borrow(LoopObject *loop)
{
    if (loop->resolver == NULL || loop->resolver == Py_None) {
        PyObject *cls = al_import_attribute("asyncloop._resolver", "Resolver");
        PyObject *made = cls == NULL ? NULL : PyObject_CallNoArgs(cls);
        Py_XDECREF(cls);
        Py_XSETREF(loop->resolver, made);
    }
    return loop->resolver;
}

/* The queue of a resolver: new reference, or NULL with an exception set. */
static WorkQueueObject *
queue_of(struct al_state *st, PyObject *resolver)
{
    PyObject *queue = PyObject_GetAttr(resolver, st->str__work_queue);

    if (queue != NULL && !Py_IS_TYPE(queue, st->work_queue_type)) {
        PyErr_SetString(PyExc_TypeError, "the resolver has no queue of ours");
        Py_CLEAR(queue);
    }
    return (WorkQueueObject *)queue;
}

/* Have a thread call the function, and give the future of its outcome, or
 * NULL with an exception set. */
static PyObject *
future_of_call(LoopObject *loop, PyObject *function, PyObject *const *args,
               size_t nargs)
{
    PyObject *resolver = resolver_of_borrow(loop);
    WorkQueueObject *queue =
        resolver == NULL ? NULL : queue_of(loop->st, resolver);
    if (queue == NULL) {
        return NULL;
    }
    Py_INCREF(resolver); /* making a future may run foreign code */
    PyObject *future = PyObject_CallMethodNoArgs((PyObject *)loop,
                                                 loop->st->str_create_future);
    WorkItemObject *item =
        future == NULL ? NULL
                       : al_item_new(loop, future, function, args, nargs);
    int rc = item == NULL ? -1
                          : al_executor_enqueue_steal(loop, resolver, queue,
                                                      (PyObject *)item);
    Py_DECREF(queue);
    Py_DECREF(resolver);
    if (rc != 1) {
        Py_CLEAR(future);
        if (rc == 0) {
            PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        }
    }
    return future;
}

/* Await a call in a thread. */
static al_op_outcome
call_in_thread(OpObject *self, PyObject *function, PyObject *const *args,
               size_t nargs)
{
    PyObject *future = future_of_call(self->loop, function, args, nargs);

    if (future != NULL) {
        unaryfunc await = Py_TYPE(future)->tp_as_async == NULL
                              ? NULL
                              : Py_TYPE(future)->tp_as_async->am_await;
        if (await == NULL) {
            PyErr_SetString(PyExc_TypeError,
                            "create_future() gave what cannot be awaited");
        }
        else {
            self->inner = await(future);
        }
        Py_DECREF(future);
    }
    return self->inner == NULL ? AL_OP_FAILED : AL_OP_INNER;
}

/* --- which function ---------------------------------------------------------- */

/* socket.name, where asyncio's own code looks for it: new reference, or NULL
 * with an exception set. */
static PyObject *
function_now(struct al_state *st, PyObject *name)
{
    PyObject *module =
        PyDict_GetItemWithError(st->mod_base_events_dict, st->str_socket);

    if (module == st->mod_socket) {
        PyObject *function =
            PyDict_GetItemWithError(st->mod_socket_dict, name);
        if (function != NULL) {
            return Py_NewRef(function);
        }
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    return PyObject_GetAttr(module == NULL ? st->mod_socket : module, name);
}

/* The operation's arguments with their defaults, as the socket module's
 * functions want them. All borrowed. */
static void
with_defaults(OpObject *self, PyObject *zero, PyObject **args)
{
    for (size_t i = 0; i < self->kind->most; i++) {
        args[i] = self->args[i] == NULL ? zero : self->args[i];
    }
}

/* Call the function now, or in a thread. Steals it. */
static al_op_outcome
call_steal(OpObject *self, PyObject *function, bool now)
{
    PyObject *args[AL_OP_ARGS];
    size_t nargs = self->kind->most;
    PyObject *zero = PyLong_FromLong(0);
    al_op_outcome outcome;

    with_defaults(self, zero, args);
    if (now) {
        outcome = al_op_done_steal(
            self, PyObject_Vectorcall(function, args, nargs, NULL));
    }
    else {
        outcome = call_in_thread(self, function, args, nargs);
    }
    Py_DECREF(zero);
    Py_DECREF(function);
    return outcome;
}

/* --- the methods ------------------------------------------------------------- */

/* socket.getaddrinfo is the socket module's own: do what it does. Steals
 * it. */
static al_op_outcome
resolve_steal(OpObject *self, PyObject *genuine)
{
    struct al_state *st = self->loop->st;
    PyObject *const *args = self->args;
    al_query query;

    if (!al_query_read(&query, args)) {
        return call_steal(self, genuine, false);
    }
    PyObject *answer = NULL;
    int is_literal = al_addrinfo_of_literal(st, &query, args, &answer);
    if (is_literal == 0 && al_query_is_numeric(&query)) {
        return call_steal(self, genuine, true);
    }
    Py_DECREF(genuine);
    if (is_literal < 0 ||
        PySys_Audit("socket.getaddrinfo", "OOiii", args[AL_ASK_HOST],
                    args[AL_ASK_PORT], query.family, query.type,
                    query.proto) < 0) {
        Py_XDECREF(answer);
        return AL_OP_FAILED;
    }
    return is_literal
               ? al_op_done_steal(self, answer)
               : call_steal(self, Py_NewRef(st->look_up_function), false);
}

static al_op_outcome
getaddrinfo_begin(OpObject *self)
{
    LoopObject *loop = self->loop;
    struct al_state *st = loop->st;

    if (al_loop_check_closed(loop) < 0) {
        return AL_OP_FAILED;
    }
    PyObject *function =
        loop->debug
            ? PyObject_GetAttr((PyObject *)loop, st->str__getaddrinfo_debug)
            : function_now(st, st->str_getaddrinfo);
    if (function == NULL) {
        return AL_OP_FAILED;
    }
    return function == st->genuine_getaddrinfo
               ? resolve_steal(self, function)
               : call_steal(self, function, false);
}

/* Is nothing to be looked up for this? */
static bool
wants_numbers(OpObject *self)
{
    PyObject *flags = self->args[1];
    int both = NI_NUMERICHOST | NI_NUMERICSERV;

    if (flags == NULL || !PyLong_CheckExact(flags) ||
        !PyTuple_CheckExact(self->args[0])) {
        return false;
    }
    int overflow;
    long bits = PyLong_AsLongAndOverflow(flags, &overflow);
    return overflow == 0 && bits >= 0 && bits <= INT_MAX &&
           (bits & both) == both;
}

static al_op_outcome
getnameinfo_begin(OpObject *self)
{
    struct al_state *st = self->loop->st;

    if (al_loop_check_closed(self->loop) < 0) {
        return AL_OP_FAILED;
    }
    PyObject *function = function_now(st, st->str_getnameinfo);
    if (function == NULL) {
        return AL_OP_FAILED;
    }
    bool now = function == st->genuine_getnameinfo && wants_numbers(self);
    return call_steal(self, function, now);
}

static const al_op_family lookup_family = {
    .type = offsetof(struct al_state, lookup_type),
    .free_list = offsetof(struct al_state, free_lookups),
};

#define NAME(name) offsetof(struct al_state, str_##name)

static const al_op_kind getaddrinfo_kind = {
    .family = &lookup_family,
    .name = "getaddrinfo",
    .required = 2,
    .positional = 2,
    .most = AL_ASK_ARGS,
    .names = {NAME(host), NAME(port), NAME(family), NAME(type), NAME(proto),
              NAME(flags)},
    .begin = getaddrinfo_begin,
};

static const al_op_kind getnameinfo_kind = {
    .family = &lookup_family,
    .name = "getnameinfo",
    .required = 1,
    .positional = 2,
    .most = 2,
    .names = {NAME(sockaddr), NAME(flags)},
    .begin = getnameinfo_begin,
};

PyObject *
al_resolve_py_getaddrinfo(PyObject *op, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames)
{
    return al_op_new(&getaddrinfo_kind, (LoopObject *)op, args, nargs,
                     kwnames);
}

PyObject *
al_resolve_py_getnameinfo(PyObject *op, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames)
{
    return al_op_new(&getnameinfo_kind, (LoopObject *)op, args, nargs,
                     kwnames);
}

/* --- set-up ------------------------------------------------------------------ */

static PyType_Slot lookup_slots[] = {
    AL_OP_SLOTS,
    {Py_tp_dealloc, al_op_tp_dealloc},
    {Py_tp_doc, "A look-up of names or addresses, to be awaited."},
    {0, NULL},
};

static PyType_Spec lookup_spec = {
    .name = "asyncloop._core.Lookup",
    .basicsize = sizeof(OpObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lookup_slots,
};

static PyMethodDef look_up_def = {
    "look_up", _PyCFunction_CAST(al_addrinfo_py_look_up), METH_FASTCALL, NULL};

/* Remember the socket module's two functions, unless somebody has replaced one
 * before we were imported: a replacement has the globals of another module, or
 * is no function in C. 0, or -1 with an exception set. */
static int
find_genuine(struct al_state *st)
{
    PyObject *function = function_now(st, st->str_getaddrinfo);
    if (function == NULL) {
        return -1;
    }
    if (PyFunction_Check(function) &&
        PyFunction_GET_GLOBALS(function) == st->mod_socket_dict) {
        st->genuine_getaddrinfo = Py_NewRef(function);
    }
    Py_DECREF(function);
    function = function_now(st, st->str_getnameinfo);
    if (function == NULL) {
        return -1;
    }
    if (PyCFunction_Check(function)) {
        st->genuine_getnameinfo = Py_NewRef(function);
    }
    Py_DECREF(function);
    return 0;
}

int
al_resolve_setup(PyObject *module, struct al_state *st)
{
    if (find_genuine(st) < 0) {
        return -1;
    }
    st->lookup_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &lookup_spec, NULL);
    st->look_up_function = PyCFunction_New(&look_up_def, module);
    return st->lookup_type == NULL || st->look_up_function == NULL ? -1 : 0;
}
