/* signal.h - signals wake the loop that runs in the main thread.
 *
 * Python's C-level signal handler writes the signal's number into a
 * descriptor of the process's choosing. While a loop runs in the main thread
 * that descriptor is its pipe, which it watches; afterwards the one before is
 * back, unless the loop has handlers of add_signal_handler, which must not
 * miss a signal between two runs.
 */
#ifndef AL_WATCH_SIGNAL_H
#define AL_WATCH_SIGNAL_H

#include "loop/loop.h"

/* Open the pipe if it is not open. 0, or -1 with an exception set. */
int al_signal_open(LoopObject *self);
void al_signal_close(LoopObject *self);

/* The members of al_watch_ops. */
int al_signal_enter(LoopObject *self);
void al_signal_leave(LoopObject *self);
int al_signal_on_arrival(LoopObject *self);

PyObject *al_signal_py_wakeup_fd(PyObject *op, PyObject *unused);

/* _signal_wakeup_fd(): the descriptor for signal.set_wakeup_fd, used by
 * add_signal_handler in _cold.py. */
#define AL_SIGNAL_LOOP_METHODS                                                \
    {                                                                         \
        "_signal_wakeup_fd", al_signal_py_wakeup_fd, METH_NOARGS, NULL        \
    }

#endif
