/* reader.c - the Python face of watches.
 *
 * Ownership: the watch takes the handle, the caller gets nothing (asyncio
 * returns None from add_reader, the handle from _add_reader).
 * Threads: the loop's.
 */

#include "sockets/reader.h"

#include "loop/sched.h"
#include "py/args.h"
#include "watch/watch.h"

#include <errno.h>

/* The descriptor of an int or of an object with fileno(); -1 with asyncio's
 * ValueError set. A negative one is the caller's to refuse. */
static int
descriptor_of(LoopObject *self, PyObject *object, int *fd)
{
    PyObject *number = NULL;

    if (PyLong_Check(object)) {
        number = Py_NewRef(object);
    }
    else {
        number = PyObject_CallMethodNoArgs(object, self->st->str_fileno);
    }
    long value = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    if (value == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError) ||
            PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "Invalid file object: %R", object);
        }
        return -1;
    }
    if (value > INT_MAX) {
        errno = EBADF;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    *fd = value < 0 ? -1 : (int)value;
    return 0;
}

/* Steals `transport`, which is None where there is none. */
static int
refuse_unless_closing(LoopObject *self, PyObject *object, PyObject *transport)
{
    int busy = 0;

    if (transport != Py_None) {
        PyObject *closing =
            PyObject_CallMethodNoArgs(transport, self->st->str_is_closing);
        int truth = closing == NULL ? -1 : PyObject_IsTrue(closing);
        Py_XDECREF(closing);
        if (truth < 0) {
            busy = -1;
        }
        else if (!truth) {
            PyErr_Format(PyExc_RuntimeError,
                         "File descriptor %R is used by transport %R", object,
                         transport);
            busy = -1;
        }
    }
    Py_DECREF(transport);
    return busy;
}

/* Refuse a descriptor that a transport of this loop owns.
 * 0, or -1 with RuntimeError set. */
static int
ensure_no_transport(LoopObject *self, PyObject *object, int fd)
{
    PyObject *owner = al_watch_owner(self, fd);
    if (owner != NULL) {
        return refuse_unless_closing(self, object, Py_NewRef(owner));
    }
    if (self->transports == NULL) {
        return 0;
    }
    PyObject *transport =
        PyObject_CallMethod(self->transports, "get", "i", fd);
    if (transport == NULL) {
        return -1;
    }
    return refuse_unless_closing(self, object, transport);
}

int
al_reader_ensure_free(LoopObject *self, int fd)
{
    if (self->transports == NULL && al_watch_owner(self, fd) == NULL) {
        return 0;
    }
    PyObject *number = PyLong_FromLong(fd);
    int rc = number == NULL ? -1 : ensure_no_transport(self, number, fd);
    Py_XDECREF(number);
    return rc;
}

/* Add a reader or writer. A transport gets the handle, a user None: new
 * reference, or NULL with an exception set. */
static PyObject *
add_side(PyObject *op, al_watch_side side, bool is_transport,
         PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct al_state *st = self->st;
    PyObject *names[] = {st->str_fd, st->str_callback};
    PyObject *values[2];
    PyObject *context;
    size_t rest;
    int fd;

    /* `context` is of asyncio's private _add_reader, in 3.15. */
    if (al_args_take(side == AL_WATCH_READ ? "add_reader" : "add_writer",
                     names, 2, st->str_context, &context, args, nargs, kwnames,
                     values, &rest) < 0 ||
        descriptor_of(self, values[0], &fd) < 0) {
        return NULL;
    }
    if (!is_transport && ensure_no_transport(self, values[0], fd) < 0) {
        return NULL;
    }
    if (al_loop_check_closed(self) < 0) {
        return NULL;
    }
    if (fd < 0) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %R",
                     values[0]);
        return NULL;
    }
    HandleObject *handle = al_sched_new_handle(self, args[1], args + 2,
                                               (size_t)(nargs - 2), context);
    if (handle == NULL) {
        return NULL;
    }
    al_loop_part_from_parent(self);
    /* Before the handle is given away: a finalizer of what it replaces may
     * remove it at once. */
    PyObject *result = Py_NewRef(is_transport ? (PyObject *)handle : Py_None);
    if (al_watch_set_steal(self, fd, side, handle, values[0]) < 0) {
        Py_DECREF(result);
        return NULL;
    }
    return result;
}

static PyObject *
remove_side(LoopObject *self, al_watch_side side, bool is_transport,
            PyObject *object)
{
    int fd;

    if (descriptor_of(self, object, &fd) < 0) {
        return NULL;
    }
    if (!is_transport && ensure_no_transport(self, object, fd) < 0) {
        return NULL;
    }
    if (self->closed) {
        Py_RETURN_FALSE;
    }
    if (fd < 0) {
        fd = al_watch_find_object(self, object);
        if (fd < 0) {
            PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %d", fd);
            return NULL;
        }
    }
    al_loop_part_from_parent(self);
    return PyBool_FromLong(al_watch_remove(self, fd, side));
}

PyObject *
al_reader_py_add_reader(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames)
{
    return add_side(op, AL_WATCH_READ, false, args, nargs, kwnames);
}

PyObject *
al_reader_py_add_writer(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames)
{
    return add_side(op, AL_WATCH_WRITE, false, args, nargs, kwnames);
}

PyObject *
al_reader_py_transport_add_reader(PyObject *op, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames)
{
    return add_side(op, AL_WATCH_READ, true, args, nargs, kwnames);
}

PyObject *
al_reader_py_transport_add_writer(PyObject *op, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames)
{
    return add_side(op, AL_WATCH_WRITE, true, args, nargs, kwnames);
}

PyObject *
al_reader_py_remove_reader(PyObject *op, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *fd =
        al_args_one("remove_reader", self->st->str_fd, args, nargs, kwnames);
    return fd == NULL ? NULL : remove_side(self, AL_WATCH_READ, false, fd);
}

PyObject *
al_reader_py_remove_writer(PyObject *op, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *fd =
        al_args_one("remove_writer", self->st->str_fd, args, nargs, kwnames);
    return fd == NULL ? NULL : remove_side(self, AL_WATCH_WRITE, false, fd);
}

PyObject *
al_reader_py_transport_remove_reader(PyObject *op, PyObject *fd)
{
    return remove_side((LoopObject *)op, AL_WATCH_READ, true, fd);
}

PyObject *
al_reader_py_transport_remove_writer(PyObject *op, PyObject *fd)
{
    return remove_side((LoopObject *)op, AL_WATCH_WRITE, true, fd);
}

PyObject *
al_reader_py_ensure_fd_no_transport(PyObject *op, PyObject *object)
{
    LoopObject *self = (LoopObject *)op;
    int fd;

    if (descriptor_of(self, object, &fd) < 0 ||
        ensure_no_transport(self, object, fd) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* selectors.EVENT_READ and EVENT_WRITE are libuv's 1 and 2. */
PyObject *
al_reader_py_watched_events(PyObject *op, PyObject *object)
{
    LoopObject *self = (LoopObject *)op;
    int fd;

    if (descriptor_of(self, object, &fd) < 0) {
        return NULL;
    }
    return PyLong_FromLong(al_watch_events(self, fd));
}
