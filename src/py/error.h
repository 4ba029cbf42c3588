/* error.h - where the codes of libuv and of the system become exceptions. */
#ifndef AL_PY_ERROR_H
#define AL_PY_ERROR_H

#include "py/compat.h"

/* Raise the OSError (or its subclass, by errno) for a libuv code. Always -1,
 * with the exception set. */
int al_raise_uv(int err);

/* May an exception of this kind be handed to the exception handler, or must
 * it leave run_forever (KeyboardInterrupt, SystemExit)? Looks at the
 * exception that is set. */
bool al_err_leaves_loop(void);

#endif
