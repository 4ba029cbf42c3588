/* context.c - whether contexts are as context.h says.
 *
 * Looked at once, on contexts of our own that CPython's functions enter and
 * leave: each effect that context.h writes must show, and nothing else of
 * the layout is used. On a mismatch the functions are called for ever.
 *
 * Threads: the importing one.
 */

#include "py/context.h"

#include <stdlib.h>
#include <string.h>

/* For tests: "0" keeps to the functions although the layout is right. */
#define SWITCH "ASYNCLOOP_DIRECT_CONTEXTS"

#if AL_HAVE_CONTEXT_LAYOUT

static bool
is_outside(const al_context *context)
{
    return context->prev == NULL && context->entered == 0;
}

/* Is the context the current one, with `prev` before it? */
static bool
is_inside(const PyThreadState *tstate, PyObject *op, PyObject *prev)
{
    const al_context *context = (const al_context *)op;
    return tstate->context == op && context->prev == prev &&
           context->entered == 1;
}

/* Enter `outer`, `inner` in it, and leave both.
 * 1 when all shows where it should, 0 when not, -1 with an exception set. */
static int
looks_right(PyThreadState *tstate, PyObject *outer, PyObject *inner)
{
    PyObject *before = tstate->context;
    uint64_t version = tstate->context_ver;

    bool right =
        is_outside((al_context *)outer) && is_outside((al_context *)inner);
    if (PyContext_Enter(outer) < 0) {
        return -1;
    }
    right = right && is_inside(tstate, outer, before) &&
            tstate->context_ver == version + 1;
    Py_ssize_t held = Py_REFCNT(outer);
    if (PyContext_Enter(inner) < 0) {
        return -1;
    }
    right = right && is_inside(tstate, inner, outer) &&
            tstate->context_ver == version + 2 && Py_REFCNT(outer) == held;
    if (PyContext_Exit(inner) < 0) {
        return -1;
    }
    right = right && is_inside(tstate, outer, before) &&
            is_outside((al_context *)inner) &&
            tstate->context_ver == version + 3 && Py_REFCNT(outer) == held;
    if (PyContext_Exit(outer) < 0) {
        return -1;
    }
    return right && is_outside((al_context *)outer) &&
           tstate->context == before && tstate->context_ver == version + 4 &&
           Py_REFCNT(outer) == held - 1;
}

#if AL_CONTEXT_WATCHERS_OFFSET

static int
ignore_switch(PyContextEvent event, PyObject *context)
{
    (void)event;
    (void)context;
    return 0;
}

/* Does the byte that tells of watchers follow when one comes and goes?
 * 1, 0, or -1 with an exception set. */
static int
sees_watchers(const PyThreadState *tstate)
{
    const uint8_t *active =
        (const uint8_t *)tstate->interp + AL_CONTEXT_WATCHERS_OFFSET;
    uint8_t before = *active;
    int id = PyContext_AddWatcher(ignore_switch);

    if (id < 0) {
        PyErr_Clear(); /* all places taken: then nobody can be left out */
        return 0;
    }
    bool right = *active == (before | 1 << id) && *active != before;
    if (PyContext_ClearWatcher(id) < 0) {
        return -1;
    }
    return right && *active == before;
}

#else

static int
sees_watchers(const PyThreadState *tstate)
{
    (void)tstate;
    return 1; /* there are none in this version */
}

#endif

static int
probe(void)
{
    PyThreadState *tstate = PyThreadState_Get();
    PyObject *outer = PyContext_New();
    PyObject *inner = PyContext_New();
    int right = -1;

    if (outer != NULL && inner != NULL) {
        right = Py_TYPE(outer)->tp_basicsize == sizeof(al_context) ? 1 : 0;
    }
    if (right == 1) {
        right = sees_watchers(tstate);
    }
    if (right == 1 && !al_context_is_watched(tstate)) {
        right = looks_right(tstate, outer, inner);
    }
    Py_XDECREF(inner);
    Py_XDECREF(outer);
    return right;
}

#else

static int
probe(void)
{
    return 0;
}

#endif

int
al_context_setup(struct al_state *st)
{
    const char *wanted = getenv(SWITCH);
    int right = probe();

    if (right < 0) {
        return -1;
    }
    st->direct_contexts =
        right == 1 && (wanted == NULL || strcmp(wanted, "0") != 0);
    return 0;
}
