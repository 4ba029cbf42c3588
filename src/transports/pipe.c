/* pipe.c - see pipe.h.
 *
 * asyncio's pipes differ from its sockets in small things that programs see:
 * an exception of data_received leaves the pipe open, the end of a read pipe
 * closes it whatever eof_received says, and a write pipe watches its
 * descriptor for the reader's leaving.
 *
 * Ownership: the pipe object that the user passed owns the descriptor, and
 * the transport owns the object.
 * Threads: the loop's.
 */

#include "transports/pipe.h"

#include "loop/run.h"
#include "py/args.h"
#include "py/error.h"
#include "transports/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- room ---------------------------------------------------------------------- */

/* What a pipe holds unless it was made larger. */
#define PIPE_SIZE ((unsigned)64 * 1024)

/* A pipe that was found full is made larger, once: both sides then wait four
 * times less often. Not by more, since the kernel limits what the pipes of one
 * user hold in all; and it may refuse, which is no error. */
#define ROOMY_PIPE_SIZE (256 * 1024)

static void
make_roomy(al_transport *self)
{
    if (self->made_roomy) {
        return;
    }
    self->made_roomy = true;
#ifdef F_SETPIPE_SZ
    int saved = errno;
    int size = fcntl(self->fd, F_GETPIPE_SZ);

    if (size > 0 && size <= (int)PIPE_SIZE) {
        (void)fcntl(self->fd, F_SETPIPE_SZ, ROOMY_PIPE_SIZE);
    }
    errno = saved;
#endif
}

/* --- reading ------------------------------------------------------------------- */

/* The writer has gone. asyncio queues both calls. */
static void
on_end(al_transport *self)
{
    al_transport_log_info(self, "%r was closed by peer");
    self->closing = true;
    al_transport_stop_reading(self);
    PyObject *method =
        PyObject_GetAttr(self->protocol, self->st->str_eof_received);
    int rc =
        method == NULL ? -1 : al_transport_call_soon(self, method, NULL, 0);
    Py_XDECREF(method);
    if (rc < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    if (al_transport_queue_lost(self, Py_None) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
}

static void
read_failed(al_transport *self)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return;
    }
    int error = errno;
    PyErr_SetFromErrno(PyExc_OSError);
    if (error == EBADF) {
        al_transport_lose_descriptor(self);
    }
    if (error != EIO) {
        /* Not a terminal that went away: asyncio reports it. */
        PyObject *raised = al_err_take();
        al_err_give_back_steal(Py_NewRef(raised));
        al_transport_report(self, "Fatal read error on pipe transport");
        al_err_give_back_steal(raised);
    }
    al_transport_fatal(self, "Fatal read error on pipe transport");
}

/* Reads go straight into `bytes` of the pipe's size once they are large, which
 * saves a copy. */
#define LARGE_READ ((ssize_t)16 * 1024)

/* As read(); `*data` is what was read, NULL without memory for it. */
static ssize_t
read_data(al_transport *self, PyObject **data)
{
    char *buffer;
    ssize_t count;

    *data = NULL;
    if (self->expected != 0 &&
        (*data = PyBytes_FromStringAndSize(NULL, self->expected)) != NULL) {
        count = read(self->fd, PyBytes_AS_STRING(*data), self->expected);
        int saved = errno;
        if (count <= 0) {
            Py_CLEAR(*data);
        }
        else if (count < (ssize_t)self->expected) {
            (void)_PyBytes_Resize(data, count); /* NULL when it fails */
        }
        errno = saved;
    }
    else {
        PyErr_Clear();
        buffer = al_loop_io_buffer(self->loop);
        if (buffer == NULL) {
            PyErr_NoMemory();
            return 1;
        }
        count = read(self->fd, buffer, AL_IO_BUFFER_SIZE);
        if (count > 0) {
            *data = PyBytes_FromStringAndSize(buffer, count);
        }
    }
    if (count >= (ssize_t)PIPE_SIZE) {
        make_roomy(self);
    }
    self->expected = count < LARGE_READ ? 0
                     : self->made_roomy ? ROOMY_PIPE_SIZE
                                        : PIPE_SIZE;
    return count;
}

