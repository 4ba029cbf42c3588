/* signal.c - the wake-up pipe.
 *
 * Ownership: the loop owns both ends; libuv watches the read end.
 * Threads: the main thread, apart from Python's C-level signal handler, which
 * only writes.
 */

#include "watch/signal.h"

#include "py/error.h"
#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void
signal_on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    LoopObject *self = al_loop_of_uv((uv_handle_t *)poll);

    al_loop_enter(self);
    self->signal_arrived = true; /* run.c calls al_signal_on_arrival */
}

static int
make_pipe(int ends[2])
{
    if (pipe(ends) < 0) {
        ends[0] = ends[1] = -1;
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

int
al_signal_open(LoopObject *self)
{
    if (self->signal_poll_open) {
        return 0;
    }
    if (self->signal_pipe[0] < 0 && make_pipe(self->signal_pipe) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    al_watch_forget_stale(self, self->signal_pipe[0]);
    int err =
        uv_poll_init(&self->uv, &self->signal_poll, self->signal_pipe[0]);
    if (err < 0) {
        return al_raise_uv(err);
    }
    self->signal_poll_open = true;
    err = uv_poll_start(&self->signal_poll, UV_READABLE, signal_on_readable);
    return err < 0 ? al_raise_uv(err) : 0;
}

void
al_signal_close(LoopObject *self)
{
    if (self->signal_poll_open) {
        uv_close((uv_handle_t *)&self->signal_poll, NULL);
        self->signal_poll_open = false;
    }
}

/* Do we run in the main thread of the main interpreter? -1 on error. */
static int
is_main_thread(LoopObject *self)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        return 0;
    }
    PyObject *thread = PyObject_CallNoArgs(self->st->main_thread);
    if (thread == NULL) {
        return -1;
    }
    PyObject *ident = PyObject_GetAttr(thread, self->st->str_ident);
    Py_DECREF(thread);
    if (ident == NULL) {
        return -1;
    }
    unsigned long value = PyLong_AsUnsignedLong(ident);
    Py_DECREF(ident);
    if (value == (unsigned long)-1 && PyErr_Occurred()) {
        PyErr_Clear(); /* None: a thread that is starting */
        return 0;
    }
    return value == PyThread_get_thread_ident();
}

/* signal.set_wakeup_fd: the descriptor before, or -2 with an exception. */
static int
set_wakeup_fd(LoopObject *self, int fd)
{
    PyObject *before = PyObject_CallFunction(self->st->set_wakeup_fd, "i", fd);
    if (before == NULL) {
        return -2;
    }
    long value = PyLong_AsLong(before);
    Py_DECREF(before);
    return (int)value;
}

int
al_signal_enter(LoopObject *self)
{
    int is_main = is_main_thread(self);

    if (is_main <= 0) {
        self->in_main_thread = false;
        return is_main;
    }
    if (al_signal_open(self) < 0) {
        return -1;
    }
    self->saved_wakeup_fd = set_wakeup_fd(self, self->signal_pipe[1]);
    self->in_main_thread = self->saved_wakeup_fd != -2;
    return self->in_main_thread ? 0 : -1;
}

void
al_signal_leave(LoopObject *self)
{
    if (!self->in_main_thread) {
        return;
    }
    self->in_main_thread = false;
    bool keep = self->signal_handlers != NULL &&
                PyDict_GET_SIZE(self->signal_handlers) != 0;
    int restored = keep ? self->signal_pipe[1] : self->saved_wakeup_fd;
    int ours = set_wakeup_fd(self, restored);
    if (ours >= 0 && ours != self->signal_pipe[1] && ours != restored) {
        /* Somebody took the descriptor over while we ran: it is theirs. */
        ours = set_wakeup_fd(self, ours);
    }
    if (ours == -2) {
        /* The descriptor to be restored was closed meanwhile. */
        PyErr_Clear();
        if (set_wakeup_fd(self, -1) == -2) {
            PyErr_Clear();
        }
    }
}

/* Hand one signal number to the handler of add_signal_handler.
 * 0, or -1 with an exception set. */
static int
dispatch(LoopObject *self, unsigned char number)
{
    if (number == 0 || self->signal_handlers == NULL ||
        PyDict_GET_SIZE(self->signal_handlers) == 0) {
        return 0;
    }
    PyObject *arg = PyLong_FromLong(number);
    if (arg == NULL) {
        return -1;
    }
    PyObject *result = PyObject_CallMethodOneArg(
        (PyObject *)self, self->st->str__handle_signal, arg);
    Py_DECREF(arg);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
al_signal_on_arrival(LoopObject *self)
{
    unsigned char numbers[512];
    ssize_t count;

    /* Handlers of signal.signal first: that is when the signal arrived. */
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    do {
        count = read(self->signal_pipe[0], numbers, sizeof(numbers));
        for (ssize_t i = 0; i < count; i++) {
            if (dispatch(self, numbers[i]) < 0) {
                return -1;
            }
        }
    } while (count == (ssize_t)sizeof(numbers));
    return 0;
}

PyObject *
al_signal_py_wakeup_fd(PyObject *op, PyObject *unused)
{
    (void)unused;
    LoopObject *self = (LoopObject *)op;

    if (al_loop_check_closed(self) < 0 || al_signal_open(self) < 0) {
        return NULL;
    }
    return PyLong_FromLong(self->signal_pipe[1]);
}
