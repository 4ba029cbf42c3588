/* op.h - an operation: what a method of the loop returns that is a coroutine
 * function in asyncio.
 *
 * It is a coroutine to whoever holds one: nothing happens before the first
 * send(), it can be made a task, cancelled, thrown into and closed, and one
 * that is dropped unawaited is warned about. It costs no frame, and no future
 * unless it has to wait.
 *
 * Here is what all of them share; a layer above has a family of them, a type
 * of its own, whose kinds are the methods. What a method does not do itself is
 * awaited through asyncio's own coroutine of the same name, or through
 * something else that can be awaited: `inner`.
 *
 * States: CREATED -> RUNNING -> (SUSPENDED -> RUNNING)* -> OVER.
 * Invariants:
 *   1. while foreign code runs in a send(), the state is RUNNING, and send,
 *      throw and close are refused;
 *   2. OVER holds nothing but `origin`.
 *
 * Ownership: whoever awaits it owns the operation; fields say the rest.
 * Threads: the loop's; one may be made and dropped in any.
 */
#ifndef AL_FUTURES_OP_H
#define AL_FUTURES_OP_H

#include "loop/loop.h"
#include "py/state.h"

#define AL_OP_ARGS 6

enum { AL_OP_CREATED, AL_OP_RUNNING, AL_OP_SUSPENDED, AL_OP_OVER };

typedef struct OpObject OpObject;

/* How an attempt ended. */
typedef enum {
    AL_OP_DONE,   /* `result` is set, or `deliver` will make it */
    AL_OP_AGAIN,  /* has to wait for what completes the future */
    AL_OP_FAILED, /* an exception is set */
    AL_OP_INNER,  /* `inner` is set: await it, then call `resolved` */
    AL_OP_BORROW, /* not for us: await asyncio's coroutine in place of it */
} al_op_outcome;

/* What a type of operations adds. NULL where it adds nothing. */
typedef struct {
    size_t type;      /* offsets into al_state: of the type, */
    size_t free_list; /* and of its al_op_free_list */
    /* A new one: set the fields beyond OpObject. */
    void (*init)(OpObject *self);
    /* AGAIN: see to it that somebody completes `future`. 0, or -1 with an
     * exception set. */
    int (*wait)(OpObject *self);
    /* Is the future all that a kind waits for? Then who completes it knows
     * nothing of the operation, whose `again` is called in the task. */
    bool again_in_task;
    /* BORROW: asyncio's coroutine, a new reference, or NULL with an exception
     * set. NULL: al_op_borrow has the loop's. */
    PyObject *(*borrow)(OpObject *self);
    /* BORROW: let go of what asyncio's coroutine will want for itself. */
    void (*part)(OpObject *self);
    /* The end: stop waiting and let go of everything. */
    void (*release)(OpObject *self);
    int (*traverse)(OpObject *self, visitproc visit, void *arg);
} al_op_family;

typedef struct {
    const al_op_family *family;
    const char *name;
    const char *owner;        /* the class of the method; NULL: Loop */
    int side;                 /* the family's own business */
    uint8_t required;         /* arguments without a default */
    uint8_t positional;       /* arguments that need not be named */
    uint8_t most;             /* arguments in all, at most AL_OP_ARGS */
    size_t names[AL_OP_ARGS]; /* their names: offsets into al_state */
    /* The first attempt, in the task; may run foreign code. */
    al_op_outcome (*begin)(OpObject *self);
    /* Another one, when what it waited for is there: DONE, AGAIN, FAILED. */
    al_op_outcome (*again)(OpObject *self);
    /* `inner` returned `value`: like begin. NULL: `value` is the result. */
    al_op_outcome (*resolved)(OpObject *self, PyObject *value);
    /* In the task again, after `again` was DONE: make the result; like begin.
     * NULL: it is set. */
    al_op_outcome (*deliver)(OpObject *self);
} al_op_kind;

struct OpObject {
    PyObject_HEAD
    const al_op_kind *kind;
    LoopObject *loop;           /* strong; NULL when OVER */
    PyObject *args[AL_OP_ARGS]; /* strong; NULL: default; `most` of them */
    PyObject *future;           /* strong: what was yielded, or NULL */
    PyObject *inner;            /* strong: what is awaited here, or NULL */
    PyObject *result;           /* strong, or NULL */
    PyObject *error;            /* strong: raised by `again`, or NULL */
    PyObject *origin;           /* strong: cr_origin, or NULL */
    uint8_t state;
    bool ready;    /* `result` or `error` is set: the future is complete */
    bool borrowed; /* `inner` is asyncio's coroutine for all of it */
};

/* An operation, or asyncio's coroutine where the arguments are not passed in
 * the usual way. New reference, or NULL with asyncio's TypeError set. */
PyObject *al_op_new(const al_op_kind *kind, LoopObject *loop,
                    PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);

/* The two halves of al_op_new. Sort the arguments into `values`, as many
 * as the kind has at most, borrowed: false where a Python function would, or might, raise TypeError.
 * Make an operation with such values: new reference, or NULL. */
bool al_op_sort(const al_op_kind *kind, struct al_state *st,
                PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                PyObject **values);
OpObject *al_op_make(const al_op_kind *kind, LoopObject *loop,
                     PyObject *const *values);

/* Call asyncio's coroutine function of this name with the operation's
 * arguments. New reference, or NULL with an exception set. */
PyObject *al_op_borrow(OpObject *self);

/* Let go of everything but `origin`; the caller sets the state. May run
 * foreign code. Leaves the exception state alone. */
void al_op_release(OpObject *self);

/* DONE with this result; FAILED if it is NULL. Steals it. */
al_op_outcome al_op_done_steal(OpObject *self, PyObject *result);

/* Slots of every family's type; op_coro.h has the rest. */
int al_op_tp_traverse(PyObject *op, visitproc visit, void *arg);
int al_op_tp_clear(PyObject *op);
void al_op_tp_finalize(PyObject *op);
void al_op_tp_dealloc(PyObject *op);

/* Free what a free list holds; when the module goes. */
void al_op_free_list_clear(al_op_free_list *list);

#endif
