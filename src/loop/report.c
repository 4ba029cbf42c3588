/* report.c - exceptions of callbacks, in asyncio's words. */

#include "loop/report.h"

/* What asyncio calls the callback in messages; new reference. */
static PyObject *
callback_text(LoopObject *self, HandleObject *handle)
{
    struct al_state *st = self->st;
    PyObject *callback = handle->callback ? handle->callback : Py_None;
    PyObject *args =
        handle->callback ? al_handle_args_tuple(handle) : PyTuple_New(0);
    if (args == NULL) {
        return NULL;
    }
    PyObject *text =
        PyObject_CallFunctionObjArgs(st->describe_callback, callback, args,
                                     self->debug ? Py_True : Py_False, NULL);
    Py_DECREF(args);
    return text;
}

static PyObject *
error_context(LoopObject *self, HandleObject *handle, PyObject *error)
{
    struct al_state *st = self->st;
    PyObject *message = NULL;
    PyObject *context = NULL;

    PyObject *text = callback_text(self, handle);
    if (text == NULL) {
        goto done;
    }
    message = PyUnicode_FromFormat("Exception in callback %U", text);
    if (message == NULL) {
        goto done;
    }
    context = PyDict_New();
    if (context == NULL) {
        goto done;
    }
    if (PyDict_SetItem(context, st->str_message, message) < 0 ||
        PyDict_SetItem(context, st->str_exception, error) < 0 ||
        PyDict_SetItem(context, st->str_handle, (PyObject *)handle) < 0) {
        Py_CLEAR(context);
        goto done;
    }
    if (handle->flags & AL_HANDLE_TRACED &&
        PyDict_SetItem(context, st->str_source_traceback, handle->args[1]) <
            0) {
        Py_CLEAR(context);
    }

done:
    Py_XDECREF(message);
    Py_XDECREF(text);
    return context;
}

int
al_report_callback_error(LoopObject *self, HandleObject *handle)
{
    PyObject *error = al_err_take();
    PyObject *context = error_context(self, handle, error);
    PyObject *result = NULL;

    Py_DECREF(error);
    if (context != NULL) {
        result = PyObject_CallMethodOneArg(
            (PyObject *)self, self->st->str_call_exception_handler, context);
        Py_DECREF(context);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
report_slow(LoopObject *self, PyObject *what, double seconds)
{
    PyObject *result =
        PyObject_CallMethod(self->st->aio_logger, "warning", "sOd",
                            "Executing %s took %.3f seconds", what, seconds);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
al_report_slow_callback(LoopObject *self, HandleObject *handle, double seconds)
{
    PyObject *text =
        PyObject_CallOneArg(self->st->aio_format_handle, (PyObject *)handle);
    if (text == NULL) {
        return -1;
    }
    int rc = report_slow(self, text, seconds);
    Py_DECREF(text);
    return rc;
}

int
al_report_slow_event(LoopObject *self, PyObject *owner, double seconds)
{
    return report_slow(self, owner, seconds);
}
