/* op_coro.h - an operation as a coroutine: slots and tables of its type. */
#ifndef AL_SOCKETS_OP_CORO_H
#define AL_SOCKETS_OP_CORO_H

#include "sockets/op.h"

PySendResult al_op_am_send(PyObject *op, PyObject *value, PyObject **result);
PyObject *al_op_am_await(PyObject *op);
PyObject *al_op_tp_iternext(PyObject *op);
PyObject *al_op_tp_repr(PyObject *op);

extern PyMethodDef al_op_methods[];
extern PyGetSetDef al_op_getset[];

#endif