static void
reader_read_ready(al_transport *self)
{
    PyObject *data;

    if (self->lost || !self->fd_open) {
        return;
    }
    ssize_t count = read_data(self, &data);
    if (count < 0) {
        read_failed(self);
        return;
    }
    if (count == 0) {
        on_end(self);
        return;
    }
    int rc = data == NULL ? -1 : al_transport_deliver(self, data);
    Py_XDECREF(data);
    if (rc < 0) {
        if (al_err_leaves_loop() || self->loop == NULL) {
            al_run_leave_with_error(self->loop);
            return;
        }
        al_transport_report(self, "Exception in callback data_received()");
    }
}

static size_t
reader_pending(al_transport *self)
{
    (void)self;
    return 0;
}

static void
reader_discard(al_transport *self)
{
    (void)self;
}

static void
reader_write_ready(al_transport *self)
{
    al_transport_stop_writing(self);
}

static const al_transport_kind reader_kind = {
    .pending = reader_pending,
    .discard = reader_discard,
    .read_ready = reader_read_ready,
    .write_ready = reader_write_ready,
};

/* --- writing ------------------------------------------------------------------- */

/* The descriptor of a write pipe has an event for reading: the reader has
 * gone, unless it is a socket or a terminal with something to read. */
static void
writer_read_ready(al_transport *self)
{
    PyObject *error = Py_None;

    al_transport_log_info(self, "%r was closed by peer");
    if (self->kind->pending(self) != 0) {
        error = PyObject_CallNoArgs(PyExc_BrokenPipeError);
    }
    if (error == NULL || al_transport_force_close(self, error) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    if (error != Py_None) {
        Py_XDECREF(error);
    }
}

/* There is room again, in a pipe that was full. */
static void
writer_write_ready(al_transport *self)
{
    if (self->fd_open) {
        make_roomy(self);
    }
    al_stream_write_ready(self);
}

static void
writer_drained(al_transport *self)
{
    if (self->closing) {
        al_transport_stop_reading(self);
        if (al_transport_queue_lost(self, Py_None) < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
    }
}

static const al_transport_kind writer_kind = {
    .write_error = "Fatal write error on pipe transport",
    .pending = al_stream_pending,
    .discard = al_stream_discard,
    .send_now = al_stream_send_now,
    .read_ready = writer_read_ready,
    .drained = writer_drained,
    .write_ready = writer_write_ready,
};

static int
writer_write(PyObject *op, PyObject *data)
{
    al_stream *self = (al_stream *)op;

    if (al_stream_check_data(data) < 0) {
        return -1;
    }
    if (self->base.lost || self->base.closing) {
        Py_ssize_t size = PyObject_Size(data);
        return size <= 0 ? (int)size
                         : al_transport_write_is_late(
                               &self->base,
                               "pipe closed by peer or os.write(pipe, data) "
                               "raised exception.");
    }
    return al_stream_write(self, data);
}

static PyObject *
writer_py_write(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    PyObject *data = al_args_one("write", ((al_transport *)op)->st->str_data,
                                 args, nargs, kwnames);
    if (data == NULL || writer_write(op, data) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
writer_py_writelines(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    PyObject *list =
        al_args_one("writelines", ((al_transport *)op)->st->str_list_of_data,
                    args, nargs, kwnames);
    if (list == NULL) {
        return NULL;
    }
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    if (empty == NULL) {
        return NULL;
    }
    PyObject *joined = PyObject_CallMethod(empty, "join", "O", list);
    Py_DECREF(empty);
    if (joined == NULL) {
        return NULL;
    }
    PyObject *result = writer_py_write(op, &joined, 1, NULL);
    Py_DECREF(joined);
    return result;
}

/* The end of writing is the end of the pipe. */
static PyObject *
writer_py_write_eof(PyObject *op, PyObject *unused)
{
    return al_transport_py_close(op, unused);
}

/* asyncio keeps the buffer as one bytearray. */
static PyObject *
writer_get_buffer(PyObject *op, void *closure)
{
    (void)closure;
    PyObject *list = al_outqueue_as_list(&((al_stream *)op)->queue);
    PyObject *empty = PyByteArray_FromStringAndSize(NULL, 0);
    PyObject *joined = list == NULL || empty == NULL
                           ? NULL
                           : PyObject_CallMethod(empty, "join", "O", list);
    Py_XDECREF(list);
    Py_XDECREF(empty);
    return joined;
}

/* --- the types ------------------------------------------------------------------ */

static PyMethodDef reader_methods[] = {
    AL_TRANSPORT_METHODS,
    AL_READ_TRANSPORT_METHODS,
    {"_close", al_transport_py_force_close, METH_O, NULL},
    {NULL},
};

static PyGetSetDef reader_getset[] = {
    AL_TRANSPORT_GETSET,
    {NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_traverse, al_transport_tp_traverse},
    {Py_tp_clear, al_transport_tp_clear},
    {Py_tp_finalize, al_transport_tp_finalize},
    {Py_tp_dealloc, al_transport_tp_dealloc},
    {Py_tp_repr, al_transport_tp_repr},
    {Py_tp_members, al_transport_members},
    {Py_tp_methods, reader_methods},
    {Py_tp_getset, reader_getset},
    {Py_tp_doc, "The transport of a pipe's reading end."},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "asyncloop._core.ReadPipeTransport",
    .basicsize = sizeof(al_transport),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reader_slots,
};

static PyMethodDef writer_methods[] = {
    AL_TRANSPORT_METHODS,
    AL_WRITE_TRANSPORT_METHODS,
    {"_start_reading", al_transport_py_start_reading, METH_NOARGS, NULL},
    {"_close", al_transport_py_force_close, METH_O, NULL},
    {"write", _PyCFunction_CAST(writer_py_write),
     METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\nWrite bytes, without blocking."},
    {"writelines", _PyCFunction_CAST(writer_py_writelines),
     METH_FASTCALL | METH_KEYWORDS,
     "writelines($self, list_of_data)\n--\n\nWrite several pieces."},
    {"write_eof", writer_py_write_eof, METH_NOARGS,
     "write_eof($self, /)\n--\n\nClose after what is written."},
    {"can_write_eof", al_stream_py_can_write_eof, METH_NOARGS,
     "can_write_eof($self, /)\n--\n\nTrue."},
    {NULL},
};

static PyGetSetDef writer_getset[] = {
    AL_TRANSPORT_GETSET,
    {"_buffer", writer_get_buffer, NULL, NULL, NULL},
    {NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_traverse, al_transport_tp_traverse},
    {Py_tp_clear, al_transport_tp_clear},
    {Py_tp_finalize, al_transport_tp_finalize},
    {Py_tp_dealloc, al_transport_tp_dealloc},
    {Py_tp_repr, al_transport_tp_repr},
    {Py_tp_members, al_transport_members},
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, writer_getset},
    {Py_tp_doc, "The transport of a pipe's writing end."},
    {0, NULL},
};

static PyType_Spec writer_spec = {
    .name = "asyncloop._core.WritePipeTransport",
    .basicsize = sizeof(al_stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = writer_slots,
};

static const al_outlet_ops writer_outlet = {
    .write = writer_write,
    .is_closing = al_transport_is_closing,
};

int
al_pipe_setup(PyObject *module, struct al_state *st)
{
    st->read_pipe_type =
        al_transport_make_type(module, &reader_spec, st->aio_ReadTransport,
                               offsetof(al_transport, dict));
    st->write_pipe_type =
        al_transport_make_type(module, &writer_spec, st->aio_FlowControl,
                               offsetof(al_transport, dict));
    if (st->read_pipe_type == NULL || st->write_pipe_type == NULL) {
        return -1;
    }
    return al_outlet_register(st, st->write_pipe_type, &writer_outlet);
}

/* --- making them ----------------------------------------------------------------- */

/* What the two factories are given. All borrowed. */
typedef struct {
    PyObject *pipe;
    PyObject *protocol;
    PyObject *waiter;
    PyObject *extra;
    int fd;
    mode_t mode;
} pipe_args;

static int
parse_pipe_args(LoopObject *loop, PyObject *args, PyObject *kwargs,
                const char *refusal, pipe_args *parsed)
{
    static char *names[] = {"pipe", "protocol", "waiter", "extra", NULL};
    struct stat file;

    parsed->waiter = parsed->extra = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|OO", names,
                                     &parsed->pipe, &parsed->protocol,
                                     &parsed->waiter, &parsed->extra) ||
        al_loop_check_closed(loop) < 0) {
        return -1;
    }
    parsed->fd = al_args_fileno(parsed->pipe, loop->st->str_fileno);
    if (parsed->fd < 0) {
        return -1;
    }
    if (fstat(parsed->fd, &file) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    parsed->mode = file.st_mode;
    if (!S_ISFIFO(file.st_mode) && !S_ISSOCK(file.st_mode) &&
        !S_ISCHR(file.st_mode)) {
        PyErr_SetString(PyExc_ValueError, refusal);
        return -1;
    }
    int flags = fcntl(parsed->fd, F_GETFL);
    if (flags < 0 || fcntl(parsed->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

/* Adopt the pipe and let the transport begin. Steals `self`, which may be
 * NULL with an exception set; returns it or NULL. */
static PyObject *
begin_pipe_steal(al_transport *self, LoopObject *loop, const pipe_args *args,
                 bool watch_reads)
{
    PyObject *extra = self == NULL ? NULL : PyDict_New();

    if (extra == NULL ||
        (args->extra != NULL && args->extra != Py_None &&
         PyDict_Update(extra, args->extra) < 0) ||
        PyDict_SetItem(extra, loop->st->str_pipe, args->pipe) < 0 ||
        al_transport_init(self, loop, args->protocol, extra, NULL) < 0) {
        Py_XDECREF(extra);
        Py_XDECREF(self);
        return NULL;
    }
    Py_DECREF(extra);
    self->is_pipe = true;
    al_watch_forget_stale(loop, args->fd);
    al_transport_adopt(self, args->fd, args->pipe);
    self->paused = !watch_reads;
    if (al_transport_begin(self, args->waiter) < 0) {
        al_transport_disown(self);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

PyObject *
al_pipe_py_make_reader(PyObject *op, PyObject *args, PyObject *kwargs)
{
    LoopObject *loop = (LoopObject *)op;
    PyTypeObject *type = loop->st->read_pipe_type;
    pipe_args parsed;

    if (parse_pipe_args(loop, args, kwargs,
                        "Pipe transport is for pipes/sockets only.",
                        &parsed) < 0) {
        return NULL;
    }
    al_transport *self = (al_transport *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->kind = &reader_kind;
    }
    return begin_pipe_steal(self, loop, &parsed, true);
}

PyObject *
al_pipe_py_make_writer(PyObject *op, PyObject *args, PyObject *kwargs)
{
    LoopObject *loop = (LoopObject *)op;
    pipe_args parsed;

    if (parse_pipe_args(
            loop, args, kwargs,
            "Pipe transport is only for pipes, sockets and character devices",
            &parsed) < 0) {
        return NULL;
    }
    al_stream *self = al_stream_new(loop->st->write_pipe_type, &writer_kind);
    /* A character device may have input, which is not for us. */
    return begin_pipe_steal((al_transport *)self, loop, &parsed,
                            !S_ISCHR(parsed.mode));
}
