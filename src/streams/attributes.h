/* attributes.h - attributes of a stream that has no state: what its dict has. */
#ifndef AL_STREAMS_ATTRIBUTES_H
#define AL_STREAMS_ATTRIBUTES_H

#include "streams/reader.h"

/* New reference, or NULL with AttributeError set. */
PyObject *al_attribute_get(PyObject *stream, const char *name);

/* Set it, or delete it if `value` is NULL. 0, or -1 with an exception set. */
int al_attribute_set(PyObject *stream, const char *name, PyObject *value);

/* Of a stream with a state: is there a value? It cannot be deleted. 0, or -1
 * with AttributeError set. */
int al_attribute_check(const char *name, PyObject *value);

#endif
