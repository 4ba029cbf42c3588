/* asyncio.c - the table of asyncio internals that C touches, looked up once.
 *
 * Ownership: what is found goes to the module state.
 * Threads: import time only.
 */

#include "py/asyncio.h"

struct stdlib_name {
    size_t offset;
    const char *module;
    const char *attribute;
};

static const struct stdlib_name stdlib_names[] = {
#define AL_NAME(field, module, attribute) \
    {offsetof(struct al_state, field), module, attribute},
    AL_STDLIB_NAMES(AL_NAME)
#undef AL_NAME
};

struct interned {
    size_t offset;
    const char *text;
};

static const struct interned interned[] = {
#define AL_STR(name) {offsetof(struct al_state, str_##name), #name},
    AL_STRINGS(AL_STR)
#undef AL_STR
};

static inline PyObject **
slot_at(struct al_state *st, size_t offset)
{
    return (PyObject **)((char *)st + offset);
}

static PyObject *
import_attribute(const char *module, const char *attribute)
{
    PyObject *owner = PyImport_ImportModule(module);
    if (owner == NULL) {
        return NULL;
    }
    PyObject *found = PyObject_GetAttrString(owner, attribute);
    Py_DECREF(owner);
    return found;
}

static PyObject *
one_string_tuple(PyObject *name)
{
    return PyTuple_Pack(1, name);
}

/* The C function behind the bound method that a waiting stock Task leaves
 * among its future's callbacks. asyncio gives it no name of its own, so look
 * at one: a future that a task waits for, on a loop that only records. When
 * it cannot be found, wake-ups go uncounted in metrics and nothing else. */
static int
find_task_callbacks(struct al_state *st)
{
    PyObject *probe = import_attribute("asyncloop._probe", "task_callbacks");
    if (probe == NULL) {
        return -1;
    }
    PyObject *pair = PyObject_CallNoArgs(probe);
    Py_DECREF(probe);
    if (pair == NULL) {
        return -1;
    }
    PyObject *step, *wakeup;
    int rc = -1;
    if (PyArg_ParseTuple(pair, "OO", &step, &wakeup)) {
        rc = 0;
        if (step != Py_None) {
            st->task_step_type = (PyTypeObject *)Py_NewRef(Py_TYPE(step));
        }
        if (PyCFunction_CheckExact(wakeup)) {
            st->task_wakeup = PyCFunction_GET_FUNCTION(wakeup);
        }
    }
    Py_DECREF(pair);
    return rc;
}

int
al_asyncio_setup(PyObject *module, struct al_state *st)
{
    (void)module;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(interned); i++) {
        PyObject *text = PyUnicode_InternFromString(interned[i].text);
        if (text == NULL) {
            return -1;
        }
        *slot_at(st, interned[i].offset) = text;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(stdlib_names); i++) {
        PyObject *found = import_attribute(stdlib_names[i].module,
                                           stdlib_names[i].attribute);
        if (found == NULL) {
            return -1;
        }
        *slot_at(st, stdlib_names[i].offset) = found;
    }
    st->kw_loop = one_string_tuple(st->str_loop);
    st->kw_wait = one_string_tuple(st->str_wait);
    if (st->kw_loop == NULL || st->kw_wait == NULL) {
        return -1;
    }
    return find_task_callbacks(st);
}

int
al_state_visit(struct al_state *st, al_state_visitor visit, void *arg)
{
    PyObject **fixed[] = {
        (PyObject **)&st->handle_type,
        (PyObject **)&st->timer_handle_type,
        (PyObject **)&st->loop_core_type,
        (PyObject **)&st->task_step_type,
        &st->loop_class,
        &st->loop_time,
        &st->policy_class,
        &st->kw_loop,
        &st->kw_wait,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(fixed); i++) {
        int rc = visit(fixed[i], arg);
        if (rc != 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(stdlib_names); i++) {
        int rc = visit(slot_at(st, stdlib_names[i].offset), arg);
        if (rc != 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(interned); i++) {
        int rc = visit(slot_at(st, interned[i].offset), arg);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
