/* process.c - the life of a child process's transport; see process.h.
 *
 * Threads: the loop's.
 */

#include "process/process.h"

#include "loop/fork.h"
#include "loop/run.h"
#include "loop/sched.h"
#include "process/orphan.h"
#include "process/pipe_end.h"
#include "py/error.h"
#include "transports/pipe.h"
#include "transports/transport.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what the protocol hears ------------------------------------------------ */

/* Queue a call, in a copy of the context that is current, as call_soon does;
 * or keep it until the pipes are connected. 0, or -1 with an exception set. */
static int
queue_call(ProcessObject *self, PyObject *callback, PyObject *const *args,
           size_t nargs)
{
    if (self->pending != NULL) {
        PyObject *call = PyTuple_New((Py_ssize_t)nargs + 1);
        if (call == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(call, 0, Py_NewRef(callback));
        for (size_t i = 0; i < nargs; i++) {
            PyTuple_SET_ITEM(call, (Py_ssize_t)i + 1, Py_NewRef(args[i]));
        }
        int rc = PyList_Append(self->pending, call);
        Py_DECREF(call);
        return rc;
    }
    bool failed;
    PyObject *context = al_sched_copy_context(&failed);
    if (failed) {
        return -1;
    }
    int rc = al_sched_call_in(self->loop, context, callback, args, nargs);
    Py_XDECREF(context);
    return rc;
}

/* The same for a method of `object`. */
static int
queue_method(ProcessObject *self, PyObject *object, PyObject *name,
             PyObject *const *args, size_t nargs)
{
    PyObject *method = PyObject_GetAttr(object, name);

    if (method == NULL) {
        return -1;
    }
    int rc = queue_call(self, method, args, nargs);
    Py_DECREF(method);
    return rc;
}

/* pipe_data_received and pipe_connection_lost: both have the descriptor and
 * one thing more. */
static int
queue_of_pipe(ProcessObject *self, PyObject *name, int fd, PyObject *what)
{
    PyObject *args[] = {PyLong_FromLong(fd), what};

    if (args[0] == NULL) {
        return -1;
    }
    int rc = queue_method(self, self->protocol, name, args, 2);
    Py_DECREF(args[0]);
    return rc;
}

int
al_process_pipe_data(ProcessObject *self, int fd, PyObject *data)
{
    if (self->protocol == NULL || self->loop == NULL) {
        return 0;
    }
    return queue_of_pipe(self, self->st->str_pipe_data_received, fd, data);
}

/* Have all pipes been made and lost? */
static bool
all_pipes_are_lost(const ProcessObject *self)
{
    PyObject *key, *end;
    Py_ssize_t at = 0;

    while (PyDict_Next(self->pipes, &at, &key, &end)) {
        if (!Py_IS_TYPE(end, self->st->pipe_end_type) ||
            !((PipeEndObject *)end)->disconnected) {
            return false;
        }
    }
    return true;
}

/* The last thing has happened: queue connection_lost. 0, or -1. */
static int
try_finish(ProcessObject *self)
{
    PyObject *args[] = {Py_None};

    if (!self->exited || self->finished || !all_pipes_are_lost(self)) {
        return 0;
    }
    self->finished = true;
    return queue_method(self, (PyObject *)self,
                        self->st->str__call_connection_lost, args, 1);
}

int
al_process_pipe_lost(ProcessObject *self, int fd, PyObject *error)
{
    if (self->protocol == NULL || self->loop == NULL) {
        return 0;
    }
    if (queue_of_pipe(self, self->st->str_pipe_connection_lost, fd, error) <
        0) {
        return -1;
    }
    return try_finish(self);
}

int
al_process_connected(ProcessObject *self)
{
    PyObject *calls = self->pending;
    PyObject *transport = (PyObject *)self;

    self->pending = NULL;
    int rc = self->loop == NULL
                 ? 0
                 : queue_method(self, self->protocol,
                                self->st->str_connection_made, &transport, 1);
    for (Py_ssize_t i = 0; calls != NULL && rc == 0 && self->loop != NULL &&
                           i < PyList_GET_SIZE(calls);
         i++) {
        PyObject **call =
            ((PyTupleObject *)PyList_GET_ITEM(calls, i))->ob_item;
        Py_ssize_t size = PyTuple_GET_SIZE(PyList_GET_ITEM(calls, i));
        rc = queue_call(self, call[0], call + 1, (size_t)size - 1);
    }
    Py_XDECREF(calls);
    return rc;
}

/* --- the end of the child ---------------------------------------------------- */

static inline bool
is_foreign(const ProcessObject *self)
{
    return self->fork_generation != al_fork_generation;
}

bool
al_process_is_ours(const ProcessObject *self)
{
    return !self->exited && !self->reaped && !is_foreign(self);
}

/* waitid without blocking, for this child and no other. As waitid. */
static int
wait_for_child(const ProcessObject *self, siginfo_t *info, int options)
{
    int rc = -1;

    options |= WEXITED | WNOHANG;
    do {
        *info = (siginfo_t){0};
#if defined(__linux__)
        /* P_PIDFD, younger than pidfd_open by a version of Linux. */
        if (self->is_pidfd && self->exit_fd >= 0) {
            rc = waitid((idtype_t)3, (id_t)self->exit_fd, info, options);
            if (rc == 0 || errno != EINVAL) {
                continue;
            }
        }
#endif
        rc = waitid(P_PID, (id_t)self->pid, info, options);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

static void
close_exit_fd(ProcessObject *self)
{
    if (self->exit_fd < 0) {
        return;
    }
    int fd = self->exit_fd;
    self->exit_fd = -1;
    if (self->loop != NULL && !self->loop->closed) {
        al_watch_leave(self->loop, fd);
    }
    close(fd);
}

/* Somebody else has waited for the child. Its Popen may know how it ended;
 * otherwise nobody does. 0, or -1 with an exception set. */
static int
returncode_of_reaped(ProcessObject *self, int *code)
{
    *code = 255;
    if (self->popen != NULL) {
        PyObject *known =
            PyObject_GetAttr(self->popen, self->st->str_returncode);
        if (known == NULL) {
            return -1;
        }
        if (PyLong_Check(known)) {
            *code = (int)PyLong_AsLong(known);
            Py_DECREF(known);
            return *code == -1 && PyErr_Occurred() ? -1 : 0;
        }
        Py_DECREF(known);
    }
    PyObject *result =
        PyObject_CallMethod(self->st->aio_logger, "warning", "si",
                            "child process pid %d exit status already read: "
                            " will report returncode 255",
                            (int)self->pid);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Wait for the child, which has ended. 1; 0 if it has not; -1 with an
 * exception set. */
static int
process_reap(ProcessObject *self, int *code)
{
    siginfo_t info;

    if (wait_for_child(self, &info, 0) < 0) {
        self->reaped = true;
        return returncode_of_reaped(self, code) < 0 ? -1 : 1;
    }
    if (info.si_pid == 0) {
        return 0;
    }
    self->reaped = true;
    *code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return 1;
}

static void
process_on_event(al_watch_user *user, al_watch_side side)
{
    ProcessObject *self = (ProcessObject *)user->owner;
    LoopObject *loop = self->loop;
    int code;

    (void)side;
    if (loop == NULL || !al_process_is_ours(self)) {
        return;
    }
    int rc = process_reap(self, &code);
    if (rc == 0) {
        return;
    }
    close_exit_fd(self);
    if (rc < 0 || al_run_enter_context(loop, self->context) < 0 ||
        al_process_exited(self, code) < 0) {
        if (al_err_leaves_loop()) {
            al_run_leave_with_error(loop);
        }
        else {
            PyErr_WriteUnraisable((PyObject *)self);
        }
    }
}

/* The loop is closed, or the descriptor was closed under us: the child has
 * nobody who waits for it. */
static void
process_on_drop(al_watch_user *user, al_watch_side side, bool gone)
{
    ProcessObject *self = (ProcessObject *)user->owner;

    (void)side;
    if (gone) {
        self->exit_fd = -1;
    }
    if (al_process_is_ours(self) && !self->orphaned && !self->detached) {
        self->orphaned = true;
        al_orphan_adopt(self->pid);
    }
}

/* Wake those who wait for the end. 0, or -1 with the first exception. */
static int
wake_waiters(ProcessObject *self, PyObject *returncode)
{
    struct al_state *st = self->st;
    PyObject *waiters = self->exit_waiters;
    PyObject *waiter;
    int rc = 0;

    self->exit_waiters = NULL;
    if (waiters == NULL) {
        return 0;
    }
    PyObject *each = PySequence_List(waiters);
    Py_DECREF(waiters);
    if (each == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(each); i++) {
        waiter = PyList_GET_ITEM(each, i);
        PyObject *done = PyObject_CallMethodNoArgs(waiter, st->str_done);
        PyObject *result = done == Py_False
                               ? PyObject_CallMethodOneArg(
                                     waiter, st->str_set_result, returncode)
                               : Py_XNewRef(done);
        rc = result == NULL ? -1 : 0;
        Py_XDECREF(done);
        Py_XDECREF(result);
    }
    Py_DECREF(each);
    return rc;
}

/* The Popen does not wait for the child itself. 0, or -1. */
static int
tell_popen(ProcessObject *self, PyObject *returncode)
{
    if (self->popen == NULL) {
        return 0;
    }
    PyObject *known = PyObject_GetAttr(self->popen, self->st->str_returncode);
    int rc = known == NULL ? -1
             : known == Py_None
                 ? PyObject_SetAttr(self->popen, self->st->str_returncode,
                                    returncode)
                 : 0;
    Py_XDECREF(known);
    return rc;
}

static int
log_exit(ProcessObject *self, PyObject *returncode)
{
    if (!self->loop->debug) {
        return 0;
    }
    PyObject *result = PyObject_CallMethod(self->st->aio_logger, "info", "sOO",
                                           "%r exited with return code %r",
                                           (PyObject *)self, returncode);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
al_process_exited(ProcessObject *self, int code)
{
    if (self->exited || self->loop == NULL) {
        return 0;
    }
    PyObject *returncode = PyLong_FromLong(code);
    int rc = returncode == NULL ? -1 : log_exit(self, returncode);
    PyObject *error = rc < 0 ? al_err_take() : NULL;

    /* Whatever failed so far or fails now, those who wait are woken. */
    self->exited = self->reaped = true;
    self->returncode = code;
    if (returncode != NULL) {
        rc = tell_popen(self, returncode);
        if (rc == 0) {
            rc = queue_method(self, self->protocol,
                              self->st->str_process_exited, NULL, 0);
        }
        if (rc == 0) {
            rc = try_finish(self);
        }
        if (rc < 0 && error == NULL) {
            error = al_err_take();
        }
        PyErr_Clear();
        if (wake_waiters(self, returncode) < 0 && error == NULL) {
            error = al_err_take();
        }
        PyErr_Clear();
        Py_DECREF(returncode);
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
        return -1;
    }
    return 0;
}

/* --- signals and closing ------------------------------------------------------ */

/* 0, or -1 with errno. */
static int
send_signal(const ProcessObject *self, int number)
{
#if defined(SYS_pidfd_send_signal)
    if (self->is_pidfd && self->exit_fd >= 0) {
        long rc =
            syscall(SYS_pidfd_send_signal, self->exit_fd, number, NULL, 0);
        if (rc == 0 || errno != ENOSYS) {
            return (int)rc;
        }
    }
#endif
    if (self->orphaned || self->detached || is_foreign(self)) {
        /* Somebody else may have waited for it: is it there still? */
        siginfo_t info;
        if (wait_for_child(self, &info, WNOWAIT) < 0) {
            errno = ESRCH;
            return -1;
        }
    }
    return kill(self->pid, number);
}

int
al_process_signal(ProcessObject *self, int number)
{
    if (self->exited || self->reaped || send_signal(self, number) == 0 ||
        errno == ESRCH) {
        return 0;
    }
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* close() of each pipe. 0, or -1 with the first exception. */
static int
close_pipes(ProcessObject *self)
{
    int rc = 0;
    PyObject *ends = PyDict_Values(self->pipes);

    for (Py_ssize_t i = 0;
         ends != NULL && rc == 0 && i < PyList_GET_SIZE(ends); i++) {
        PyObject *end = PyList_GET_ITEM(ends, i);
        PyObject *pipe = Py_IS_TYPE(end, self->st->pipe_end_type)
                             ? ((PipeEndObject *)end)->pipe
                             : NULL;
        if (pipe != NULL) {
            Py_INCREF(pipe);
            PyObject *result =
                PyObject_CallMethodNoArgs(pipe, self->st->str_close);
            Py_DECREF(pipe);
            rc = result == NULL ? -1 : 0;
            Py_XDECREF(result);
        }
    }
    Py_XDECREF(ends);
    return ends == NULL ? -1 : rc;
}

/* Kill the child, by its Popen where somebody has that: it may be wrapped.
 * 0, or -1 with an exception set. */
static int
kill_running(ProcessObject *self)
{
    if (self->popen == NULL) {
        /* It may run under another user by now. */
        (void)send_signal(self, SIGKILL);
        return 0;
    }
    PyObject *popen = Py_NewRef(self->popen);
    PyObject *result = PyObject_CallMethod(popen, "kill", NULL);
    Py_DECREF(popen);
    if (result == NULL && !PyErr_ExceptionMatches(PyExc_ProcessLookupError) &&
        !PyErr_ExceptionMatches(PyExc_PermissionError)) {
        return -1;
    }
    PyErr_Clear();
    Py_XDECREF(result);
    return 0;
}

int
al_process_close(ProcessObject *self)
{
    siginfo_t info;

    if (self->closed) {
        return 0;
    }
    self->closed = true;
    if (self->loop != NULL && !self->loop->closed && close_pipes(self) < 0) {
        return -1;
    }
    if (!al_process_is_ours(self) ||
        wait_for_child(self, &info, WNOWAIT) < 0 || info.si_pid != 0) {
        return 0; /* it has ended, which the loop is about to see */
    }
    if (self->loop != NULL && self->loop->debug) {
        PyObject *result = PyObject_CallMethod(
            self->st->aio_logger, "warning", "sO",
            "Close running child process: kill %r", (PyObject *)self);
        if (result == NULL) {
            return -1;
        }
        Py_DECREF(result);
    }
    return kill_running(self);
}

int
al_process_lose(ProcessObject *self, PyObject *error)
{
    PyObject *protocol = self->protocol;
    PyObject *result = Py_None;

    if (protocol != NULL) {
        Py_INCREF(protocol);
        result = PyObject_CallMethodOneArg(
            protocol, self->st->str_connection_lost, error);
        Py_DECREF(protocol);
    }
    PyObject *raised = result == NULL ? al_err_take() : NULL;
    PyObject *loop = (PyObject *)self->loop;
    self->loop = NULL;
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->popen);
    Py_CLEAR(self->context);
    Py_XDECREF(loop);
    if (result == NULL) {
        al_err_give_back_steal(raised);
        return -1;
    }
    if (result != Py_None) {
        Py_DECREF(result);
    }
    return 0;
}

PyObject *
al_process_popen(ProcessObject *self)
{
    if (self->popen != NULL) {
        self->detached = true;
        return Py_NewRef(self->popen);
    }
    PyObject *returncode =
        self->exited ? PyLong_FromLong(self->returncode) : Py_NewRef(Py_None);
    if (returncode == NULL) {
        return NULL;
    }
    PyObject *popen =
        PyObject_CallFunction(self->st->make_popen, "OiOO", self->args,
                              (int)self->pid, returncode, self->files);
    Py_DECREF(returncode);
    if (popen != NULL) {
        self->detached = true;
        self->popen = Py_NewRef(popen);
    }
    return popen;
}

/* --- making one --------------------------------------------------------------- */

/* Connect one pipe to a transport. 0, or -1 with an exception set. */
static int
connect_pipe(ProcessObject *self, int fd, PyObject *file)
{
    PyObject *end = al_pipe_end_new(self, fd);
    PyObject *key = PyLong_FromLong(fd);
    PyObject *args = end == NULL ? NULL : PyTuple_Pack(2, file, end);
    PyObject *pipe = NULL;

    if (args != NULL && key != NULL &&
        PyDict_SetItem(self->pipes, key, end) == 0) {
        PyObject *loop = (PyObject *)self->loop;
        pipe = fd == 0 ? al_pipe_py_make_writer(loop, args, NULL)
                       : al_pipe_py_make_reader(loop, args, NULL);
    }
    if (pipe != NULL) {
        /* It will be told again by connection_made, which is queued. */
        ((PipeEndObject *)end)->pipe = Py_NewRef(pipe);
    }
    Py_XDECREF(pipe);
    Py_XDECREF(args);
    Py_XDECREF(key);
    Py_XDECREF(end);
    return pipe == NULL ? -1 : 0;
}

/* Connect the pipes, or note which will be. 0, or -1 with an exception set. */
static int
begin_pipes(ProcessObject *self, bool connect)
{
    for (int fd = 0; fd < 3; fd++) {
        PyObject *file = PyTuple_GET_ITEM(self->files, fd);
        if (file == Py_None) {
            continue;
        }
        if (connect) {
            if (connect_pipe(self, fd, file) < 0) {
                return -1;
            }
            continue;
        }
        PyObject *key = PyLong_FromLong(fd);
        if (key == NULL || PyDict_SetItem(self->pipes, key, Py_None) < 0) {
            Py_XDECREF(key);
            return -1;
        }
        Py_DECREF(key);
    }
    return 0;
}

/* Fill in a new object. 0, or -1 with an exception set. */
static int
process_init(ProcessObject *self, LoopObject *loop, PyObject *protocol,
             PyObject *extra)
{
    bool failed;

    self->st = loop->st;
    AL_LEDGER_MADE(self->st, process);
    self->closed = true; /* until it is the caller's */
    self->exit_fd = -1;
    self->fork_generation = al_fork_generation;
    self->user.owner = (PyObject *)self;
    self->user.on_event = process_on_event;
    self->user.on_drop = process_on_drop;
    self->user.owns_fd = true;
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    self->protocol = Py_NewRef(protocol);
    self->pipes = PyDict_New();
    self->exit_waiters = PySet_New(NULL);
    self->extra = PyDict_New();
    self->context = al_sched_copy_context(&failed);
    if (failed || self->pipes == NULL || self->exit_waiters == NULL ||
        self->extra == NULL) {
        return -1;
    }
    return extra == Py_None ? 0 : PyDict_Update(self->extra, extra);
}

/* Undo what al_process_py_make did, which fails: the child and the descriptor
 * are the caller's again. The exception stays. */
static void
process_give_up(ProcessObject *self)
{
    PyObject *error = al_err_take();

    self->reaped = true;
    if (self->exit_fd >= 0) {
        int fd = self->exit_fd;
        self->exit_fd = -1;
        al_watch_leave(self->loop, fd);
    }
    if (self->pipes != NULL && close_pipes(self) < 0) {
        PyErr_Clear();
    }
    Py_DECREF(self);
    al_err_give_back_steal(error);
}

/* _make_process(protocol, args, pid, exit_fd, is_pidfd, popen, files, extra,
 * connect): the child has been started. With exit_fd None somebody else tells
 * of its end, by _process_exited. With `connect` the pipes are connected and
 * connection_made is queued, else _connected() is to be called. */
PyObject *
al_process_py_make(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"protocol", "args",  "pid",   "exit_fd",
                            "is_pidfd", "popen", "files", "extra",
                            "connect",  NULL};
    LoopObject *loop = (LoopObject *)op;
    PyTypeObject *type = loop->st->process_type;
    PyObject *protocol, *program, *fd, *popen, *files, *extra;
    int pid, is_pidfd, connect;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOiOpOO!Op", names, &protocol, &program, &pid, &fd,
            &is_pidfd, &popen, &PyTuple_Type, &files, &extra, &connect) ||
        al_loop_check_closed(loop) < 0) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(files) != 3) {
        PyErr_SetString(PyExc_ValueError, "three files are wanted");
        return NULL;
    }
    ProcessObject *self = (ProcessObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (process_init(self, loop, protocol, extra) < 0) {
        goto failed;
    }
    self->pid = pid;
    self->args = Py_NewRef(program);
    self->files = Py_NewRef(files);
    self->popen = popen == Py_None ? NULL : Py_NewRef(popen);
    if (!connect && (self->pending = PyList_New(0)) == NULL) {
        goto failed;
    }
    if (fd != Py_None) {
        int exit_fd = (int)PyLong_AsLong(fd);
        if (exit_fd == -1 && PyErr_Occurred()) {
            goto failed;
        }
        al_watch_forget_stale(loop, exit_fd);
        if (al_watch_set_user(loop, exit_fd, AL_WATCH_READ, &self->user) < 0) {
            goto failed;
        }
        self->exit_fd = exit_fd;
        self->is_pidfd = is_pidfd;
        self->watched = true;
    }
    if (begin_pipes(self, connect) < 0 ||
        (connect && al_process_connected(self) < 0)) {
        goto failed;
    }
    self->closed = false;
    return (PyObject *)self;

failed:
    process_give_up(self);
    return NULL;
}

/* _watch_child(pid): a descriptor that becomes readable at its end, where
 * there is no pidfd; the caller's. */
PyObject *
al_process_py_watch(PyObject *op, PyObject *pid)
{
    long number = PyLong_AsLong(pid);

    (void)op;
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int fd = al_orphan_watch((pid_t)number);
    return fd < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(fd);
}

/* --- the type --------------------------------------------------------------- */

static int
process_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    ProcessObject *self = (ProcessObject *)op;

    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->extra);
    Py_VISIT(self->dict);
    Py_VISIT(self->loop);
    Py_VISIT(self->protocol);
    Py_VISIT(self->context);
    Py_VISIT(self->args);
    Py_VISIT(self->files);
    Py_VISIT(self->popen);
    Py_VISIT(self->pipes);
    Py_VISIT(self->exit_waiters);
    Py_VISIT(self->pending);
    return 0;
}

