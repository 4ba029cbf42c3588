/* args.h - leading parameters that may be given by name.
 *
 * asyncio's methods are Python functions: every parameter has a name that
 * callers use now and then (`set_debug(enabled=True)`).
 */
#ifndef AL_PY_ARGS_H
#define AL_PY_ARGS_H

#include "py/compat.h"

/* Fill `values` (of `count` entries) with the parameters called `names`, from
 * the first positional arguments and from keywords; all borrowed. `rest` gets
 * the number of positional arguments beyond; `*extra`, when not NULL, gets
 * the value of the keyword `extra_name` (NULL if absent or None).
 * 0, or -1 with TypeError set. */
int al_args_take(const char *method, PyObject *const *names, size_t count,
                 PyObject *extra_name, PyObject **extra, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames, PyObject **values,
                 size_t *rest);

/* The one argument of a method, called `name`: borrowed, or NULL with
 * TypeError set. */
PyObject *al_args_one(const char *method, PyObject *name,
                      PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames);

/* What `object.fileno()` gives (the name is passed): a descriptor, or -1 with
 * an exception set. */
int al_args_fileno(PyObject *object, PyObject *str_fileno);

#endif
