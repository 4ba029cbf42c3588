/* attributes.c - reader._buffer and the other attributes of a StreamReader.
 *
 * Private in asyncio, but read and now and then set by libraries, by asyncio's
 * own methods, and by tests.
 */

#include "streams/attributes.h"

#include <string.h>

PyObject *
al_attribute_state(struct al_state *st, PyObject *stream, PyTypeObject *type)
{
    PyObject *dict = al_instance_dict_borrow(stream);
    PyObject *found = dict == NULL
                          ? NULL
                          : PyDict_GetItemWithError(dict, st->str__asyncloop);

    if (found == NULL) {
        PyErr_Clear();
        return NULL;
    }
    return Py_IS_TYPE(found, type) ? found : NULL;
}

int
al_attribute_set(PyObject *stream, const char *name, PyObject *value)
{
    PyObject *dict = PyObject_GenericGetDict(stream, NULL);
    int rc = -1;

    if (dict != NULL) {
        rc = value == NULL ? PyDict_DelItemString(dict, name)
                           : PyDict_SetItemString(dict, name, value);
        Py_DECREF(dict);
    }
    return rc;
}

PyObject *
al_attribute_get(PyObject *stream, const char *name)
{
    PyObject *dict = al_instance_dict_borrow(stream);
    PyObject *value = dict == NULL ? NULL : PyDict_GetItemString(dict, name);

    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute '%s'",
                     strrchr(Py_TYPE(stream)->tp_name, '.') + 1, name);
    }
    return Py_XNewRef(value);
}

int
al_attribute_check(const char *name, PyObject *value)
{
    if (value != NULL) {
        return 0;
    }
    PyErr_Format(PyExc_AttributeError, "cannot delete attribute '%s'", name);
    return -1;
}

/* The attribute that the name, the closure, stands for; the second is a
 * new reference, or NULL with an exception set. */
typedef struct {
    const char *name;
    PyObject *(*get)(ReaderState *self);
    /* 0, or -1 with an exception set. */
    int (*set)(ReaderState *self, PyObject *value);
} attribute;

static PyObject *
get_attribute(PyObject *op, void *closure)
{
    const attribute *what = closure;
    ReaderState *self = al_reader_state_of(al_state_of_type(Py_TYPE(op)), op);

    if (self != NULL) {
        return what->get(self);
    }
    return al_attribute_get(op, what->name);
}

static int
set_attribute(PyObject *op, PyObject *value, void *closure)
{
    const attribute *what = closure;
    ReaderState *self = al_reader_state_of(al_state_of_type(Py_TYPE(op)), op);

    if (self == NULL) {
        return al_attribute_set(op, what->name, value);
    }
    if (al_attribute_check(what->name, value) < 0) {
        return -1;
    }
    Py_INCREF(self);
    int rc = what->set(self, value);
    Py_DECREF(self);
    return rc;
}

/* --- each ----------------------------------------------------------------- */

static PyObject *
get_buffer(ReaderState *self)
{
    return al_content_settle(&self->content) < 0
               ? NULL
               : Py_NewRef(self->content.array);
}

static int
set_buffer(ReaderState *self, PyObject *value)
{
    if (!PyByteArray_Check(value)) {
        PyErr_Format(PyExc_TypeError, "_buffer must be a bytearray, not %s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    Py_CLEAR(self->content.chunk);
    Py_SETREF(self->content.array, Py_NewRef(value));
    return 0;
}

static PyObject *
get_limit(ReaderState *self)
{
    return Py_NewRef(self->limit_seen);
}

static int
set_limit(ReaderState *self, PyObject *value)
{
    (void)al_reader_take_limit(self, value);
    return 0;
}

static inline PyObject *
or_none(PyObject *value)
{
    return Py_NewRef(value == NULL ? Py_None : value);
}

static inline int
replace(PyObject **slot, PyObject *value)
{
    Py_XSETREF(*slot, value == Py_None ? NULL : Py_NewRef(value));
    return 0;
}

static PyObject *
get_waiter(ReaderState *self)
{
    return or_none(self->waiter);
}

static int
set_waiter(ReaderState *self, PyObject *value)
{
    return replace(&self->waiter, value);
}

static PyObject *
get_exception(ReaderState *self)
{
    return or_none(self->exception);
}

static int
set_exception(ReaderState *self, PyObject *value)
{
    return replace(&self->exception, value);
}

static PyObject *
get_transport(ReaderState *self)
{
    return or_none(self->transport);
}

static int
set_transport(ReaderState *self, PyObject *value)
{
    return replace(&self->transport, value);
}

static int
replace_flag(bool *flag, PyObject *value)
{
    int truth = PyObject_IsTrue(value);

    if (truth < 0) {
        return -1;
    }
    *flag = truth;
    return 0;
}

static PyObject *
get_eof(ReaderState *self)
{
    return PyBool_FromLong(self->eof);
}

static int
set_eof(ReaderState *self, PyObject *value)
{
    return replace_flag(&self->eof, value);
}

static PyObject *
get_paused(ReaderState *self)
{
    return PyBool_FromLong(self->paused);
}

static int
set_paused(ReaderState *self, PyObject *value)
{
    return replace_flag(&self->paused, value);
}

static const attribute attributes[] = {
    {"_buffer", get_buffer, set_buffer},
    {"_limit", get_limit, set_limit},
    {"_waiter", get_waiter, set_waiter},
    {"_exception", get_exception, set_exception},
    {"_transport", get_transport, set_transport},
    {"_eof", get_eof, set_eof},
    {"_paused", get_paused, set_paused},
};

#define ATTRIBUTE(name, i)                                                    \
    {                                                                         \
        name, get_attribute, set_attribute, NULL, (void *)&attributes[i]      \
    }

PyGetSetDef al_reader_getset[] = {
    ATTRIBUTE("_buffer", 0),    ATTRIBUTE("_limit", 1),
    ATTRIBUTE("_waiter", 2),    ATTRIBUTE("_exception", 3),
    ATTRIBUTE("_transport", 4), ATTRIBUTE("_eof", 5),
    ATTRIBUTE("_paused", 6),    {NULL},
};
