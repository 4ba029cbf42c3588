/* content.c - see content.h. */

#include "streams/content.h"

#include <string.h>

/* So much is copied once more, to be in one chunk with what follows: less
 * than one read of a line costs otherwise. */
#define JOIN_MAX 4096

/* Nothing but we will notice if the bytearray is left empty. */
static inline bool
is_private(const al_content *self)
{
    return Py_REFCNT(self->array) == 1;
}

int
al_content_settle(al_content *self)
{
    Py_ssize_t len = al_content_len(self);

    if (self->chunk == NULL) {
        return 0;
    }
    if (PyByteArray_Resize(self->array, len) < 0) {
        return -1;
    }
    memcpy(PyByteArray_AS_STRING(self->array),
           PyBytes_AS_STRING(self->chunk) + self->at, (size_t)len);
    Py_CLEAR(self->chunk);
    return 0;
}

int
al_content_trim(al_content *self)
{
    return self->chunk != NULL && self->at > JOIN_MAX ? al_content_settle(self)
                                                      : 0;
}

/* Make a chunk of what there is and of `data`. 0, or -1. */
static int
join(al_content *self, Py_ssize_t len, const char *data, Py_ssize_t count)
{
    PyObject *chunk = PyBytes_FromStringAndSize(NULL, len + count);

    if (chunk == NULL) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(chunk), al_content_data(self), (size_t)len);
    memcpy(PyBytes_AS_STRING(chunk) + len, data, (size_t)count);
    if (self->chunk == NULL && len > 0 &&
        PyByteArray_Resize(self->array, 0) < 0) {
        Py_DECREF(chunk);
        return -1;
    }
    Py_XSETREF(self->chunk, chunk);
    self->at = 0;
    return 0;
}

int
al_content_add(al_content *self, const char *data, Py_ssize_t count)
{
    Py_ssize_t len = al_content_len(self);

    if (is_private(self) && len <= JOIN_MAX && len <= count) {
        return join(self, len, data, count);
    }
    if (count > PY_SSIZE_T_MAX - len) {
        PyErr_NoMemory();
        return -1;
    }
    if (al_content_settle(self) < 0 ||
        PyByteArray_Resize(self->array, len + count) < 0) {
        return -1;
    }
    memcpy(PyByteArray_AS_STRING(self->array) + len, data, (size_t)count);
    return 0;
}

int
al_content_add_bytes(al_content *self, PyObject *bytes)
{
    if (is_private(self) && al_content_len(self) == 0) {
        self->chunk = Py_NewRef(bytes);
        self->at = 0;
        return 0;
    }
    return al_content_add(self, PyBytes_AS_STRING(bytes),
                          PyBytes_GET_SIZE(bytes));
}

static int
drop_of_array(PyObject *array, Py_ssize_t count)
{
    Py_ssize_t size = PyByteArray_GET_SIZE(array);
    const PyByteArrayObject *memory = (PyByteArrayObject *)array;

    if (count == size) {
        return PyByteArray_Resize(array, 0);
    }
    /* When most of the memory is free, bytearray's own way gives it back. */
    if (memory->ob_exports == 0 && size - count > memory->ob_alloc / 2) {
        al_bytearray_drop_front(array, count);
        return 0;
    }
    return PySequence_DelSlice(array, 0, count);
}

int
al_content_drop(al_content *self, Py_ssize_t count)
{
    if (count == 0) {
        return 0;
    }
    if (self->chunk == NULL) {
        return drop_of_array(self->array, count);
    }
    self->at += count;
    if (self->at == PyBytes_GET_SIZE(self->chunk)) {
        Py_CLEAR(self->chunk);
    }
    return 0;
}

PyObject *
al_content_take(al_content *self, Py_ssize_t count)
{
    if (self->chunk != NULL && self->at == 0 &&
        count == PyBytes_GET_SIZE(self->chunk)) {
        PyObject *taken = self->chunk;
        self->chunk = NULL;
        return taken;
    }
    if (AL_READER_USES_TAKE_BYTES &&
        ((PyByteArrayObject *)self->array)->ob_exports > 0) {
        PyErr_SetString(PyExc_BufferError, "Existing exports of data: object "
                                           "cannot be re-sized");
        return NULL;
    }
    PyObject *taken = PyBytes_FromStringAndSize(al_content_data(self), count);
    if (taken != NULL && al_content_drop(self, count) < 0) {
        Py_CLEAR(taken);
    }
    return taken;
}

Py_ssize_t
al_content_find(const al_content *self, const char *what, Py_ssize_t len,
                Py_ssize_t from)
{
    Py_ssize_t size = al_content_len(self);
    const char *data = al_content_data(self);
    const char *found;

    if (from > size || len > size - from) {
        return -1;
    }
    found = len == 1 ? memchr(data + from, what[0], (size_t)(size - from))
                     : memmem(data + from, (size_t)(size - from), what,
                              (size_t)len);
    return found == NULL ? -1 : found - data;
}
