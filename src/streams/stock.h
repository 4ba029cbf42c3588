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

/* Are all methods of this class still those seen at import? */
bool al_stock_is_whole(struct al_state *st, int which);

/* Has an instance with these attributes one that stands before a method? */
bool al_stock_is_hidden(struct al_state *st, int which, PyObject *dict);

/* 0, or -1 with an exception set. */
int al_stock_setup(struct al_state *st);

#endif
