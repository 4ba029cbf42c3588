/* lifecycle.h - run_forever, run_until_complete, stop, close, is_*. */
#ifndef AL_LOOP_LIFECYCLE_H
#define AL_LOOP_LIFECYCLE_H

#include "loop/loop.h"

PyObject *al_life_py_run_forever(PyObject *op, PyObject *unused);
PyObject *al_life_py_run_until_complete(PyObject *op, PyObject *const *args,
                                        Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_life_py_stop(PyObject *op, PyObject *unused);
PyObject *al_life_py_close(PyObject *op, PyObject *unused);
PyObject *al_life_py_is_running(PyObject *op, PyObject *unused);
PyObject *al_life_py_is_closed(PyObject *op, PyObject *unused);
PyObject *al_life_py_get_debug(PyObject *op, PyObject *unused);
PyObject *al_life_py_set_debug(PyObject *op, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_life_py_check_closed(PyObject *op, PyObject *unused);
PyObject *al_life_py_check_running(PyObject *op, PyObject *unused);
PyObject *al_life_py_add_callback(PyObject *op, PyObject *handle);
PyObject *al_life_py_write_to_self(PyObject *op, PyObject *unused);

/* Note which of the methods that C calls itself or cuts short are not ours:
 * when a loop is made, when it is to run, and when an attribute is set.
 * 0, or -1 with an exception set. */
int al_life_look_for_overrides(LoopObject *self);

/* Set the debug flag where it is kept. */
void al_life_set_debug_flag(LoopObject *self, bool enabled);

#define AL_LIFE_LOOP_METHODS                                                  \
    {"run_forever", al_life_py_run_forever, METH_NOARGS,                      \
     "run_forever($self, /)\n--\n\nRun until stop() is called."},             \
        {"run_until_complete",                                                \
         _PyCFunction_CAST(al_life_py_run_until_complete),                    \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "run_until_complete($self, future)\n--\n\n"                          \
         "Run until the future is done and return its result."},              \
        {"stop", al_life_py_stop, METH_NOARGS,                                \
         "stop($self, /)\n--\n\nLeave run_forever at the end of this turn."}, \
        {"close", al_life_py_close, METH_NOARGS,                              \
         "close($self, /)\n--\n\nRelease everything the loop holds."},        \
        {"is_running", al_life_py_is_running, METH_NOARGS,                    \
         "is_running($self, /)\n--\n\nIs the loop running?"},                 \
        {"is_closed", al_life_py_is_closed, METH_NOARGS,                      \
         "is_closed($self, /)\n--\n\nHas the loop been closed?"},             \
        {"get_debug", al_life_py_get_debug, METH_NOARGS,                      \
         "get_debug($self, /)\n--\n\nIs debug mode on?"},                     \
        {"set_debug", _PyCFunction_CAST(al_life_py_set_debug),                \
         METH_FASTCALL | METH_KEYWORDS,                                       \
         "set_debug($self, enabled)\n--\n\nTurn debug mode on or off."},      \
        {"_check_closed", al_life_py_check_closed, METH_NOARGS, NULL},        \
        {"_check_running", al_life_py_check_running, METH_NOARGS, NULL},      \
        {"_add_callback", al_life_py_add_callback, METH_O, NULL},             \
        {"_add_callback_signalsafe", al_life_py_add_callback, METH_O, NULL},  \
    {                                                                         \
        "_write_to_self", al_life_py_write_to_self, METH_NOARGS, NULL         \
    }

#endif
