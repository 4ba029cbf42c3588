/* sched.h - call_soon and its family, as methods of Loop. */
#ifndef AL_LOOP_SCHED_H
#define AL_LOOP_SCHED_H

#include "loop/loop.h"

PyObject *al_sched_py_call_soon(PyObject *op, PyObject *const *args,
                                Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_sched_py_call_soon_threadsafe(PyObject *op, PyObject *const *args,
                                           Py_ssize_t nargs,
                                           PyObject *kwnames);
PyObject *al_sched_py_call_later(PyObject *op, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_sched_py_call_at(PyObject *op, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_sched_py_time(PyObject *op, PyObject *unused);
PyObject *al_sched_py_timer_handle_cancelled(PyObject *op, PyObject *handle);

#define AL_SCHED_LOOP_METHODS                                                 \
    {"call_soon", _PyCFunction_CAST(al_sched_py_call_soon),                   \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "call_soon($self, callback, *args, context=None)\n--\n\n"                \
     "Run a callback in the next turn of the loop."},                         \
        {"call_soon_threadsafe",                                              \
         _PyCFunction_CAST(al_sched_py_call_soon_threadsafe),                 \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "call_soon_threadsafe($self, callback, *args, context=None)\n"       \
         "--\n\nLike call_soon, from any thread."},                           \
        {"call_later", _PyCFunction_CAST(al_sched_py_call_later),             \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "call_later($self, delay, callback, *args, context=None)\n--\n\n"    \
         "Run a callback after a number of seconds."},                        \
        {"call_at", _PyCFunction_CAST(al_sched_py_call_at),                   \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "call_at($self, when, callback, *args, context=None)\n--\n\n"        \
         "Run a callback when the loop's clock reads `when`."},               \
        {"time", al_sched_py_time, METH_NOARGS,                               \
         "time($self, /)\n--\n\nThe loop's clock, in seconds."},              \
    {                                                                         \
        "_timer_handle_cancelled", al_sched_py_timer_handle_cancelled,        \
            METH_O, NULL                                                      \
    }

/* The copy of the current context that a callback is to run in: new reference,
 * NULL for an empty one; `*failed` tells NULL with an exception apart. */
PyObject *al_sched_copy_context(bool *failed);

/* call_soon, in a context that is given; NULL is the empty one, and not the
 * current one's copy. 0, or -1 with an exception set. */
int al_sched_call_in(LoopObject *self, PyObject *context, PyObject *callback,
                     PyObject *const *args, size_t nargs);

/* A handle for a reader, a writer or a signal, made as call_soon makes one
 * but not queued. `context` may be NULL: the current one is copied. */
HandleObject *al_sched_new_handle(LoopObject *self, PyObject *callback,
                                  PyObject *const *args, size_t nargs,
                                  PyObject *context);

#endif
