/* storm.h - the method of Loop that goes on with handshakes that wait. */
#ifndef AL_TLS_STORM_H
#define AL_TLS_STORM_H

#include "py/compat.h"

PyObject *al_tls_py_continue_handshakes(PyObject *op, PyObject *unused);

#endif
