/* transport_face.c - the Python methods that all transports share.
 *
 * Threads: the loop's.
 */

#include "loop/run.h"
#include "py/args.h"
#include "transports/transport.h"

PyObject *
al_transport_py_close(PyObject *op, PyObject *unused)
{
    (void)unused;
    if (al_transport_close((al_transport *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_transport_py_is_closing(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((al_transport *)op)->closing);
}

PyObject *
al_transport_py_set_protocol(PyObject *op, PyObject *const *args,
                             Py_ssize_t nargs, PyObject *kwnames)
{
    al_transport *self = (al_transport *)op;
    PyObject *protocol = al_args_one("set_protocol", self->st->str_protocol,
                                     args, nargs, kwnames);

    if (protocol == NULL) {
        return NULL;
    }
    /* What was written is the old protocol's, and so is a pause that it
     * causes. */
    if (self->loop != NULL && self->kind->send_now != NULL &&
        self->kind->pending(self) != 0) {
        self->kind->send_now(self);
    }
    if (al_transport_set_protocol(self, protocol) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_transport_py_get_protocol(PyObject *op, PyObject *unused)
{
    (void)unused;
    PyObject *protocol = ((al_transport *)op)->protocol;
    return Py_NewRef(protocol == NULL ? Py_None : protocol);
}

PyObject *
al_transport_py_call_lost(PyObject *op, PyObject *error)
{
    if (al_transport_lose((al_transport *)op, error) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_transport_py_force_close(PyObject *op, PyObject *error)
{
    if (al_transport_force_close((al_transport *)op, error) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_transport_py_fatal_error(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"exc", "message", NULL};
    const char *message = "Fatal error on transport";
    PyObject *error;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|s:_fatal_error", names,
                                     &error, &message)) {
        return NULL;
    }
    if (!PyExceptionInstance_Check(error)) {
        PyErr_SetString(PyExc_TypeError, "exc must be an exception");
        return NULL;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    al_transport_fatal((al_transport *)op, message);
    Py_RETURN_NONE;
}

/* --- reading ---------------------------------------------------------------- */

PyObject *
al_transport_py_is_reading(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(al_transport_is_reading((al_transport *)op));
}

PyObject *
al_transport_py_pause_reading(PyObject *op, PyObject *unused)
{
    al_transport *self = (al_transport *)op;

    (void)unused;
    if (self->loop != NULL && al_transport_is_reading(self)) {
        self->paused = true;
        al_transport_stop_reading(self);
        al_transport_log_debug(self, "%r pauses reading");
    }
    Py_RETURN_NONE;
}

PyObject *
al_transport_py_resume_reading(PyObject *op, PyObject *unused)
{
    al_transport *self = (al_transport *)op;

    (void)unused;
    if (self->loop != NULL && !self->closing && self->paused) {
        self->paused = false;
        al_transport_start_reading(self);
        al_transport_log_debug(self, "%r resumes reading");
    }
    Py_RETURN_NONE;
}

/* Queued behind connection_made: from now on data is delivered. */
PyObject *
al_transport_py_start_reading(PyObject *op, PyObject *unused)
{
    al_transport *self = (al_transport *)op;

    (void)unused;
    self->begun = true;
    if (self->loop != NULL && al_transport_is_reading(self)) {
        al_transport_start_reading(self);
    }
    Py_RETURN_NONE;
}

/* --- writing ---------------------------------------------------------------- */

PyObject *
al_transport_py_abort(PyObject *op, PyObject *unused)
{
    al_transport *self = (al_transport *)op;

    (void)unused;
    /* asyncio would have sent before what goes at once. */
    if (self->loop != NULL && !self->lost && !self->write_waits &&
        self->kind->pending(self) != 0) {
        self->kind->send_now(self);
    }
    if (al_transport_force_close((al_transport *)op, Py_None) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
al_transport_py_write_limits(PyObject *op, PyObject *unused)
{
    al_transport *self = (al_transport *)op;

    (void)unused;
    return Py_BuildValue("nn", (Py_ssize_t)self->low_water,
                         (Py_ssize_t)self->high_water);
}

/* A limit as the user gave it: kept in range, a large one being no limit. */
static int
limit_of(PyObject *object, Py_ssize_t *limit)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);

    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    *limit = overflow > 0   ? PY_SSIZE_T_MAX
             : overflow < 0 ? PY_SSIZE_T_MIN
                            : (Py_ssize_t)value;
    return 0;
}

PyObject *
al_transport_py_set_limits(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"high", "low", NULL};
    al_transport *self = (al_transport *)op;
    PyObject *high = Py_None, *low = Py_None;
    Py_ssize_t high_water = (Py_ssize_t)AL_HIGH_WATER, low_water;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|OO:set_write_buffer_limits", names, &high, &low) ||
        (high != Py_None && limit_of(high, &high_water) < 0) ||
        (low != Py_None && limit_of(low, &low_water) < 0)) {
        return NULL;
    }
    if (high == Py_None && low != Py_None) {
        high_water =
            low_water > PY_SSIZE_T_MAX / 4 ? PY_SSIZE_T_MAX : low_water * 4;
    }
    if (low == Py_None) {
        low_water = high_water >= 0 ? high_water / 4 : high_water;
    }
    if (high_water < low_water || low_water < 0) {
        PyErr_Format(PyExc_ValueError,
                     "high (%zd) must be >= low (%zd) must be >= 0",
                     high_water, low_water);
        return NULL;
    }
    self->high_water = (size_t)high_water;
    self->low_water = (size_t)low_water;
    if (self->loop != NULL && self->kind->pending(self) > self->high_water) {
        self->kind->send_now(self);
        if (self->loop != NULL && al_transport_check_high(self, true) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

PyObject *
al_transport_py_buffer_size(PyObject *op, PyObject *unused)
{
    al_transport *self = (al_transport *)op;

    (void)unused;
    if (self->loop != NULL && self->kind->pending(self) != 0) {
        self->kind->send_now(self);
    }
    return PyLong_FromSize_t(self->kind->pending(self));
}
