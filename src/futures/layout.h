/* layout.h - where _asyncio's Future and Task keep their fields.
 *
 * Every field of theirs that asyncloop reads or writes is named here, for
 * each minor version of CPython that it was found in (x86-64 and other LP64
 * systems), and nowhere else. Nothing is believed: at import layout.c lets
 * asyncloop/_probe.py check each field on live objects, and when one is not
 * where this file says, or the version is unknown, native steps stay off and
 * asyncio's own machinery runs. docs/compat.md has the history.
 *
 *           3.11, 3.12   3.13   3.14, 3.15
 * awaited_by     -         -         96     one waiter, or a set of them
 * state         88        96        104
 * flags     ints 92..168  100        110     one byte of bits
 *
 * Ownership: object fields are strong references of the future or task.
 */
#ifndef AL_FUTURES_LAYOUT_H
#define AL_FUTURES_LAYOUT_H

#include "py/state.h"

/* AL_TASK_LAYOUT is 0 where no layout is known. */
#if AL_HAVE_TASK_LAYOUT_311
#define AL_TASK_LAYOUT 311
#elif AL_HAVE_TASK_LAYOUT_313
#define AL_TASK_LAYOUT 313
#elif AL_HAVE_TASK_LAYOUT_314
#define AL_TASK_LAYOUT 314
#else
#define AL_TASK_LAYOUT 0
#endif

enum { AL_PENDING = 0, AL_CANCELLED = 1, AL_FINISHED = 2 };

typedef struct {
    PyObject_HEAD
    PyObject *loop;
    PyObject *callback0;
    PyObject *context0;
    PyObject *callbacks;
    PyObject *exception;
    PyObject *exception_tb;
    PyObject *result;
    PyObject *source_tb;
    PyObject *cancel_msg;
#if AL_TASK_LAYOUT == 311
    int state;
    int log_tb;
    int blocking;
    PyObject *dict;
    PyObject *weakrefs;
    PyObject *cancelled_exc;
#elif AL_TASK_LAYOUT == 313
    PyObject *cancelled_exc;
    int state;
    uint8_t bits; /* 1 log_tb, 2 blocking, 4 must_cancel, 8 log_destroy */
#else
    PyObject *cancelled_exc;
    PyObject *awaited_by;
    int state;
    char is_task;
    char awaited_by_is_set;
    uint8_t bits;
#endif
} al_future;

typedef struct al_node {
    struct al_node *next;
    struct al_node *prev;
} al_node;

typedef struct {
    al_future base;
#if AL_TASK_LAYOUT == 311
    PyObject *fut_waiter;
    PyObject *coro;
    PyObject *name;
    PyObject *context;
    int must_cancel;
    int log_destroy_pending;
    int num_cancels;
#else
    int num_cancels;
    PyObject *fut_waiter;
    PyObject *coro;
    PyObject *name;
    PyObject *context;
#if AL_TASK_LAYOUT == 314
    al_node node; /* in the thread's list of tasks; NULLs when not in it */
#endif
#endif
} al_task;

/* The object that a stock task gives to call_soon for a step. */
typedef struct {
    PyObject_HEAD
    PyObject *task;
    PyObject *arg; /* an exception to throw, or NULL */
} al_stock_step;

enum {
    AL_BIT_LOG_TB = 1,
    AL_BIT_BLOCKING = 2,
    AL_BIT_MUST_CANCEL = 4,
    AL_BIT_LOG_DESTROY = 8
};

#if AL_TASK_LAYOUT == 311

static inline bool
al_future_blocking(const al_future *future)
{
    return future->blocking;
}

static inline void
al_future_clear_blocking(al_future *future)
{
    future->blocking = 0;
}

static inline void
al_future_set_blocking(al_future *future)
{
    future->blocking = 1;
}

static inline void
al_future_clear_log_tb(al_future *future)
{
    future->log_tb = 0;
}

static inline bool
al_task_must_cancel(const al_task *task)
{
    return task->must_cancel;
}

static inline void
al_task_clear_must_cancel(al_task *task)
{
    task->must_cancel = 0;
}

static inline void
al_task_set_log_destroy(al_task *task)
{
    task->log_destroy_pending = 1;
}

#else

static inline bool
al_future_blocking(const al_future *future)
{
    return future->bits & AL_BIT_BLOCKING;
}

static inline void
al_future_clear_blocking(al_future *future)
{
    future->bits &= (uint8_t)~AL_BIT_BLOCKING;
}

static inline void
al_future_set_blocking(al_future *future)
{
    future->bits |= AL_BIT_BLOCKING;
}

static inline void
al_future_clear_log_tb(al_future *future)
{
    future->bits &= (uint8_t)~AL_BIT_LOG_TB;
}

static inline bool
al_task_must_cancel(const al_task *task)
{
    return task->base.bits & AL_BIT_MUST_CANCEL;
}

static inline void
al_task_clear_must_cancel(al_task *task)
{
    task->base.bits &= (uint8_t)~AL_BIT_MUST_CANCEL;
}

static inline void
al_task_set_log_destroy(al_task *task)
{
    task->base.bits |= AL_BIT_LOG_DESTROY;
}

#endif

#if AL_TASK_LAYOUT == 314

/* The part of the thread state that asyncio uses, behind the public part;
 * moved between 3.14 and 3.15. */
typedef struct {
    PyObject *running_loop;
    PyObject *running_task;
#if AL_THREAD_HAS_GAP
    void *gap;
#endif
    al_node tasks; /* head of the circular list of this thread's tasks */
} al_thread_tasks;

static inline al_thread_tasks *
al_thread_tasks_of(PyThreadState *tstate)
{
    return (al_thread_tasks *)((char *)tstate + AL_THREAD_TASKS_OFFSET);
}

#endif

/* Python functions for the probe: _peek_future(obj) gives the raw fields of a
 * Future or Task as integers, {} without a layout; _peek_step(obj) those of a
 * stock step; _peek_thread() those of this thread. */
PyObject *al_layout_py_peek_future(PyObject *module, PyObject *future);
PyObject *al_layout_py_peek_step(PyObject *module, PyObject *step);
PyObject *al_layout_py_peek_thread(PyObject *module, PyObject *unused);

#define AL_LAYOUT_FUNCTIONS                                                   \
    {"_peek_future", al_layout_py_peek_future, METH_O, NULL},                 \
        {"_peek_step", al_layout_py_peek_step, METH_O, NULL},                 \
    {                                                                         \
        "_peek_thread", al_layout_py_peek_thread, METH_NOARGS, NULL           \
    }

#endif
