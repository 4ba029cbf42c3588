/* attributes.h - what is in a stream's dict: its state, or else attributes. */
#ifndef AL_STREAMS_ATTRIBUTES_H
#define AL_STREAMS_ATTRIBUTES_H

#include "streams/reader.h"

/* The state of an adopted stream, of this type; borrowed. NULL, without an
 * exception, if somebody took it away. */
PyObject *al_attribute_state(struct al_state *st, PyObject *stream,
                             PyTypeObject *type);

/* New reference, or NULL with AttributeError set. */
PyObject *al_attribute_get(PyObject *stream, const char *name);

/* Set it, or delete it if `value` is NULL. 0, or -1 with an exception set. */
int al_attribute_set(PyObject *stream, const char *name, PyObject *value);

/* Of a stream with a state: is there a value? It cannot be deleted. 0, or -1
 * with AttributeError set. */
int al_attribute_check(const char *name, PyObject *value);

#endif
