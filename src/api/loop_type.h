/* loop_type.h - the Python type Loop. */
#ifndef AL_API_LOOP_TYPE_H
#define AL_API_LOOP_TYPE_H

#include "py/state.h"

int al_loop_type_setup(PyObject *module, struct al_state *st);

#endif
