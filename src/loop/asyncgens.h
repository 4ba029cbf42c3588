/* asyncgens.h - which asynchronous generators are in use on a loop. */
#ifndef AL_LOOP_ASYNCGENS_H
#define AL_LOOP_ASYNCGENS_H

#include "loop/loop.h"

/* The WeakSet, made when it is first asked for: borrowed, or NULL with an
 * exception set. */
PyObject *al_asyncgens_borrow(LoopObject *self);

PyObject *al_asyncgens_py_firstiter(PyObject *op, PyObject *generator);

#define AL_ASYNCGENS_LOOP_METHODS                                             \
    {                                                                         \
        "_asyncgen_firstiter_hook", al_asyncgens_py_firstiter, METH_O, NULL   \
    }

#endif
