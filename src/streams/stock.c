/* stock.c - see stock.h. Threads: any, with the GIL. */

#include "streams/stock.h"

#include "py/args.h"

/* Where the state has what was found of a class. */
static PyObject **
parts_of(struct al_state *st, int which)
{
    PyObject **parts[AL_STREAM_CLASSES] = {
        &st->reader_parts,
        &st->writer_parts,
        &st->stream_protocol_parts,
        &st->process_protocol_parts,
    };
    return parts[which];
}

/* Runs no foreign code but a metaclass's. */
bool
al_stock_look_again(struct al_state *st, int which)
{
    PyTypeObject *type = (PyTypeObject *)al_stock_class(st, which);
    PyObject *name, *part;
    Py_ssize_t at = 0;
    bool same = true;

    while (same && PyDict_Next(*parts_of(st, which), &at, &name, &part)) {
        PyObject *now = PyObject_GetAttr((PyObject *)type, name);
        same = now == part;
        Py_XDECREF(now);
    }
    PyErr_Clear();
    if (same) {
        st->stream_tags[which] = type->tp_version_tag;
    }
    return same;
}

bool
al_stock_is_hidden(struct al_state *st, int which, PyObject *dict)
{
    PyObject *parts = *parts_of(st, which);
    PyObject *name, *value;
    Py_ssize_t at = 0;

    while (PyDict_Next(dict, &at, &name, &value)) {
        if (PyDict_Contains(parts, name) != 0) {
            PyErr_Clear();
            return true;
        }
    }
    return false;
}

/* The methods and properties of a class: new reference, or NULL. */
static PyObject *
find_parts(PyObject *cls)
{
    PyObject *names = PyObject_Dir(cls);
    PyObject *parts = names == NULL ? NULL : PyDict_New();
    int rc = parts == NULL ? -1 : 0;

    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i);
        PyObject *part = PyObject_GetAttr(cls, name);
        if (part == NULL) {
            rc = PyErr_ExceptionMatches(PyExc_AttributeError) ? 0 : -1;
            PyErr_Clear();
        }
        else if (PyFunction_Check(part) ||
                 Py_IS_TYPE(part, &PyProperty_Type)) {
            rc = PyDict_SetItem(parts, name, part);
        }
        Py_XDECREF(part);
    }
    Py_XDECREF(names);
    if (rc < 0) {
        Py_CLEAR(parts);
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
    }
    return parts;
}

PyObject *
al_stock_call(struct al_state *st, int which, PyObject *instance,
              const char *name, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    PyObject *method = PyObject_GetAttrString(al_stock_class(st, which), name);

    if (method == NULL) {
        return NULL;
    }
    PyObject *result =
        al_args_call_with(method, instance, args, nargs, kwnames);
    Py_DECREF(method);
    return result;
}

int
al_stock_setup(struct al_state *st)
{
    for (int i = 0; i < AL_STREAM_CLASSES; i++) {
        *parts_of(st, i) = find_parts(al_stock_class(st, i));
        if (*parts_of(st, i) == NULL) {
            return -1;
        }
    }
    return 0;
}