static int
process_tp_clear(PyObject *op)
{
    ProcessObject *self = (ProcessObject *)op;

    Py_CLEAR(self->extra);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->context);
    Py_CLEAR(self->args);
    Py_CLEAR(self->files);
    Py_CLEAR(self->popen);
    Py_CLEAR(self->pipes);
    Py_CLEAR(self->exit_waiters);
    Py_CLEAR(self->pending);
    Py_CLEAR(self->loop);
    return 0;
}

static void
process_tp_finalize(PyObject *op)
{
    ProcessObject *self = (ProcessObject *)op;

    if (self->closed) {
        return;
    }
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    if (al_process_close(self) < 0) {
        PyErr_WriteUnraisable(op);
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

static void
process_tp_dealloc(PyObject *op)
{
    ProcessObject *self = (ProcessObject *)op;
    PyTypeObject *tp = Py_TYPE(op);

    if (PyObject_CallFinalizerFromDealloc(op) < 0) {
        return; /* somebody wants it again */
    }
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    if (self->exit_fd >= 0) {
        close(self->exit_fd); /* no loop watches it, or it would hold us */
    }
    (void)process_tp_clear(op);
    if (self->st != NULL) {
        AL_LEDGER_FREED(self->st, process);
    }
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyMemberDef process_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(ProcessObject, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ProcessObject, weakrefs),
     READONLY, NULL},
    {NULL},
};

static PyType_Slot process_slots[] = {
    {Py_tp_traverse, process_tp_traverse},
    {Py_tp_clear, process_tp_clear},
    {Py_tp_finalize, process_tp_finalize},
    {Py_tp_dealloc, process_tp_dealloc},
    {Py_tp_repr, al_process_tp_repr},
    {Py_tp_members, process_members},
    {Py_tp_methods, al_process_methods},
    {Py_tp_getset, al_process_getset},
    {Py_tp_doc, "The transport of a child process."},
    {0, NULL},
};

static PyType_Spec process_spec = {
    .name = "asyncloop._core.SubprocessTransport",
    .basicsize = sizeof(ProcessObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = process_slots,
};

int
al_process_setup(PyObject *module, struct al_state *st)
{
    st->process_type = al_transport_make_type(module, &process_spec,
                                              st->aio_SubprocessTransport,
                                              offsetof(ProcessObject, dict));
    if (st->process_type == NULL ||
        PyObject_SetAttrString((PyObject *)st->process_type, "_wait",
                               st->wait_for_exit) < 0) {
        return -1;
    }
    return al_pipe_end_setup(module, st);
}
