/* server.c - see server.h.
 *
 * Ownership: the list of clients is borrowed; each client holds the server.
 * Threads: the loop's.
 */

#include "servers/server.h"

#include "transports/server_link.h"

/* What asyncio's Server keeps in `_clients`: made when it is asked for. New
 * reference to a list; NULL with an exception set. */
static PyObject *
clients_as_list(al_server_base *self)
{
    PyObject *list = PyList_New(0);

    for (al_transport *client = self->clients; list != NULL && client != NULL;
         client = client->server_next) {
        if (PyList_Append(list, (PyObject *)client) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *
get_clients(PyObject *op, void *closure)
{
    (void)closure;
    return clients_as_list((al_server_base *)op);
}

static PyObject *
get_active_count(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(((al_server_base *)op)->active);
}

/* asyncio's __init__ sets both; they are ours. */
static int
set_nothing(PyObject *op, PyObject *value, void *closure)
{
    (void)op;
    (void)value;
    (void)closure;
    return 0;
}

/* Call a method of every client. What it does may end others. */
static PyObject *
call_clients(PyObject *op, const char *method)
{
    PyObject *list = clients_as_list((al_server_base *)op);

    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyObject *result =
            PyObject_CallMethod(PyList_GET_ITEM(list, i), method, NULL);
        if (result == NULL) {
            Py_CLEAR(list);
        }
        Py_XDECREF(result);
    }
    if (list == NULL) {
        return NULL;
    }
    Py_DECREF(list);
    Py_RETURN_NONE;
}

static PyObject *
server_py_close_clients(PyObject *op, PyObject *unused)
{
    (void)unused;
    return call_clients(op, "close");
}

static PyObject *
server_py_abort_clients(PyObject *op, PyObject *unused)
{
    (void)unused;
    return call_clients(op, "abort");
}

/* asyncio's calls, from a transport of another make or by a subclass. */
static PyObject *
attach_or_detach(PyObject *op, PyTypeObject *defining_class,
                 PyObject *const *args, Py_ssize_t nargs, bool attach)
{
    al_server_base *self = (al_server_base *)op;
    struct al_state *st = al_state_of_type(defining_class);
    bool ours = nargs == 1 && Py_IS_TYPE(args[0], st->socket_transport_type);

    if (ours && attach) {
        al_server_link(self, (al_transport *)args[0]);
    }
    else if (ours) {
        al_server_unlink(self, (al_transport *)args[0]);
    }
    else if (attach) {
        self->active++;
    }
    else if (self->active != 0) {
        self->active--;
    }
    if (attach || self->active != 0) {
        Py_RETURN_NONE;
    }
    return PyObject_CallMethodNoArgs(op, st->str__when_idle);
}

static PyObject *
server_py_attach(PyObject *op, PyTypeObject *defining_class,
                 PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    (void)kwnames;
    return attach_or_detach(op, defining_class, args, nargs, true);
}

static PyObject *
server_py_detach(PyObject *op, PyTypeObject *defining_class,
                 PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    (void)kwnames;
    return attach_or_detach(op, defining_class, args, nargs, false);
}

static PyMethodDef server_methods[] = {
    {"_attach", _PyCFunction_CAST(server_py_attach),
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_detach", _PyCFunction_CAST(server_py_detach),
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, NULL},
    {"close_clients", server_py_close_clients, METH_NOARGS,
     "close_clients($self, /)\n--\n\nClose all connections."},
    {"abort_clients", server_py_abort_clients, METH_NOARGS,
     "abort_clients($self, /)\n--\n\nClose all connections at once."},
    {NULL},
};

static PyGetSetDef server_getset[] = {
    {"_clients", get_clients, set_nothing, NULL, NULL},
    {"_active_count", get_active_count, set_nothing, NULL, NULL},
    {NULL},
};

static void
server_tp_dealloc(PyObject *op)
{
    PyTypeObject *tp = Py_TYPE(op);

    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyType_Slot server_slots[] = {
    {Py_tp_dealloc, server_tp_dealloc},
    {Py_tp_methods, server_methods},
    {Py_tp_getset, server_getset},
    {Py_tp_doc, "The C half of asyncloop.Server."},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "asyncloop._core.ServerCore",
    .basicsize = sizeof(al_server_base),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = server_slots,
};

PyObject *
al_server_py_set_class(PyObject *module, PyObject *cls)
{
    struct al_state *st = al_state_of_module(module);

    Py_XSETREF(st->server_class, Py_NewRef(cls));
    Py_RETURN_NONE;
}

int
al_server_setup(PyObject *module, struct al_state *st)
{
    (void)st;
    PyObject *type = PyType_FromModuleAndSpec(module, &server_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int rc = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return rc;
}
