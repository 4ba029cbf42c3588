/* process_face.c - the Python face of a child process's transport: its
 * methods, and the attributes of asyncio's that libraries read.
 *
 * Threads: the loop's.
 */

#include "process/process.h"

#include "process/pipe_end.h"
#include "py/args.h"

#include <signal.h>

static inline ProcessObject *
process_of(PyObject *op)
{
    return (ProcessObject *)op;
}

static PyObject *
or_none(PyObject *object)
{
    return Py_NewRef(object == NULL ? Py_None : object);
}

static PyObject *
none_if_ok(int rc)
{
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* --- what it is ---------------------------------------------------------------- */

static PyObject *
process_get_pid(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromPid(process_of(op)->pid);
}

static PyObject *
process_get_returncode(PyObject *op, void *closure)
{
    const ProcessObject *self = process_of(op);

    (void)closure;
    return self->exited ? PyLong_FromLong(self->returncode) : or_none(NULL);
}

/* asyncio's Process asks for it, when its protocol has made the streams: time
 * to adopt them. */
static PyObject *
process_py_get_pid(PyObject *op, PyObject *unused)
{
    const ProcessObject *self = process_of(op);
    PyObject *key, *end;
    Py_ssize_t at = 0;

    (void)unused;
    while (self->pipes != NULL && PyDict_Next(self->pipes, &at, &key, &end)) {
        if (Py_IS_TYPE(end, self->st->pipe_end_type)) {
            al_pipe_end_adopt(end);
        }
    }
    return process_get_pid(op, NULL);
}

static PyObject *
process_py_get_returncode(PyObject *op, PyObject *unused)
{
    (void)unused;
    return process_get_returncode(op, NULL);
}

/* The transport of an end, None before there is one. */
static PyObject *
pipe_of_end(const ProcessObject *self, PyObject *end)
{
    return end != NULL && Py_IS_TYPE(end, self->st->pipe_end_type)
               ? or_none(((PipeEndObject *)end)->pipe)
               : or_none(NULL);
}

static PyObject *
process_py_get_pipe_transport(PyObject *op, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames)
{
    const ProcessObject *self = process_of(op);
    PyObject *fd = al_args_one("get_pipe_transport", self->st->str_fd, args,
                               nargs, kwnames);
    if (fd == NULL) {
        return NULL;
    }
    PyObject *end = PyDict_GetItemWithError(self->pipes, fd);
    if (end == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return pipe_of_end(self, end);
}

/* Put the Popen into the extra info, where asyncio has it. 0, or -1. */
static int
complete_extra(ProcessObject *self)
{
    if (self->extra == NULL && (self->extra = PyDict_New()) == NULL) {
        return -1;
    }
    int there = PyDict_Contains(self->extra, self->st->str_subprocess);
    if (there != 0) {
        return there < 0 ? -1 : 0;
    }
    PyObject *popen = al_process_popen(self);
    if (popen == NULL) {
        return -1;
    }
    int rc = PyDict_SetItem(self->extra, self->st->str_subprocess, popen);
    Py_DECREF(popen);
    return rc;
}

static PyObject *
process_py_get_extra_info(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "default", NULL};
    ProcessObject *self = process_of(op);
    PyObject *key, *missing = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:get_extra_info", names,
                                     &key, &missing)) {
        return NULL;
    }
    bool is_popen = PyUnicode_Check(key) &&
                    PyUnicode_Compare(key, self->st->str_subprocess) == 0;
    if ((is_popen || self->extra == NULL) && complete_extra(self) < 0) {
        return NULL;
    }
    PyObject *value = PyDict_GetItemWithError(self->extra, key);
    if (value == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return Py_NewRef(value == NULL ? missing : value);
}

/* --- the protocol -------------------------------------------------------------- */

static PyObject *
process_py_set_protocol(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames)
{
    ProcessObject *self = process_of(op);
    PyObject *protocol = al_args_one("set_protocol", self->st->str_protocol,
                                     args, nargs, kwnames);
    if (protocol == NULL) {
        return NULL;
    }
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
    Py_RETURN_NONE;
}

static PyObject *
process_get_protocol(PyObject *op, void *closure)
{
    (void)closure;
    return or_none(process_of(op)->protocol);
}

static int
process_set_protocol(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    Py_XSETREF(process_of(op)->protocol, Py_XNewRef(value));
    return 0;
}

static PyObject *
process_py_get_protocol(PyObject *op, PyObject *unused)
{
    (void)unused;
    return process_get_protocol(op, NULL);
}

/* --- signals and the end --------------------------------------------------------- */

static PyObject *
signal_child(PyObject *op, int number)
{
    ProcessObject *self = process_of(op);

    if (self->finished && self->protocol == NULL) {
        PyErr_SetNone(PyExc_ProcessLookupError);
        return NULL;
    }
    return none_if_ok(al_process_signal(self, number));
}

