/* handle_face.h - the Python methods and attributes of handles.
 *
 * handle.c has the verbs and the types; this is what Python code sees.
 */
#ifndef AL_HANDLES_HANDLE_FACE_H
#define AL_HANDLES_HANDLE_FACE_H

#include "py/state.h"

extern PyMethodDef al_handle_methods[];
extern PyGetSetDef al_handle_getset[];
extern PyMethodDef al_timer_handle_methods[];
extern PyGetSetDef al_timer_handle_getset[];

PyObject *al_handle_tp_repr(PyObject *op);
PyObject *al_timer_handle_tp_richcompare(PyObject *a, PyObject *b, int op);
Py_hash_t al_timer_handle_tp_hash(PyObject *op);

#endif
