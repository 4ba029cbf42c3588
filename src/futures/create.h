/* create.h - create_future and create_task, as methods of Loop. */
#ifndef AL_FUTURES_CREATE_H
#define AL_FUTURES_CREATE_H

#include "loop/loop.h"

PyObject *al_create_py_future(PyObject *op, PyObject *unused);
PyObject *al_create_py_task(PyObject *op, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames);

#define AL_CREATE_LOOP_METHODS                                                \
    {"create_future", al_create_py_future, METH_NOARGS,                       \
     "create_future($self, /)\n--\n\n"                                        \
     "A new asyncio.Future bound to this loop."},                             \
    {                                                                         \
        "create_task", _PyCFunction_CAST(al_create_py_task),                  \
            METH_FASTCALL | METH_KEYWORDS,                                    \
            "create_task($self, coro, **kwargs)\n--\n\n"                      \
            "Schedule a coroutine as an asyncio.Task."                        \
    }

#endif
