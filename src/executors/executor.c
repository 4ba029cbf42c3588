/* executor.c - run_in_executor.
 *
 * With an executor of ours a function goes straight into its queue, and comes
 * back with its outcome to a future of the loop. Every other executor is asked
 * by submit(), and asyncio's wrap_future brings the outcome back, over
 * call_soon_threadsafe; ours as well, as soon as somebody has replaced one of
 * the two methods.
 *
 * Threads: the loop's.
 */

#include "executors/executor.h"

#include "executors/item.h"
#include "py/args.h"
#include "py/asyncio.h"

static const struct al_work_ops work_ops = {
    .deliver_steal = al_item_deliver_steal,
    .wake_worker = al_queue_wake_worker,
};

void
al_executor_setup_loop(LoopObject *self)
{
    self->work_ops = &work_ops;
}

/* --- which executor ---------------------------------------------------------- */

/* _register_pool(class, submit): called by asyncloop/_executor.py, which is
 * imported when it is first needed, because what it stands on takes time. */
PyObject *
al_executor_py_register_pool(PyObject *module, PyObject *const *args,
                             Py_ssize_t nargs)
{
    struct al_state *st = al_state_of_module(module);

    if (nargs != 2 || !PyType_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "expected a class and a function");
        return NULL;
    }
    Py_XSETREF(st->pool_class, Py_NewRef(args[0]));
    Py_XSETREF(st->pool_submit, Py_NewRef(args[1]));
    Py_RETURN_NONE;
}

/* The loop's own executor, made when it is first asked for: new reference, or
 * NULL with an exception set. */
static PyObject *
default_executor(LoopObject *self)
{
    PyObject *executor = self->default_executor;

    if (self->executor_shutdown_called) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Executor shutdown has been called");
        return NULL;
    }
    if (executor != NULL && executor != Py_None) {
        return Py_NewRef(executor);
    }
    PyObject *cls =
        al_import_attribute("asyncloop._executor", "ThreadPoolExecutor");
    if (cls == NULL) {
        return NULL;
    }
    executor = PyObject_CallFunction(cls, "Os", Py_None, "asyncio");
    Py_DECREF(cls);
    if (executor != NULL) {
        Py_XSETREF(self->default_executor, Py_NewRef(executor));
    }
    return executor;
}

/* Is executor.submit the method that the executor was made with? Tracers
 * replace it on the class, on the standard library's class, or on an
 * instance, and want to see every call. -1 with an exception set. */
static int
submit_is_genuine(struct al_state *st, PyObject *executor)
{
    PyObject *submit = PyObject_GetAttr(executor, st->str_submit);
    if (submit == NULL) {
        return -1;
    }
    int genuine = PyMethod_Check(submit) &&
                  PyMethod_GET_FUNCTION(submit) == st->pool_submit;
    Py_DECREF(submit);
    return genuine;
}

/* The queue of an executor of ours that takes work directly: new reference;
 * NULL without an exception when submit() must be asked. */
static WorkQueueObject *
queue_of(LoopObject *self, PyObject *executor)
{
    struct al_state *st = self->st;

    if (st->pool_class == NULL || self->threadsafe_is_overridden ||
        !PyObject_TypeCheck(executor, (PyTypeObject *)st->pool_class) ||
        submit_is_genuine(st, executor) != 1) {
        return NULL;
    }
    PyObject *queue = PyObject_GetAttr(executor, st->str__work_queue);
    if (queue == NULL) {
        return NULL;
    }
    if (!Py_IS_TYPE(queue, st->work_queue_type) ||
        ((WorkQueueObject *)queue)->refusing) {
        Py_DECREF(queue);
        return NULL;
    }
    return (WorkQueueObject *)queue;
}

/* --- the two ways ------------------------------------------------------------ */

int
al_executor_enqueue_steal(LoopObject *self, PyObject *pool,
                          WorkQueueObject *queue, PyObject *item)
{
    if (al_queue_has_room(queue)) {
        bool is_loops_thread =
            self->running && self->thread_id == PyThread_get_thread_ident();
        return al_queue_put_steal(queue, item, is_loops_thread ? self : NULL) <
                       0
                   ? -1
                   : 1;
    }
    PyObject *answer =
        PyObject_CallMethodOneArg(pool, self->st->str__enqueue, item);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_DECREF(item);
    Py_XDECREF(answer);
    return truth;
}

/* The future, or NULL: with an exception set, or without one when submit()
 * must be asked. */
static PyObject *
run_directly(LoopObject *self, PyObject *executor, PyObject *function,
             PyObject *const *args, size_t nargs)
{
    WorkQueueObject *queue = queue_of(self, executor);
    if (queue == NULL) {
        return NULL;
    }
    PyObject *future = PyObject_CallMethodNoArgs((PyObject *)self,
                                                 self->st->str_create_future);
    WorkItemObject *item =
        future == NULL ? NULL
                       : al_item_new(self, future, function, args, nargs);
    int rc = item == NULL ? -1
                          : al_executor_enqueue_steal(self, executor, queue,
                                                      (PyObject *)item);
    Py_DECREF(queue);
    if (rc != 1) {
        Py_CLEAR(future);
    }
    return future;
}

/* wrap_future(executor.submit(function, *args), loop=self) */
static PyObject *
run_by_submit(LoopObject *self, PyObject *executor, PyObject *function,
              PyObject *const *args, size_t nargs)
{
    struct al_state *st = self->st;
    PyObject **stack = PyMem_New(PyObject *, nargs + 2);
    if (stack == NULL) {
        return PyErr_NoMemory();
    }
    stack[0] = executor;
    stack[1] = function;
    for (size_t i = 0; i < nargs; i++) {
        stack[i + 2] = args[i];
    }
    PyObject *concurrent =
        PyObject_VectorcallMethod(st->str_submit, stack, nargs + 2, NULL);
    PyMem_Free(stack);
    if (concurrent == NULL) {
        return NULL;
    }
    PyObject *wrap_args[] = {concurrent, (PyObject *)self};
    PyObject *future =
        PyObject_Vectorcall(st->aio_wrap_future, wrap_args, 1, st->kw_loop);
    Py_DECREF(concurrent);
    return future;
}

static int
check_function(LoopObject *self, PyObject *function)
{
    struct al_state *st = self->st;
    PyObject *result =
        PyObject_CallMethodObjArgs((PyObject *)self, st->str__check_callback,
                                   function, st->str_run_in_executor, NULL);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

PyObject *
al_executor_py_run(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct al_state *st = self->st;
    PyObject *names[] = {st->str_executor, st->str_func};
    PyObject *values[2];
    size_t rest;

    if (al_args_take("run_in_executor", names, 2, NULL, NULL, args, nargs,
                     kwnames, values, &rest) < 0 ||
        al_loop_check_closed(self) < 0 ||
        (self->debug && check_function(self, values[1]) < 0)) {
        return NULL;
    }
    PyObject *executor =
        values[0] == Py_None ? default_executor(self) : Py_NewRef(values[0]);
    if (executor == NULL) {
        return NULL;
    }
    PyObject *const *more = args + nargs - rest;
    PyObject *future = run_directly(self, executor, values[1], more, rest);
    if (future == NULL && !PyErr_Occurred()) {
        future = run_by_submit(self, executor, values[1], more, rest);
    }
    Py_DECREF(executor);
    return future;
}
