/* adopt.h - which streams are run in C.
 *
 * A transport is given a protocol; if that is asyncio's own with asyncio's own
 * reader, and nobody has replaced anything, the reader is adopted, and its
 * writer: on a server when the callback gets it, of a client when it is
 * drained for the first time. Nothing of asyncio is patched.
 *
 * Threads: the loop's.
 */
#ifndef AL_STREAMS_ADOPT_H
#define AL_STREAMS_ADOPT_H

#include "streams/reader.h"

/* Make an asyncio.StreamReader ours, if it is plain. Its state, borrowed; NULL
 * if it stays asyncio's, or with an exception set. */
ReaderState *al_adopt_reader(struct al_state *st, PyObject *reader);

/* Make an asyncio.StreamWriter ours, if it is plain. */
void al_adopt_writer(struct al_state *st, PyObject *writer);

/* reader.exception(), which asyncio's drain() calls. */
PyObject *al_adopt_py_exception(PyObject *op, PyObject *unused);

/* _adopt_writer(writer): for asyncloop.open_connection. _adopt_reader(reader)
 * tells whether it is ours now: for tests, which feed it themselves. */
PyObject *al_adopt_py_writer(PyObject *module, PyObject *writer);
PyObject *al_adopt_py_reader(PyObject *module, PyObject *reader);

#define AL_ADOPT_FUNCTIONS                                                    \
    {"_adopt_reader", al_adopt_py_reader, METH_O, NULL},                      \
    {                                                                         \
        "_adopt_writer", al_adopt_py_writer, METH_O, NULL                     \
    }

int al_streams_setup(PyObject *module, struct al_state *st);

#endif
