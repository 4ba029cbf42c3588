/* policy.h - EventLoopPolicy, made when it is first asked for. */
#ifndef AL_API_POLICY_H
#define AL_API_POLICY_H

#include "py/state.h"

/* _core._event_loop_policy(): the class. A policy cannot even be named
 * without a warning on 3.14 and later, so this happens on demand, and not at
 * all from 3.16 on. */
PyObject *al_policy_py_class(PyObject *module, PyObject *unused);

#endif
