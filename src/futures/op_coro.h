/* op_coro.h - an operation as a coroutine: slots and tables of its types. */
#ifndef AL_FUTURES_OP_CORO_H
#define AL_FUTURES_OP_CORO_H

#include "futures/op.h"

PySendResult al_op_am_send(PyObject *op, PyObject *value, PyObject **result);
PyObject *al_op_am_await(PyObject *op);
PyObject *al_op_tp_iternext(PyObject *op);
PyObject *al_op_tp_repr(PyObject *op);

extern PyMethodDef al_op_methods[];
extern PyGetSetDef al_op_getset[];

/* The slots of a family's type but Py_tp_dealloc, al_op_tp_dealloc. */
/* clang-format off */
#define AL_OP_SLOTS                                                           \
    {Py_am_await, al_op_am_await},                                            \
    {Py_am_send, al_op_am_send},                                              \
    {Py_tp_iter, PyObject_SelfIter},                                          \
    {Py_tp_iternext, al_op_tp_iternext},                                      \
    {Py_tp_repr, al_op_tp_repr},                                              \
    {Py_tp_traverse, al_op_tp_traverse},                                      \
    {Py_tp_clear, al_op_tp_clear},                                            \
    {Py_tp_finalize, al_op_tp_finalize},                                      \
    {Py_tp_methods, al_op_methods},                                           \
    {Py_tp_getset, al_op_getset}
/* clang-format on */

#endif
