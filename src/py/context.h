/* context.h - entering and leaving a context without a call.
 *
 * PyContext_Enter and PyContext_Exit do little, and a loop does it twice per
 * step of a task. Where the layout of a Context is known and was found right
 * at import (context.c), their effects are written out here: the context's
 * link to the one before it, its mark, the thread's context and the version
 * that context variables cache by. Whatever is unusual goes to the functions,
 * and raises what they raise.
 *
 * Ownership: while a context is entered, the thread has a reference to it,
 * and the context has the thread's reference to the one before.
 * Threads: the one whose thread state is given, with the GIL.
 */
#ifndef AL_PY_CONTEXT_H
#define AL_PY_CONTEXT_H

#include "py/state.h"

/* A Context, in every version from 3.11 to 3.15. */
typedef struct {
    PyObject_HEAD
    PyObject *prev; /* strong, while it is entered; may be NULL */
    PyObject *vars;
    PyObject *weakrefs;
    int entered;
} al_context;

/* Does somebody of this interpreter want to be told of each switch? */
static inline bool
al_context_is_watched(const PyThreadState *tstate)
{
#if AL_CONTEXT_WATCHERS_OFFSET
    const uint8_t *active =
        (const uint8_t *)tstate->interp + AL_CONTEXT_WATCHERS_OFFSET;
    return *active != 0;
#else
    (void)tstate;
    return false;
#endif
}

/* As PyContext_Enter. 0, or -1 with an exception set. */
static inline int
al_context_enter(const struct al_state *st, PyThreadState *tstate,
                 PyObject *op)
{
    al_context *context = (al_context *)op;

    if (!st->direct_contexts || context->entered ||
        al_context_is_watched(tstate)) {
        return PyContext_Enter(op);
    }
    context->prev = tstate->context; /* the thread's reference moves here */
    context->entered = 1;
    tstate->context = Py_NewRef(op);
    tstate->context_ver++;
    return 0;
}

/* As PyContext_Exit. May free the context, and so run foreign code, after it
 * has been left. 0, or -1 with an exception set. */
static inline int
al_context_exit(const struct al_state *st, PyThreadState *tstate, PyObject *op)
{
    al_context *context = (al_context *)op;

    if (!st->direct_contexts || tstate->context != op || !context->entered ||
        al_context_is_watched(tstate)) {
        Py_INCREF(op); /* the function looks at it after dropping it */
        int rc = PyContext_Exit(op);
        Py_DECREF(op);
        return rc;
    }
    tstate->context = context->prev; /* the reference moves back */
    context->prev = NULL;
    context->entered = 0;
    tstate->context_ver++;
    Py_DECREF(op); /* the thread's */
    return 0;
}

/* Leave the current context `from` and enter `to` in one go, where that is all
 * that happens: `from` does not die of it. True when done; false when nothing
 * has changed, and the two functions above are to be called. */
static inline bool
al_context_switch(const struct al_state *st, PyThreadState *tstate,
                  PyObject *from, PyObject *to)
{
    al_context *old = (al_context *)from;
    al_context *new = (al_context *)to;

    if (!st->direct_contexts || tstate->context != from ||
        Py_REFCNT(from) == 1 || !old->entered || new->entered ||
        al_context_is_watched(tstate)) {
        return false;
    }
    new->prev = old->prev; /* a reference to it */
    new->entered = 1;
    old->prev = NULL;
    old->entered = 0;
    tstate->context = Py_NewRef(to);
    tstate->context_ver += 2;
    Py_DECREF(from); /* the thread's, and not the last */
    return true;
}

/* Find out whether this interpreter's contexts are as above. 0, or -1 with an
 * exception set, which no difference of layout is. */
int al_context_setup(struct al_state *st);

#endif
