/* args.h - leading parameters that may be given by name.
 *
 * asyncio's methods are Python functions: every parameter has a name that
 * callers use now and then (`set_debug(enabled=True)`).
 */
#ifndef AL_PY_ARGS_H
#define AL_PY_ARGS_H

#include "py/compat.h"

#include <string.h>

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

/* Call the standard library's method `name` of a loop, which ours stands
 * before. New reference, or NULL with an exception set. */
PyObject *al_args_pass_on(PyObject *cold_methods, const char *name,
                          PyObject *self, PyObject *args, PyObject *kwargs);

/* Call `function` with `self` and these arguments, of which keywords come
 * last. New reference, or NULL with an exception set. */
PyObject *al_args_call_with(PyObject *function, PyObject *self,
                            PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames);

/* What `object.fileno()` gives (the name is passed): a descriptor, or -1 with
 * an exception set. */
int al_args_fileno(PyObject *object, PyObject *str_fileno);

/* Is this keyword `name`, an ASCII string? What Python code calls with is
 * interned and the same object; what _asyncio passes is not interned. */
static inline bool
al_args_is_name(PyObject *keyword, PyObject *name)
{
    if (keyword == name) {
        return true;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    return PyUnicode_IS_COMPACT_ASCII(keyword) &&
           PyUnicode_GET_LENGTH(keyword) == length &&
           memcmp(PyUnicode_1BYTE_DATA(keyword), PyUnicode_1BYTE_DATA(name),
                  (size_t)length) == 0;
}

#endif
