/* stock.h - are asyncio's stream classes as they were at import?
 *
 * Somebody may replace a method of theirs, for a test or for good. Then their
 * code has to run, not ours. The version tag of a class tells that nothing was
 * changed; when it is another, all methods are looked at.
 */
#ifndef AL_STREAMS_STOCK_H
#define AL_STREAMS_STOCK_H

#include "py/state.h"

enum { AL_STOCK_READER, AL_STOCK_WRITER, AL_STOCK_PROTOCOL, AL_STOCK_PROCESS };

/* Look at all methods of a class, and remember its version if they are those
 * seen at import. */
bool al_stock_look_again(struct al_state *st, int which);

static inline PyObject *
al_stock_class(const struct al_state *st, int which)
{
    switch (which) {
    case AL_STOCK_READER:
        return st->aio_StreamReader;
    case AL_STOCK_WRITER:
        return st->aio_StreamWriter;
    case AL_STOCK_PROTOCOL:
        return st->aio_StreamReaderProtocol;
    default:
        return st->aio_SubprocessStreamProtocol;
    }
}

/* Are all methods of this class still those seen at import? */
static inline bool
al_stock_is_whole(struct al_state *st, int which)
{
    unsigned tag = ((PyTypeObject *)al_stock_class(st, which))->tp_version_tag;

    return (tag != 0 && tag == st->stream_tags[which]) ||
           al_stock_look_again(st, which);
}

/* Has an instance with these attributes one that stands before a method? */
bool al_stock_is_hidden(struct al_state *st, int which, PyObject *dict);

/* Call the class's method of this name with `instance` first. New reference, or
 * NULL with an exception set. */
PyObject *al_stock_call(struct al_state *st, int which, PyObject *instance,
                        const char *name, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *kwnames);

/* 0, or -1 with an exception set. */
int al_stock_setup(struct al_state *st);

#endif