static PyObject *
process_py_send_signal(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    PyObject *value = al_args_one(
        "send_signal", process_of(op)->st->str_signal, args, nargs, kwnames);
    if (value == NULL) {
        return NULL;
    }
    PyObject *index = PyNumber_Index(value);
    if (index == NULL) {
        return NULL;
    }
    long number = PyLong_AsLong(index);
    Py_DECREF(index);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (number != (int)number) {
        PyErr_SetString(PyExc_OverflowError,
                        "signed integer is greater than maximum");
        return NULL;
    }
    return signal_child(op, (int)number);
}

static PyObject *
process_py_terminate(PyObject *op, PyObject *unused)
{
    (void)unused;
    return signal_child(op, SIGTERM);
}

static PyObject *
process_py_kill(PyObject *op, PyObject *unused)
{
    (void)unused;
    return signal_child(op, SIGKILL);
}

static PyObject *
process_py_close(PyObject *op, PyObject *unused)
{
    (void)unused;
    return none_if_ok(al_process_close(process_of(op)));
}

static PyObject *
process_py_is_closing(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(process_of(op)->closed);
}

/* --- asyncio's private methods, and ours for _subprocess.py ----------------------- */

static PyObject *
process_py_process_exited(PyObject *op, PyObject *returncode)
{
    int code = (int)PyLong_AsLong(returncode);

    if (code == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return none_if_ok(al_process_exited(process_of(op), code));
}

static PyObject *
process_py_call_lost(PyObject *op, PyObject *error)
{
    return none_if_ok(al_process_lose(process_of(op), error));
}

static PyObject *
process_py_pipe_data(PyObject *op, PyObject *args)
{
    int fd;
    PyObject *data;

    if (!PyArg_ParseTuple(args, "iO:_pipe_data_received", &fd, &data)) {
        return NULL;
    }
    return none_if_ok(al_process_pipe_data(process_of(op), fd, data));
}

static PyObject *
process_py_pipe_lost(PyObject *op, PyObject *args)
{
    int fd;
    PyObject *error;

    if (!PyArg_ParseTuple(args, "iO:_pipe_connection_lost", &fd, &error)) {
        return NULL;
    }
    return none_if_ok(al_process_pipe_lost(process_of(op), fd, error));
}

/* The protocol for the pipe of descriptor 0, 1 or 2. */
static PyObject *
process_py_make_end(PyObject *op, PyObject *fd)
{
    ProcessObject *self = process_of(op);
    long number = PyLong_AsLong(fd);

    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *end = al_pipe_end_new(self, (int)number);
    if (end != NULL && PyDict_SetItem(self->pipes, fd, end) < 0) {
        Py_CLEAR(end);
    }
    return end;
}

static PyObject *
process_py_connected(PyObject *op, PyObject *unused)
{
    (void)unused;
    return none_if_ok(al_process_connected(process_of(op)));
}

PyMethodDef al_process_methods[] = {
    {"get_pid", process_py_get_pid, METH_NOARGS,
     "get_pid($self, /)\n--\n\nThe child's process id."},
    {"get_returncode", process_py_get_returncode, METH_NOARGS,
     "get_returncode($self, /)\n--\n\n"
     "How it ended; a signal's number negated; None while it runs."},
    {"get_pipe_transport", _PyCFunction_CAST(process_py_get_pipe_transport),
     METH_FASTCALL | METH_KEYWORDS,
     "get_pipe_transport($self, fd)\n--\n\n"
     "The transport of the pipe to its descriptor 0, 1 or 2, or None."},
    {"get_extra_info", _PyCFunction_CAST(process_py_get_extra_info),
     METH_VARARGS | METH_KEYWORDS,
     "get_extra_info($self, name, default=None)\n--\n\n"
     "What is known under this name: 'subprocess' is a Popen."},
    {"set_protocol", _PyCFunction_CAST(process_py_set_protocol),
     METH_FASTCALL | METH_KEYWORDS,
     "set_protocol($self, protocol)\n--\n\nChange the protocol."},
    {"get_protocol", process_py_get_protocol, METH_NOARGS,
     "get_protocol($self, /)\n--\n\nThe protocol."},
    {"send_signal", _PyCFunction_CAST(process_py_send_signal),
     METH_FASTCALL | METH_KEYWORDS,
     "send_signal($self, signal)\n--\n\nSend a signal to the child."},
    {"terminate", process_py_terminate, METH_NOARGS,
     "terminate($self, /)\n--\n\nSend SIGTERM."},
    {"kill", process_py_kill, METH_NOARGS,
     "kill($self, /)\n--\n\nSend SIGKILL."},
    {"close", process_py_close, METH_NOARGS,
     "close($self, /)\n--\n\nClose the pipes, and kill the child if it runs."},
    {"is_closing", process_py_is_closing, METH_NOARGS,
     "is_closing($self, /)\n--\n\nWas it closed?"},
    {"_process_exited", process_py_process_exited, METH_O, NULL},
    {"_call_connection_lost", process_py_call_lost, METH_O, NULL},
    {"_pipe_data_received", process_py_pipe_data, METH_VARARGS, NULL},
    {"_pipe_connection_lost", process_py_pipe_lost, METH_VARARGS, NULL},
    {"_make_end", process_py_make_end, METH_O, NULL},
    {"_connected", process_py_connected, METH_NOARGS, NULL},
    {NULL},
};

/* --- attributes --------------------------------------------------------------- */

static PyObject *
process_get_extra(PyObject *op, void *closure)
{
    (void)closure;
    if (complete_extra(process_of(op)) < 0) {
        return NULL;
    }
    return Py_NewRef(process_of(op)->extra);
}

static int
process_set_extra(PyObject *op, PyObject *value, void *closure)
{
    (void)closure;
    if (value == NULL || !PyDict_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "_extra must be a dict");
        return -1;
    }
    Py_XSETREF(process_of(op)->extra, Py_NewRef(value));
    return 0;
}

