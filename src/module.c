/* module.c - the extension module: its state, its functions, its setup.
 *
 * Multi-phase initialisation; every type is a heap type and all state is in
 * struct al_state, so that several interpreters may load it.
 */

#include "api/loop_type.h"
#include "api/policy.h"
#include "base/uvcompat.h"
#include "executors/executor.h"
#include "executors/item.h"
#include "executors/queue.h"
#include "executors/resolve.h"
#include "futures/layout.h"
#include "futures/native.h"
#include "futures/wake.h"
#include "handles/handle.h"
#include "loop/fork.h"
#include "py/asyncio.h"
#include "process/process.h"
#include "py/context.h"
#include "servers/connector.h"
#include "servers/listener.h"
#include "servers/server.h"
#include "sockets/sock_op.h"
#include "streams/adopt.h"
#include "tls/transport.h"
#include "transports/datagram.h"
#include "transports/pipe.h"
#include "transports/socket.h"

static struct PyModuleDef core_module;

struct al_state *
al_state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}

struct al_state *
al_state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &core_module);
    return module == NULL ? NULL : PyModule_GetState(module);
}

static PyObject *
core_libuv_version(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyUnicode_FromString(uv_version_string());
}

static PyObject *
core_build_info(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct al_state *st = al_state_of_module(module);
    return Py_BuildValue(
        "{s:s,s:s,s:s,s:s,s:O,s:s,s:s,s:s}", "version", AL_VERSION, "libuv",
        uv_version_string(), "libuv_headers", AL_UV_HEADER_VERSION, "compiler",
        __VERSION__, "debug", AL_DEBUG ? Py_True : Py_False, "tasks",
        st->native_tasks ? "native" : "asyncio", "contexts",
        st->direct_contexts ? "direct" : "functions", "tls",
        al_tls_engine_name(st));
}

/* How many steps of tasks were native, in all loops: a test that means to
 * test them looks whether it did. */
static PyObject *
core_native_steps(PyObject *module, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(
        al_state_of_module(module)->native_steps);
}

#if AL_DEBUG

/* How many objects of each kind were made and freed: kind -> (made, freed).
 * In debug builds only. */
static PyObject *
core_ledger(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct al_state *st = al_state_of_module(module);
    const struct {
        const char *kind;
        al_ledger_line line;
    } lines[] = {
#define AL_KIND(kind) {#kind, st->ledger.kind},
        AL_LEDGER_KINDS(AL_KIND)
#undef AL_KIND
    };
    PyObject *ledger = PyDict_New();

    for (size_t i = 0; ledger != NULL && i < Py_ARRAY_LENGTH(lines); i++) {
        PyObject *line =
            Py_BuildValue("(KK)", (unsigned long long)lines[i].line.made,
                          (unsigned long long)lines[i].line.freed);
        if (line == NULL ||
            PyDict_SetItemString(ledger, lines[i].kind, line) < 0) {
            Py_CLEAR(ledger);
        }
        Py_XDECREF(line);
    }
    return ledger;
}

#endif

static PyMethodDef core_functions[] = {
    {"libuv_version", core_libuv_version, METH_NOARGS,
     "libuv_version()\n--\n\nThe version of the libuv that is loaded."},
    {"_build_info", core_build_info, METH_NOARGS, NULL},
    {"_event_loop_policy", al_policy_py_class, METH_NOARGS, NULL},
    {"_native_steps", core_native_steps, METH_NOARGS, NULL},
#if AL_DEBUG
    {"_ledger", core_ledger, METH_NOARGS, NULL},
#endif
    AL_ADOPT_FUNCTIONS,
    AL_EXECUTOR_FUNCTIONS,
    AL_LAYOUT_FUNCTIONS,
    AL_SERVER_FUNCTIONS,
    AL_TLS_MODULE_FUNCTIONS,
    {NULL},
};

static int
core_exec(PyObject *module)
{
    struct al_state *st = PyModule_GetState(module);

    st->module = module;
    al_fork_setup();
    if (al_context_setup(st) < 0 || al_asyncio_setup(module, st) < 0 ||
        al_handle_setup(module, st) < 0 || al_native_setup(module, st) < 0 ||
        al_item_setup(module, st) < 0 || al_queue_setup(module, st) < 0 ||
        al_resolve_setup(module, st) < 0 || al_sock_op_setup(module, st) < 0 ||
        al_socket_setup(module, st) < 0 || al_pipe_setup(module, st) < 0 ||
        al_datagram_setup(module, st) < 0 ||
        al_streams_setup(module, st) < 0 ||
        al_listener_setup(module, st) < 0 || al_server_setup(module, st) < 0 ||
        al_connector_setup(module, st) < 0 ||
        al_process_setup(module, st) < 0 || al_tls_setup(module, st) < 0) {
        return -1;
    }
    return al_loop_type_setup(module, st);
}

struct visit_call {
    visitproc visit;
    void *arg;
};

static int
visit_slot(PyObject **slot, void *arg)
{
    struct visit_call *call = arg;
    return *slot == NULL ? 0 : call->visit(*slot, call->arg);
}

static int
clear_slot(PyObject **slot, void *arg)
{
    (void)arg;
    Py_CLEAR(*slot);
    return 0;
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct visit_call call = {visit, arg};
    return al_state_visit(PyModule_GetState(module), visit_slot, &call);
}

static int
core_clear(PyObject *module)
{
    struct al_state *st = PyModule_GetState(module);

    /* While their types are there, of which freeing them asks. */
    al_wake_close(st);
    al_op_free_list_clear(&st->free_sock_ops);
    al_op_free_list_clear(&st->free_lookups);
    al_op_free_list_clear(&st->free_stream_ops);
    return al_state_visit(st, clear_slot, NULL);
}

static void
core_free(void *module)
{
    (void)core_clear(module);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
    {0, NULL},
};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "asyncloop._core",
    .m_doc = "The C half of asyncloop.",
    .m_size = sizeof(struct al_state),
    .m_methods = core_functions,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
