/* waiter.c - see waiter.h. Where the layout of futures is not known, their
 * own methods do the same.
 *
 * Ownership: the awaitable has a reference, whoever drives it another.
 */

#include "futures/waiter.h"

#include "futures/create.h"
#include "futures/layout.h"
#include "futures/step.h"

PyObject *
al_waiter_new(LoopObject *loop)
{
    return al_create_py_future((PyObject *)loop, NULL);
}

/* The truth of what a method or attribute gave; steals it. */
static int
truth_steal(PyObject *value)
{
    int truth = value == NULL ? -1 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return truth;
}

static int
is_pending_slow(LoopObject *loop, PyObject *waiter)
{
    int is_done =
        truth_steal(PyObject_CallMethodNoArgs(waiter, loop->st->str_done));
    return is_done < 0 ? -1 : !is_done;
}

static PyObject *
yield_slow(LoopObject *loop, PyObject *waiter)
{
    if (PyObject_SetAttr(waiter, loop->st->str__asyncio_future_blocking,
                         Py_True) < 0) {
        return NULL;
    }
    return Py_NewRef(waiter);
}

static int
is_marked_slow(LoopObject *loop, PyObject *waiter)
{
    return truth_steal(
        PyObject_GetAttr(waiter, loop->st->str__asyncio_future_blocking));
}

static int
wake_slow(LoopObject *loop, PyObject *waiter)
{
    PyObject *result =
        PyObject_CallMethodOneArg(waiter, loop->st->str_set_result, Py_None);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
take_slow(LoopObject *loop, PyObject *waiter)
{
    PyObject *result = PyObject_CallMethodNoArgs(waiter, loop->st->str_result);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

#if AL_TASK_LAYOUT

int
al_waiter_take(LoopObject *loop, PyObject *waiter)
{
    const al_future *future = (al_future *)waiter;

    return loop->st->native_tasks && future->state == AL_FINISHED &&
                   future->exception == NULL
               ? 0
               : take_slow(loop, waiter);
}

int
al_waiter_is_pending(LoopObject *loop, PyObject *waiter)
{
    return loop->st->native_tasks ? ((al_future *)waiter)->state == AL_PENDING
                                  : is_pending_slow(loop, waiter);
}

PyObject *
al_waiter_yield(LoopObject *loop, PyObject *waiter)
{
    if (!loop->st->native_tasks) {
        return yield_slow(loop, waiter);
    }
    al_future_set_blocking((al_future *)waiter);
    return Py_NewRef(waiter);
}

int
al_waiter_is_marked(LoopObject *loop, PyObject *waiter)
{
    return loop->st->native_tasks ? al_future_blocking((al_future *)waiter)
                                  : is_marked_slow(loop, waiter);
}

int
al_waiter_wake(LoopObject *loop, PyObject *waiter)
{
    al_future *future = (al_future *)waiter;

    if (!loop->st->native_tasks) {
        return wake_slow(loop, waiter);
    }
    future->result = Py_NewRef(Py_None); /* the future's */
    future->state = AL_FINISHED;
    return al_step_queue_callbacks(loop, future);
}

#else

int
al_waiter_take(LoopObject *loop, PyObject *waiter)
{
    return take_slow(loop, waiter);
}

int
al_waiter_is_pending(LoopObject *loop, PyObject *waiter)
{
    return is_pending_slow(loop, waiter);
}

PyObject *
al_waiter_yield(LoopObject *loop, PyObject *waiter)
{
    return yield_slow(loop, waiter);
}

int
al_waiter_is_marked(LoopObject *loop, PyObject *waiter)
{
    return is_marked_slow(loop, waiter);
}

int
al_waiter_wake(LoopObject *loop, PyObject *waiter)
{
    return wake_slow(loop, waiter);
}

#endif
