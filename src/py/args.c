/* args.c - sorting positional and keyword arguments. Threads: any. */

#include "py/args.h"

/* The place of `keyword` among `names`, or `count`. */
static size_t
place_of(PyObject *keyword, PyObject *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keyword == names[i] || PyUnicode_Compare(keyword, names[i]) == 0) {
            return i;
        }
    }
    return count;
}

int
al_args_take(const char *method, PyObject *const *names, size_t count,
             PyObject *extra_name, PyObject **extra, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, PyObject **values,
             size_t *rest)
{
    size_t given = (size_t)nargs < count ? (size_t)nargs : count;

    for (size_t i = 0; i < count; i++) {
        values[i] = i < given ? args[i] : NULL;
    }
    *rest = (size_t)nargs - given;
    if (extra != NULL) {
        *extra = NULL;
    }
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < keywords; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, i);
        PyObject *value = args[nargs + i];
        if (extra != NULL && place_of(keyword, &extra_name, 1) == 0) {
            *extra = value == Py_None ? NULL : value;
            continue;
        }
        size_t place = place_of(keyword, names, count);
        if (place == count || values[place] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         place == count
                             ? "%s() got an unexpected keyword argument '%U'"
                             : "%s() got multiple values for argument '%U'",
                         method, keyword);
            return -1;
        }
        values[place] = value;
    }
    for (size_t i = 0; i < count; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() missing required argument: '%U'", method,
                         names[i]);
            return -1;
        }
    }
    return 0;
}

PyObject *
al_args_one(const char *method, PyObject *name, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs == 1 && kwnames == NULL) {
        return args[0]; /* the usual call, and write() is on a hot path */
    }
    PyObject *value;
    size_t rest;

    if (al_args_take(method, &name, 1, NULL, NULL, args, nargs, kwnames,
                     &value, &rest) < 0) {
        return NULL;
    }
    if (rest != 0) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes 2 positional arguments but %zd were given",
                     method, nargs + 1);
        return NULL;
    }
    return value;
}

int
al_args_fileno(PyObject *object, PyObject *str_fileno)
{
    PyObject *number = PyObject_CallMethodNoArgs(object, str_fileno);
    if (number == NULL) {
        return -1;
    }
    int fd = PyObject_AsFileDescriptor(number);
    Py_DECREF(number);
    return fd;
}

PyObject *
al_args_pass_on(PyObject *cold_methods, const char *name, PyObject *self,
                PyObject *args, PyObject *kwargs)
{
    PyObject *function = PyObject_GetAttrString(cold_methods, name);
    PyObject *first = function == NULL ? NULL : PyTuple_Pack(1, self);
    PyObject *all = first == NULL ? NULL : PySequence_Concat(first, args);
    PyObject *result =
        all == NULL ? NULL : PyObject_Call(function, all, kwargs);

    Py_XDECREF(function);
    Py_XDECREF(first);
    Py_XDECREF(all);
    return result;
}

PyObject *
al_args_call_with(PyObject *function, PyObject *self, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t total =
        nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject **stack = PyMem_New(PyObject *, (size_t)total + 1);

    if (stack == NULL) {
        return PyErr_NoMemory();
    }
    stack[0] = self;
    if (total > 0) {
        memcpy(stack + 1, args, (size_t)total * sizeof(PyObject *));
    }
    PyObject *result =
        PyObject_Vectorcall(function, stack, (size_t)nargs + 1, kwnames);
    PyMem_Free(stack);
    return result;
}
