/* lifecycle.c - the methods that start, stop and end a loop.
 *
 * Ownership: none of its own.
 * Threads: the loop's; stop() as in asyncio.
 */

#include "loop/lifecycle.h"

#include "loop/fork.h"
#include "loop/inbox.h"
#include "py/args.h"

/* 0, or -1 with RuntimeError set: a loop runs in this thread already. */
static int
check_running(LoopObject *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_RuntimeError,
                        "This event loop is already running");
        return -1;
    }
    PyObject *other = PyObject_CallNoArgs(self->st->aio_get_running_loop);
    if (other == NULL) {
        return -1;
    }
    Py_DECREF(other);
    if (other != Py_None) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "Cannot run the event loop while another loop is running");
        return -1;
    }
    return 0;
}

static int
check_may_run(LoopObject *self)
{
    if (al_loop_check_closed(self) < 0 || check_running(self) < 0) {
        return -1;
    }
    if (al_loop_is_foreign(self)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "This event loop belongs to the parent process; "
                        "a forked child must make its own");
        return -1;
    }
    return al_life_look_for_overrides(self);
}

static int
track_coroutine_origins(LoopObject *self, bool enabled)
{
    PyObject *result = PyObject_CallMethodOneArg(
        (PyObject *)self, self->st->str__set_coroutine_origin_tracking,
        enabled ? Py_True : Py_False);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
set_running_loop(LoopObject *self, PyObject *loop)
{
    PyObject *result =
        PyObject_CallOneArg(self->st->aio_set_running_loop, loop);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Install our asynchronous-generator hooks; `*saved` gets the hooks that were
 * there, new reference. 0, or -1 with an exception set. */
static int
hooks_install(LoopObject *self, PyObject **saved)
{
    struct al_state *st = self->st;
    int rc = -1;
    PyObject *result = NULL;
    PyObject *firstiter = NULL, *finalizer = NULL;

    *saved = PyObject_CallNoArgs(st->get_asyncgen_hooks);
    if (*saved == NULL) {
        goto done;
    }
    firstiter =
        PyObject_GetAttr((PyObject *)self, st->str__asyncgen_firstiter_hook);
    finalizer =
        PyObject_GetAttr((PyObject *)self, st->str__asyncgen_finalizer_hook);
    if (firstiter == NULL || finalizer == NULL) {
        goto done;
    }
    result = PyObject_CallFunctionObjArgs(st->set_asyncgen_hooks, firstiter,
                                          finalizer, NULL);
    rc = result == NULL ? -1 : 0;

done:
    if (rc < 0) {
        Py_CLEAR(*saved);
    }
    Py_XDECREF(result);
    Py_XDECREF(firstiter);
    Py_XDECREF(finalizer);
    return rc;
}

static int
hooks_restore(LoopObject *self, PyObject *saved)
{
    PyObject *result =
        PyObject_CallObject(self->st->set_asyncgen_hooks, saved);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Undo what of run_setup was done; each step whatever becomes of the others,
 * or the thread would seem to run a loop for ever. Steals `hooks`, keeps the
 * exception that is set, if any. */
static void
run_teardown_steal(LoopObject *self, PyObject *hooks)
{
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;

    self->stopping = false;
    self->running = false;
    self->thread_id = self->handles->runner = 0;
    self->tstate = NULL;
    if (!al_loop_is_foreign(self)) {
        self->watch_ops->signals_leave(self);
    }
    /* Up to 3.13 this allocates: one more try finds memory again. */
    if (set_running_loop(self, Py_None) < 0) {
        PyErr_Clear();
        if (set_running_loop(self, Py_None) < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
    }
    if (track_coroutine_origins(self, false) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    if (hooks_restore(self, hooks) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_DECREF(hooks);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

/* Is `name` of this class another one than ours? -1 with an exception set. */
static int
class_overrides(LoopObject *self, PyObject *name, PyObject *ours)
{
    PyObject *found = PyObject_GetAttr((PyObject *)Py_TYPE(self), name);
    Py_XDECREF(found);
    return found == NULL ? -1 : found != ours;
}

/* Is any of the methods in this dict another one? */
static int
class_overrides_any(LoopObject *self, PyObject *methods)
{
    PyObject *name, *ours;
    Py_ssize_t at = 0;
    int rc = 0;

    while (rc == 0 && PyDict_Next(methods, &at, &name, &ours)) {
        rc = class_overrides(self, name, ours);
    }
    return rc;
}

int
al_life_look_for_overrides(LoopObject *self)
{
    struct al_state *st = self->st;

    if (st->loop_class == NULL) {
        return 0; /* import: the class is being made */
    }
    int time = class_overrides(self, st->str_time, st->loop_time);
    int call_soon =
        class_overrides(self, st->str_call_soon, st->loop_call_soon);
    int get_debug =
        class_overrides(self, st->str_get_debug, st->loop_get_debug);
    int threadsafe = class_overrides(self, st->str_call_soon_threadsafe,
                                     st->loop_call_soon_threadsafe);
    int connecting = class_overrides_any(self, st->connect_parts);
    if (time < 0 || call_soon < 0 || get_debug < 0 || threadsafe < 0 ||
        connecting < 0) {
        return -1;
    }
    self->time_is_overridden = time || self->time_on_instance;
    self->no_short_cuts =
        call_soon || get_debug || self->short_cut_on_instance;
    self->threadsafe_is_overridden =
        threadsafe || self->threadsafe_on_instance;
    self->connecting_is_replaced = connecting || self->connect_on_instance;
    return 0;
}

/* 0 with everything set up, or -1 with an exception set and nothing left. */
static int
run_setup(LoopObject *self, PyObject **hooks)
{
    if (hooks_install(self, hooks) < 0) {
        return -1;
    }
    if (self->watch_ops->signals_enter(self) < 0 ||
        set_running_loop(self, (PyObject *)self) < 0) {
        goto failed;
    }
    self->running = true;
    self->thread_id = self->handles->runner = PyThread_get_thread_ident();
    self->tstate = PyThreadState_Get();
    if (track_coroutine_origins(self, self->debug) < 0) {
        goto failed;
    }
    return 0;

failed:
    run_teardown_steal(self, *hooks);
    *hooks = NULL;
    return -1;
}

PyObject *
al_life_py_run_forever(PyObject *op, PyObject *unused)
{
    (void)unused;
    LoopObject *self = (LoopObject *)op;
    PyObject *hooks;

    if (check_may_run(self) < 0 || run_setup(self, &hooks) < 0) {
        return NULL;
    }
    int rc = al_loop_run(self);
    run_teardown_steal(self, hooks);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Is `future.name()` true? -1 with an exception set. */
static int
ask_future(PyObject *future, PyObject *name)
{
    PyObject *answer = PyObject_CallMethodNoArgs(future, name);
    if (answer == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

/* Running raised: a task that we made ourselves has its exception marked as
 * seen, since the one that leaves the loop is usually the same. Keeps the
 * exception that is set. */
static void
quiet_own_task(LoopObject *self, PyObject *future)
{
    PyObject *error = al_err_take();
    if (ask_future(future, self->st->str_done) == 1 &&
        ask_future(future, self->st->str_cancelled) == 0) {
        Py_XDECREF(PyObject_CallMethodNoArgs(future, self->st->str_exception));
    }
    PyErr_Clear();
    al_err_give_back_steal(error);
}

/* Run with asyncio's own callback on the future: anyio knows a root task by
 * it. 0, or -1 with an exception set. */
static int
run_with_callback(LoopObject *self, PyObject *future, bool own_task)
{
    struct al_state *st = self->st;
    PyObject *result = PyObject_CallMethodOneArg(
        future, st->str_add_done_callback, st->aio_until_complete_cb);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    PyObject *ran =
        PyObject_CallMethodNoArgs((PyObject *)self, st->str_run_forever);
    if (ran == NULL && own_task) {
        quiet_own_task(self, future);
    }
    PyObject *error = ran == NULL ? al_err_take() : NULL;
    result = PyObject_CallMethodOneArg(future, st->str_remove_done_callback,
                                       st->aio_until_complete_cb);
    Py_XDECREF(ran);
    Py_XDECREF(result);
    if (error != NULL) {
        al_err_give_back_steal(error);
        return -1;
    }
    return result == NULL ? -1 : 0;
}

PyObject *
al_life_py_run_until_complete(PyObject *op, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    struct al_state *st = self->st;
    PyObject *result = NULL;
    PyObject *arg = al_args_one("run_until_complete", st->str_future, args,
                                nargs, kwnames);

    if (arg == NULL || check_may_run(self) < 0) {
        return NULL;
    }
    PyObject *is_future = PyObject_CallOneArg(st->aio_isfuture, arg);
    if (is_future == NULL) {
        return NULL;
    }
    bool own_task = is_future != Py_True;
    Py_DECREF(is_future);
    PyObject *stack[] = {arg, op};
    PyObject *future =
        PyObject_Vectorcall(st->aio_ensure_future, stack, 1, st->kw_loop);
    if (future == NULL) {
        return NULL;
    }
    if (own_task &&
        PyObject_SetAttr(future, st->str__log_destroy_pending, Py_False) < 0) {
        goto done;
    }
    if (run_with_callback(self, future, own_task) < 0) {
        goto done;
    }
    int is_done = ask_future(future, st->str_done);
    if (is_done < 0) {
        goto done;
    }
    if (!is_done) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Event loop stopped before Future completed.");
        goto done;
    }
    result = PyObject_CallMethodNoArgs(future, st->str_result);

done:
    Py_DECREF(future);
    return result;
}

PyObject *
al_life_py_stop(PyObject *op, PyObject *unused)
{
    (void)unused;
    ((LoopObject *)op)->stopping = true;
    Py_RETURN_NONE;
}

/* The executor is told to end, not waited for. */
static int
shutdown_executor(LoopObject *self)
{
    struct al_state *st = self->st;
    PyObject *executor = self->default_executor;

    self->executor_shutdown_called = 1;
    if (executor == NULL || executor == Py_None) {
        return 0;
    }
    self->default_executor = NULL;
    PyObject *stack[] = {executor, Py_False};
    PyObject *result = PyObject_VectorcallMethod(
        st->str_shutdown, stack, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
        st->kw_wait);
    Py_DECREF(executor);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Nor is the resolver, whose threads may never come back. */
static void
close_resolver(LoopObject *self)
{
    PyObject *resolver = self->resolver;

    self->resolver = NULL;
    if (resolver == NULL || resolver == Py_None) {
        Py_XDECREF(resolver);
        return;
    }
    PyObject *result =
        PyObject_CallMethodNoArgs(resolver, self->st->str_close);
    if (result == NULL) {
        PyErr_WriteUnraisable(resolver);
    }
    Py_DECREF(resolver);
    Py_XDECREF(result);
}

PyObject *
al_life_py_close(PyObject *op, PyObject *unused)
{
    (void)unused;
    LoopObject *self = (LoopObject *)op;

    if (self->running && !al_loop_is_foreign(self)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Cannot close a running event loop");
        return NULL;
    }
    if (self->closed) {
        Py_RETURN_NONE;
    }
    PyObject *result =
        PyObject_CallMethodNoArgs(op, self->st->str__forget_signal_handlers);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    self->closed = true;
    al_loop_drop_work(self);
    close_resolver(self);
    int rc = shutdown_executor(self);
    PyObject *error = rc < 0 ? al_err_take() : NULL;
    al_loop_close(self);
    if (error != NULL) {
        al_err_give_back_steal(error);
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_life_py_is_running(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((LoopObject *)op)->running);
}

PyObject *
al_life_py_is_closed(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((LoopObject *)op)->closed);
}

PyObject *
al_life_py_get_debug(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((LoopObject *)op)->debug);
}

void
al_life_set_debug_flag(LoopObject *self, bool enabled)
{
    self->debug = enabled;
    self->handles->debug = enabled;
}

PyObject *
al_life_py_set_debug(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *enabled =
        al_args_one("set_debug", self->st->str_enabled, args, nargs, kwnames);
    int truth = enabled == NULL ? -1 : PyObject_IsTrue(enabled);

    if (truth < 0) {
        return NULL;
    }
    al_life_set_debug_flag(self, truth);
    if (!self->running) {
        Py_RETURN_NONE;
    }
    /* Tracking is a setting of the loop's thread, which we may not be. */
    PyObject *track =
        PyObject_GetAttr(op, self->st->str__set_coroutine_origin_tracking);
    if (track == NULL) {
        return NULL;
    }
    PyObject *handle =
        PyObject_CallMethodObjArgs(op, self->st->str_call_soon_threadsafe,
                                   track, truth ? Py_True : Py_False, NULL);
    Py_DECREF(track);
    Py_XDECREF(handle);
    if (handle == NULL) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_life_py_check_closed(PyObject *op, PyObject *unused)
{
    (void)unused;
    if (al_loop_check_closed((LoopObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_life_py_check_running(PyObject *op, PyObject *unused)
{
    (void)unused;
    if (check_running((LoopObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Queue a handle of any loop's make, once more perhaps (signal handlers are
 * queued at each signal): what the ring gets is a handle that runs it. */
PyObject *
al_life_py_add_callback(PyObject *op, PyObject *handle)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *run = PyObject_GetAttr(handle, self->st->str__run);

    if (run == NULL) {
        return NULL;
    }
    HandleObject *entry =
        al_handle_new(self->handles, run, NULL, 0, NULL, NULL);
    Py_DECREF(run);
    if (entry == NULL) {
        return NULL;
    }
    if (al_loop_push_steal(self, (PyObject *)entry) < 0) {
        return NULL;
    }
    al_inbox_wake(self);
    Py_RETURN_NONE;
}

PyObject *
al_life_py_write_to_self(PyObject *op, PyObject *unused)
{
    (void)unused;
    al_inbox_wake((LoopObject *)op);
    Py_RETURN_NONE;
}