static PyObject *
process_get_loop(PyObject *op, void *closure)
{
    (void)closure;
    return or_none((PyObject *)process_of(op)->loop);
}

static PyObject *
process_get_popen(PyObject *op, void *closure)
{
    (void)closure;
    if (process_of(op)->protocol == NULL) {
        Py_RETURN_NONE; /* released */
    }
    return al_process_popen(process_of(op));
}

static PyObject *
process_get_pipes(PyObject *op, void *closure)
{
    (void)closure;
    return or_none(process_of(op)->pipes);
}

static PyObject *
process_get_waiters(PyObject *op, void *closure)
{
    (void)closure;
    return or_none(process_of(op)->exit_waiters);
}

static PyObject *
process_get_pending(PyObject *op, void *closure)
{
    (void)closure;
    return or_none(process_of(op)->pending);
}

static PyObject *
process_get_closed(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(process_of(op)->closed);
}

static PyObject *
process_get_finished(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(process_of(op)->finished);
}

PyGetSetDef al_process_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"_extra", process_get_extra, process_set_extra, NULL, NULL},
    {"_loop", process_get_loop, NULL, NULL, NULL},
    {"_protocol", process_get_protocol, process_set_protocol, NULL, NULL},
    {"_proc", process_get_popen, NULL, NULL, NULL},
    {"_pid", process_get_pid, NULL, NULL, NULL},
    {"_returncode", process_get_returncode, NULL, NULL, NULL},
    {"_pipes", process_get_pipes, NULL, NULL, NULL},
    {"_exit_waiters", process_get_waiters, NULL, NULL, NULL},
    {"_pending_calls", process_get_pending, NULL, NULL, NULL},
    {"_closed", process_get_closed, NULL, NULL, NULL},
    {"_finished", process_get_finished, NULL, NULL, NULL},
    {NULL},
};

/* " stdin=<...>" and the like, or "" without such a pipe. */
static PyObject *
text_of_pipe(const ProcessObject *self, const char *name, int fd)
{
    PyObject *key = PyLong_FromLong(fd);
    PyObject *end =
        key == NULL ? NULL : PyDict_GetItemWithError(self->pipes, key);

    Py_XDECREF(key);
    if (end == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (end == NULL || end == Py_None) {
        return PyUnicode_FromString("");
    }
    PyObject *pipe = pipe_of_end(self, end);
    PyObject *text = PyUnicode_FromFormat(" %s=%S", name, pipe);
    Py_DECREF(pipe);
    return text;
}

PyObject *
al_process_tp_repr(PyObject *op)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    const ProcessObject *self = process_of(op);
    PyObject *name = PyType_GetName(Py_TYPE(op));
    PyObject *state =
        self->exited ? PyUnicode_FromFormat("returncode=%d", self->returncode)
                     : PyUnicode_FromString("running");
    PyObject *pipes[3] = {NULL, NULL, NULL};
    PyObject *text = NULL;

    for (int fd = 0; fd < 3; fd++) {
        pipes[fd] = self->pipes == NULL ? PyUnicode_FromString("")
                                        : text_of_pipe(self, names[fd], fd);
        if (pipes[fd] == NULL) {
            goto done;
        }
    }
    if (name != NULL && state != NULL) {
        text = PyUnicode_FromFormat(
            "<%U%s pid=%d %U%U%U%U>", name, self->closed ? " closed" : "",
            (int)self->pid, state, pipes[0], pipes[1], pipes[2]);
    }

done:
    for (int fd = 0; fd < 3; fd++) {
        Py_XDECREF(pipes[fd]);
    }
    Py_XDECREF(name);
    Py_XDECREF(state);
    return text;
}
