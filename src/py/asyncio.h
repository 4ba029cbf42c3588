/* asyncio.h - filling the module state with the names of AL_STDLIB_NAMES. */
#ifndef AL_PY_ASYNCIO_H
#define AL_PY_ASYNCIO_H

#include "py/state.h"

/* Import what C calls of asyncio, and intern the strings.
 * 0, or -1 with an exception set. */
int al_asyncio_setup(PyObject *module, struct al_state *st);

/* `from module import attribute`: new reference, or NULL. */
PyObject *al_import_attribute(const char *module, const char *attribute);

#endif
