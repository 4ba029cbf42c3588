/* reader.h - asyncio.StreamReader in C.
 *
 * A reader that a transport of ours feeds is adopted (adopt.c): its class
 * becomes one that is derived from asyncio's and has no slots of its own, and
 * what it knows moves from its dict into a ReaderState, which the dict holds.
 * The attributes that asyncio has are descriptors of the class, so whoever
 * reads or sets one, and asyncio's own methods, which stay where they are
 * rare, see the truth.
 *
 * Invariants:
 *   1. `waiter` is what reader._waiter is, `content` what reader._buffer is:
 *      all that holds in asyncio of who sets and clears them holds here;
 *   2. with `hidden` or `odd_limit` set, asyncio's code does everything that
 *      is not under way: somebody may have replaced a method that it calls.
 *
 * Ownership: the reader's dict owns the state; fields say the rest. The state
 * has no reference to the reader.
 * Threads: the loop's.
 */
#ifndef AL_STREAMS_READER_H
#define AL_STREAMS_READER_H

#include "loop/loop.h"
#include "streams/content.h"

typedef struct {
    PyObject_HEAD
    struct al_state *st; /* borrowed: the type keeps the module */
    LoopObject *loop;    /* strong */
    al_content content;
    PyObject *waiter;       /* strong, or NULL: None */
    PyObject *exception;    /* strong, or NULL: None */
    PyObject *transport;    /* strong, or NULL: None */
    PyObject *limit_seen;   /* strong: what reader._limit is */
    Py_ssize_t limit;       /* the same, at most PY_SSIZE_T_MAX / 2 */
    Py_ssize_t attributes;  /* how many the dict had when we last looked */
    uint8_t writers_sought; /* how often; see writer.c */
    bool eof;
    bool paused;
    bool odd_limit; /* one that C cannot count with */
    bool hidden;    /* attributes of the reader stand before methods */
} ReaderState;

/* Of a reader of asyncio's exact class: take over what its dict has. New
 * reference; NULL without an exception if it is not plain, or with one. */
ReaderState *al_reader_state_new(struct al_state *st, PyObject *dict);

/* Keep a limit. False if C cannot count with it. */
bool al_reader_take_limit(ReaderState *self, PyObject *value);

/* The state of an adopted reader, borrowed; NULL, without an exception, if
 * somebody took it away. */
ReaderState *al_reader_state_of(struct al_state *st, PyObject *reader);

/* Has C to do the work, and not asyncio's code? `reader` is the state's. */
bool al_reader_is_plain(ReaderState *self, PyObject *reader);

/* The state, if so; borrowed, or NULL without an exception. */
ReaderState *al_reader_plain_state(struct al_state *st, PyObject *reader);

/* feed_data, of `count` bytes, and of exact `bytes`. 0, or -1 with an
 * exception set. */
int al_reader_feed(ReaderState *self, const char *data, Py_ssize_t count);
int al_reader_feed_bytes(ReaderState *self, PyObject *bytes);

/* Resume the transport if it was paused and there is room. 0, or -1. */
int al_reader_maybe_resume(ReaderState *self);

/* Resume it if it was paused: who waits for data must get some. 0, or -1. */
int al_reader_resume(ReaderState *self);

/* Asyncio's own method of this name, called with the reader first. New
 * reference, or NULL with an exception set. */
PyObject *al_reader_call_stock(struct al_state *st, PyObject *reader,
                               const char *name, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames);

extern PyGetSetDef al_reader_getset[];

PyObject *al_reader_py_feed_data(PyObject *op, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames);
PyObject *al_reader_py_at_eof(PyObject *op, PyObject *unused);

#define AL_READER_METHODS                                                     \
    {"feed_data", _PyCFunction_CAST(al_reader_py_feed_data),                  \
     METH_FASTCALL | METH_KEYWORDS,                                           \
     "feed_data($self, data)\n--\n\n"                                         \
     "Add bytes to what can be read."},                                       \
    {                                                                         \
        "at_eof", al_reader_py_at_eof, METH_NOARGS,                           \
            "at_eof($self, /)\n--\n\n"                                        \
            "Is the buffer empty, and will nothing more come?"                \
    }

int al_reader_setup(PyObject *module, struct al_state *st);

#endif
