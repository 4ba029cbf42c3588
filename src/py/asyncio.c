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

/* The fields that are filled in by ourselves. */
static const size_t own_fields[] = {
    offsetof(struct al_state, handle_type),
    offsetof(struct al_state, timer_handle_type),
    offsetof(struct al_state, loop_core_type),
    offsetof(struct al_state, task_step_type),
    offsetof(struct al_state, socket_transport_type),
    offsetof(struct al_state, read_pipe_type),
    offsetof(struct al_state, write_pipe_type),
    offsetof(struct al_state, datagram_type),
    offsetof(struct al_state, process_type),
    offsetof(struct al_state, pipe_end_type),
    offsetof(struct al_state, reader_class),
    offsetof(struct al_state, writer_class),
    offsetof(struct al_state, reader_state_type),
    offsetof(struct al_state, writer_state_type),
    offsetof(struct al_state, stream_link_type),
    offsetof(struct al_state, stream_op_type),
    offsetof(struct al_state, reader_parts),
    offsetof(struct al_state, writer_parts),
    offsetof(struct al_state, stream_protocol_parts),
    offsetof(struct al_state, process_protocol_parts),
    offsetof(struct al_state, listener_type),
    offsetof(struct al_state, server_class),
    offsetof(struct al_state, connector_type),
    offsetof(struct al_state, tls_transport_type),
    offsetof(struct al_state, ssl_socket_type),
    offsetof(struct al_state, ssl_module),
    offsetof(struct al_state, ssl_MemoryBIO),
    offsetof(struct al_state, ssl_SSLError),
    offsetof(struct al_state, ssl_SSLWantReadError),
    offsetof(struct al_state, ssl_SSLSyscallError),
    offsetof(struct al_state, ssl_CertificateError),
    offsetof(struct al_state, loop_class),
    offsetof(struct al_state, loop_time),
    offsetof(struct al_state, aio_ThreadSafeHandle),
    offsetof(struct al_state, policy_class),
    offsetof(struct al_state, kw_loop),
    offsetof(struct al_state, kw_wait),
    offsetof(struct al_state, kw_msg),
    offsetof(struct al_state, kw_context),
    offsetof(struct al_state, kw_wrap_bio),
    offsetof(struct al_state, loop_call_soon),
    offsetof(struct al_state, loop_call_soon_threadsafe),
    offsetof(struct al_state, loop_get_debug),
    offsetof(struct al_state, work_queue_type),
    offsetof(struct al_state, work_item_type),
    offsetof(struct al_state, pool_class),
    offsetof(struct al_state, pool_submit),
    offsetof(struct al_state, lookup_type),
    offsetof(struct al_state, look_up_function),
    offsetof(struct al_state, genuine_getaddrinfo),
    offsetof(struct al_state, genuine_getnameinfo),
    offsetof(struct al_state, connect_parts),
    offsetof(struct al_state, wake_type),
    offsetof(struct al_state, future_set_exception),
    offsetof(struct al_state, coro_throw),
    offsetof(struct al_state, awaited_by_add),
    offsetof(struct al_state, awaited_by_discard),
    offsetof(struct al_state, current_tasks),
    offsetof(struct al_state, all_tasks),
    offsetof(struct al_state, sock_op_type),
    offsetof(struct al_state, op_try_again),
    offsetof(struct al_state, kept_stop),
    offsetof(struct al_state, socket_family),
    offsetof(struct al_state, socket_type),
    offsetof(struct al_state, socket_proto),
};

int
al_state_visit(struct al_state *st, al_state_visitor visit, void *arg)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < Py_ARRAY_LENGTH(own_fields); i++) {
        rc = visit(slot_at(st, own_fields[i]), arg);
    }
    for (size_t i = 0; rc == 0 && i < Py_ARRAY_LENGTH(stdlib_names); i++) {
        rc = visit(slot_at(st, stdlib_names[i].offset), arg);
    }
    for (size_t i = 0; rc == 0 && i < Py_ARRAY_LENGTH(interned); i++) {
        rc = visit(slot_at(st, interned[i].offset), arg);
    }
    return rc;
}
