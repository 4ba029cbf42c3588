/* policy.c - the loop policy: asyncio's own class, making our loops.
 *
 * The base decides everything but the loop: what get_event_loop does where
 * none is set differs between versions, and so do child watchers. Tools that
 * wrap the base class (tracers do) reach ours with it.
 *
 * Threads: any, with the GIL.
 */

#include "api/policy.h"

#if AL_HAVE_POLICY

static PyObject *
make_policy_class(struct al_state *st)
{
    PyObject *module = PyImport_ImportModule(AL_POLICY_MODULE);
    if (module == NULL) {
        return NULL;
    }
    PyObject *base = PyObject_GetAttrString(module, AL_POLICY_BASE);
    Py_DECREF(module);
    if (base == NULL) {
        return NULL;
    }
    PyObject *policy = PyObject_CallFunction(
        (PyObject *)&PyType_Type, "s(O){s:s,s:s,s:O}", "EventLoopPolicy", base,
        "__module__", "asyncloop", "__doc__",
        "An event loop policy whose loops are asyncloop's.", "_loop_factory",
        st->loop_class);
    Py_DECREF(base);
    return policy;
}

PyObject *
al_policy_py_class(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct al_state *st = al_state_of_module(module);

    if (st->policy_class == NULL) {
        st->policy_class = make_policy_class(st);
    }
    return Py_XNewRef(st->policy_class);
}

#else

PyObject *
al_policy_py_class(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyErr_SetString(PyExc_AttributeError,
                    "event loop policies are gone from Python 3.16 on");
    return NULL;
}

#endif
