/* asyncio.c - the table of asyncio internals that C touches, looked up once.
 *
 * Ownership: what is found goes to the module state.
 * Threads: import time only.
 */

#include "py/asyncio.h"

#include <string.h>

struct stdlib_name {
    size_t offset;
    const char *module;
    const char *attribute;
};

static const struct stdlib_name stdlib_names[] = {
#define AL_NAME(field, module, attribute)                                     \
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

PyObject *
al_import_attribute(const char *module, const char *attribute)
{
    PyObject *owner = PyImport_ImportModule(module);
    if (owner == NULL) {
        return NULL;
    }
    /* "Class.member" as well. */
    const char *dot = strchr(attribute, '.');
    if (dot != NULL) {
        PyObject *name =
            PyUnicode_FromStringAndSize(attribute, dot - attribute);
        Py_SETREF(owner, name == NULL ? NULL : PyObject_GetAttr(owner, name));
        Py_XDECREF(name);
        if (owner == NULL) {
            return NULL;
        }
        attribute = dot + 1;
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
        PyObject *found = al_import_attribute(stdlib_names[i].module,
                                              stdlib_names[i].attribute);
        if (found == NULL) {
            return -1;
        }
        *slot_at(st, stdlib_names[i].offset) = found;
    }
    st->kw_loop = one_string_tuple(st->str_loop);
    st->kw_wait = one_string_tuple(st->str_wait);
    st->kw_msg = one_string_tuple(st->str_msg);
    st->kw_context = one_string_tuple(st->str_context);
    st->kw_wrap_bio =
        PyTuple_Pack(2, st->str_server_side, st->str_server_hostname);
    if (st->kw_loop == NULL || st->kw_wait == NULL || st->kw_msg == NULL ||
        st->kw_context == NULL || st->kw_wrap_bio == NULL) {
        return -1;
    }
    PyObject *events = PyImport_ImportModule("asyncio.events");
    if (events == NULL) {
        return -1;
    }
    int rc = al_lookup_attr(events, st->str__ThreadSafeHandle,
                            &st->aio_ThreadSafeHandle);
    Py_DECREF(events);
    return rc < 0 ? -1 : 0;
}

int
al_state_visit(struct al_state *st, al_state_visitor visit, void *arg)
{
    PyObject **fixed[] = {
        (PyObject **)&st->handle_type,
        (PyObject **)&st->timer_handle_type,
        (PyObject **)&st->loop_core_type,
        (PyObject **)&st->task_step_type,
        (PyObject **)&st->socket_transport_type,
        (PyObject **)&st->read_pipe_type,
        (PyObject **)&st->write_pipe_type,
        (PyObject **)&st->datagram_type,
        (PyObject **)&st->process_type,
        (PyObject **)&st->pipe_end_type,
        (PyObject **)&st->listener_type,
        &st->server_class,
        (PyObject **)&st->connector_type,
        (PyObject **)&st->tls_transport_type,
        (PyObject **)&st->ssl_socket_type,
        &st->ssl_module,
        &st->ssl_MemoryBIO,
        &st->ssl_SSLError,
        &st->ssl_SSLWantReadError,
        &st->ssl_SSLSyscallError,
        &st->ssl_CertificateError,
        &st->loop_class,
        &st->loop_time,
        &st->aio_ThreadSafeHandle,
        &st->policy_class,
        &st->kw_loop,
        &st->kw_wait,
        &st->kw_msg,
        &st->kw_context,
        &st->kw_wrap_bio,
        &st->loop_call_soon,
        &st->loop_call_soon_threadsafe,
        &st->loop_get_debug,
        (PyObject **)&st->work_queue_type,
        (PyObject **)&st->work_item_type,
        &st->pool_class,
        &st->pool_submit,
        (PyObject **)&st->lookup_type,
        &st->look_up_function,
        &st->genuine_getaddrinfo,
        &st->genuine_getnameinfo,
        &st->connect_parts,
        (PyObject **)&st->wake_type,
        &st->future_set_exception,
        &st->coro_throw,
        &st->awaited_by_add,
        &st->awaited_by_discard,
        &st->current_tasks,
        &st->all_tasks,
        (PyObject **)&st->sock_op_type,
        &st->op_try_again,
        &st->socket_family,
        &st->socket_type,
        &st->socket_proto,
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
