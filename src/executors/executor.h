/* executor.h - run_in_executor, as a method of Loop. */
#ifndef AL_EXECUTORS_EXECUTOR_H
#define AL_EXECUTORS_EXECUTOR_H

#include "executors/queue.h"
#include "loop/loop.h"

PyObject *al_executor_py_run(PyObject *op, PyObject *const *args,
                             Py_ssize_t nargs, PyObject *kwnames);

PyObject *al_executor_py_register_pool(PyObject *module, PyObject *const *args,
                                       Py_ssize_t nargs);

#define AL_EXECUTOR_FUNCTIONS                                                 \
    {                                                                         \
        "_register_pool", _PyCFunction_CAST(al_executor_py_register_pool),    \
            METH_FASTCALL, NULL                                               \
    }

/* Put an item into the queue of a pool; where a thread is missing, Python's
 * part of the pool, its `_enqueue`, does so under the locks that shutdown
 * takes. Steals the item. 1; 0: the pool takes no work any more; -1 with an
 * exception set. */
int al_executor_enqueue_steal(LoopObject *self, PyObject *pool,
                              WorkQueueObject *queue, PyObject *item);

/* Give a new loop its work_ops. */
void al_executor_setup_loop(LoopObject *self);

#define AL_EXECUTOR_LOOP_METHODS                                              \
    {                                                                         \
        "run_in_executor", _PyCFunction_CAST(al_executor_py_run),             \
            METH_FASTCALL | METH_KEYWORDS,                                    \
            "run_in_executor($self, executor, func, *args)\n--\n\n"           \
            "Call a function in another thread or process; a future."         \
    }

#endif
