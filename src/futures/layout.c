/* layout.c - showing the raw fields to the import-time probe.
 *
 * Values are integers: an address that is wrong must never be followed.
 *
 * Threads: any, with the GIL.
 */

#include "futures/layout.h"

#include <string.h>

#if AL_TASK_LAYOUT

_Static_assert(offsetof(al_future, cancel_msg) == 80, "as in every version");
#if AL_TASK_LAYOUT == 311
_Static_assert(offsetof(al_future, cancelled_exc) == 120, "3.11, 3.12");
_Static_assert(offsetof(al_task, fut_waiter) == 128, "3.11, 3.12");
#elif AL_TASK_LAYOUT == 313
_Static_assert(offsetof(al_future, bits) == 100, "3.13");
_Static_assert(offsetof(al_task, num_cancels) == 104, "3.13");
_Static_assert(offsetof(al_task, fut_waiter) == 112, "3.13");
#else
_Static_assert(offsetof(al_future, bits) == 110, "3.14, 3.15");
_Static_assert(offsetof(al_task, num_cancels) == 112, "3.14, 3.15");
_Static_assert(offsetof(al_task, fut_waiter) == 120, "3.14, 3.15");
_Static_assert(offsetof(al_task, node) == 152, "3.14, 3.15");
#endif

/* Set dict[name] to a number. 0, or -1 with an exception set. */
static int
put(PyObject *dict, const char *name, const void *value)
{
    PyObject *number = PyLong_FromVoidPtr((void *)value);
    if (number == NULL) {
        return -1;
    }
    int rc = PyDict_SetItemString(dict, name, number);
    Py_DECREF(number);
    return rc;
}

#define PUT(name, value)                                                      \
    (put(fields, name, (const void *)(uintptr_t)(value)) < 0)

static int
peek_future(PyObject *fields, const al_future *future)
{
    if (PUT("loop", future->loop) || PUT("callback0", future->callback0) ||
        PUT("context0", future->context0) ||
        PUT("callbacks", future->callbacks) ||
        PUT("exception", future->exception) || PUT("result", future->result) ||
        PUT("cancel_msg", future->cancel_msg) ||
        PUT("cancelled_exc", future->cancelled_exc) ||
        PUT("state", future->state) ||
        PUT("blocking", al_future_blocking(future))) {
        return -1;
    }
#if AL_TASK_LAYOUT == 311
    return PUT("log_tb", future->log_tb) ? -1 : 0;
#else
    return PUT("log_tb", future->bits & AL_BIT_LOG_TB) ? -1 : 0;
#endif
}

static int
peek_task(PyObject *fields, const al_task *task)
{
    if (PUT("fut_waiter", task->fut_waiter) || PUT("coro", task->coro) ||
        PUT("name", task->name) || PUT("context", task->context) ||
        PUT("must_cancel", al_task_must_cancel(task)) ||
        PUT("num_cancels", task->num_cancels)) {
        return -1;
    }
#if AL_TASK_LAYOUT == 311
    return PUT("log_destroy", task->log_destroy_pending) ? -1 : 0;
#else
    return PUT("log_destroy", (task->base.bits & AL_BIT_LOG_DESTROY) != 0) ? -1
                                                                           : 0;
#endif
}

#if AL_TASK_LAYOUT == 314

static int
peek_newer(PyObject *fields, const al_future *future, const al_task *task)
{
    if (PUT("awaited_by", future->awaited_by) ||
        PUT("is_task", future->is_task != 0) ||
        PUT("awaited_by_is_set", future->awaited_by_is_set != 0)) {
        return -1;
    }
    if (task != NULL &&
        (PUT("node", &task->node) || PUT("node_next", task->node.next) ||
         PUT("node_prev", task->node.prev))) {
        return -1;
    }
    return 0;
}

#endif

PyObject *
al_layout_py_peek_future(PyObject *module, PyObject *op)
{
    struct al_state *st = al_state_of_module(module);
    bool is_task = Py_IS_TYPE(op, (PyTypeObject *)st->aio_Task);
    bool fits = is_task ? Py_TYPE(op)->tp_basicsize == sizeof(al_task)
                        : Py_IS_TYPE(op, (PyTypeObject *)st->aio_Future) &&
                              Py_TYPE(op)->tp_basicsize == sizeof(al_future);
    PyObject *fields = PyDict_New();

    if (fields == NULL || !fits) {
        return fields;
    }
    al_task *task = is_task ? (al_task *)op : NULL;
    int rc = peek_future(fields, (al_future *)op);
    if (rc == 0 && task != NULL) {
        rc = peek_task(fields, task);
    }
#if AL_TASK_LAYOUT == 314
    if (rc == 0) {
        rc = peek_newer(fields, (al_future *)op, task);
    }
#endif
    if (rc < 0) {
        Py_CLEAR(fields);
    }
    return fields;
}

PyObject *
al_layout_py_peek_step(PyObject *module, PyObject *op)
{
    (void)module;
    PyObject *fields = PyDict_New();

    if (fields == NULL || Py_TYPE(op)->tp_basicsize != sizeof(al_stock_step)) {
        return fields;
    }
    al_stock_step *step = (al_stock_step *)op;
    if (PUT("task", step->task) || PUT("arg", step->arg)) {
        Py_CLEAR(fields);
    }
    return fields;
}

#else

PyObject *
al_layout_py_peek_future(PyObject *module, PyObject *op)
{
    (void)module;
    (void)op;
    return PyDict_New();
}

PyObject *
al_layout_py_peek_step(PyObject *module, PyObject *op)
{
    (void)module;
    (void)op;
    return PyDict_New();
}

#endif

PyObject *
al_layout_py_peek_thread(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *fields = PyDict_New();
#if AL_TASK_LAYOUT == 314
    al_thread_tasks *thread = al_thread_tasks_of(PyThreadState_Get());
    if (fields != NULL && (PUT("running_loop", thread->running_loop) ||
                           PUT("running_task", thread->running_task) ||
                           PUT("tasks", &thread->tasks) ||
                           PUT("tasks_next", thread->tasks.next) ||
                           PUT("tasks_prev", thread->tasks.prev))) {
        Py_CLEAR(fields);
    }
#endif
    return fields;
}
