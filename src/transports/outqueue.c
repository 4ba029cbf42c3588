/* outqueue.c - see outqueue.h. */

#include "transports/outqueue.h"

#include <stdlib.h>
#include <string.h>

void
al_outqueue_init(al_outqueue *self)
{
    memset(self, 0, sizeof(*self));
    self->items = self->few;
    self->room = AL_OUTQUEUE_INLINE;
}

/* Nothing is queued: give memory back. */
static void
outqueue_reset(al_outqueue *self)
{
    if (self->items != self->few) {
        free(self->items);
        self->items = self->few;
        self->room = AL_OUTQUEUE_INLINE;
    }
    self->head = 0;
    self->offset = 0;
}

/* Room for one more at the end. 0, or -1 with MemoryError set. */
static int
outqueue_reserve(al_outqueue *self)
{
    if (self->head + self->count < self->room) {
        return 0;
    }
    if (self->head > self->room / 2) {
        memmove(self->items, self->items + self->head,
                self->count * sizeof(*self->items));
        self->head = 0;
        return 0;
    }
    uint32_t room = self->room * 4;
    PyObject **items = malloc(room * sizeof(*items));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(items, self->items + self->head, self->count * sizeof(*items));
    if (self->items != self->few) {
        free(self->items);
    }
    self->items = items;
    self->head = 0;
    self->room = room;
    return 0;
}

int
al_outqueue_add_steal(al_outqueue *self, PyObject *bytes)
{
    if (outqueue_reserve(self) < 0) {
        Py_DECREF(bytes);
        return -1;
    }
    self->items[self->head + self->count++] = bytes;
    self->size += (size_t)PyBytes_GET_SIZE(bytes);
    return 0;
}

int
al_outqueue_iov(const al_outqueue *self, struct iovec *iov, int room)
{
    int count = self->count < (uint32_t)room ? (int)self->count : room;
    size_t offset = self->offset;

    for (int i = 0; i < count; i++) {
        PyObject *bytes = self->items[self->head + (uint32_t)i];
        iov[i].iov_base = PyBytes_AS_STRING(bytes) + offset;
        iov[i].iov_len = (size_t)PyBytes_GET_SIZE(bytes) - offset;
        offset = 0;
    }
    return count;
}

void
al_outqueue_consume(al_outqueue *self, size_t sent)
{
    self->size -= sent;
    sent += self->offset;
    while (self->count != 0) {
        PyObject *bytes = self->items[self->head];
        size_t size = (size_t)PyBytes_GET_SIZE(bytes);
        if (sent < size) {
            break;
        }
        sent -= size;
        self->head++;
        self->count--;
        Py_DECREF(bytes);
    }
    self->offset = sent;
    if (self->count == 0) {
        outqueue_reset(self);
    }
}

void
al_outqueue_clear(al_outqueue *self)
{
    while (self->count != 0) {
        PyObject *bytes = self->items[self->head++];
        self->count--;
        Py_DECREF(bytes);
    }
    self->size = 0;
    outqueue_reset(self);
}

PyObject *
al_outqueue_as_list(const al_outqueue *self)
{
    PyObject *list = PyList_New(self->count);
    size_t offset = self->offset;

    for (uint32_t i = 0; list != NULL && i < self->count; i++) {
        PyObject *bytes = self->items[self->head + i];
        PyObject *rest =
            offset == 0 ? Py_NewRef(bytes)
                        : PyBytes_FromStringAndSize(
                              PyBytes_AS_STRING(bytes) + offset,
                              PyBytes_GET_SIZE(bytes) - (Py_ssize_t)offset);
        if (rest == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, rest);
        offset = 0;
    }
    return list;
}
