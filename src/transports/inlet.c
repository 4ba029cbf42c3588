/* inlet.c - see inlet.h. */

#include "transports/inlet.h"

int
al_inlet_register(struct al_state *st, al_inlet_finder finder)
{
    for (int i = 0; i < AL_INLET_FINDERS; i++) {
        if (st->inlet_finders[i] == NULL) {
            st->inlet_finders[i] = finder;
            return 0;
        }
    }
    PyErr_SetString(PyExc_SystemError, "too many finders of inlets");
    return -1;
}

int
al_inlet_find(struct al_state *st, PyObject *transport, PyObject *protocol,
              al_inlet *inlet)
{
    inlet->ops = NULL;
    inlet->target = NULL;
    for (int i = 0; i < AL_INLET_FINDERS && st->inlet_finders[i]; i++) {
        int found = st->inlet_finders[i](st, transport, protocol, inlet);
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    return 0;
}

int
al_inlet_receive(const al_inlet *inlet, PyObject *transport, const char *data,
                 size_t count)
{
    PyObject *target = Py_NewRef(inlet->target);
    int rc = inlet->ops->receive(target, transport, data, count);

    Py_DECREF(target);
    return rc;
}

int
al_inlet_receive_bytes(const al_inlet *inlet, PyObject *transport,
                       PyObject *bytes)
{
    if (inlet->ops->receive_bytes == NULL) {
        return al_inlet_receive(inlet, transport, PyBytes_AS_STRING(bytes),
                                (size_t)PyBytes_GET_SIZE(bytes));
    }
    PyObject *target = Py_NewRef(inlet->target);
    int rc = inlet->ops->receive_bytes(target, transport, bytes);
    Py_DECREF(target);
    return rc;
}

int
al_inlet_eof(const al_inlet *inlet, PyObject *transport)
{
    PyObject *target = Py_NewRef(inlet->target);
    int keep_open = inlet->ops->eof(target, transport);

    Py_DECREF(target);
    return keep_open;
}

void
al_inlet_clear(al_inlet *inlet)
{
    inlet->ops = NULL;
    Py_CLEAR(inlet->target);
}

int
al_outlet_register(struct al_state *st, PyTypeObject *type,
                   const al_outlet_ops *ops)
{
    for (int i = 0; i < AL_OUTLET_TYPES; i++) {
        if (st->outlets[i].type == NULL) {
            st->outlets[i].type = type;
            st->outlets[i].ops = ops;
            return 0;
        }
    }
    PyErr_SetString(PyExc_SystemError, "too many types of outlets");
    return -1;
}

const al_outlet_ops *
al_outlet_of(struct al_state *st, PyObject *transport)
{
    for (int i = 0; i < AL_OUTLET_TYPES && st->outlets[i].type; i++) {
        if (Py_IS_TYPE(transport, st->outlets[i].type)) {
            return st->outlets[i].ops;
        }
    }
    return NULL;
}
