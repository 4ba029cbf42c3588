/* asyncgens.c - the hook that notes asynchronous generators at their start.
 *
 * A program may make one for each message that it handles (`async for`, an
 * asynchronous context manager), so asyncio's hook, WeakSet.add and what runs
 * when the generator dies are C here. The set is the WeakSet that asyncio's
 * shutdown_asyncgens and finalizer hook know; what is put into it differs from
 * what its own add() puts there in the callback only.
 *
 * Ownership: the loop owns the set and the callback; the callback refers to
 * the set weakly, as the set's own does.
 * Threads: the loop's; a generator may die in any thread.
 */

#include "loop/asyncgens.h"

#include "py/args.h"
#include "py/compat.h"

/* Has somebody begun to walk over the set, and not finished? Versions that let
 * it change meanwhile have no such attribute. 1, 0, or -1 when set. */
static int
is_walked_over(struct al_state *st, PyObject *set)
{
    PyObject *walkers;
    int found = al_lookup_attr(set, st->str__iterating, &walkers);

    if (found <= 0) {
        return found;
    }
    int truth = PyObject_IsTrue(walkers);
    Py_DECREF(walkers);
    return truth;
}

/* `ref` refers to nothing any more. 0, or -1 with an exception set. */
static int
remove_dead(struct al_state *st, PyObject *set, PyObject *ref)
{
    int walked = is_walked_over(st, set);

    if (walked < 0) {
        return -1;
    }
    if (walked) {
        PyObject *later = PyObject_GetAttr(set, st->str__pending_removals);
        int rc = later == NULL ? -1 : PyList_Append(later, ref);
        Py_XDECREF(later);
        return rc;
    }
    PyObject *data = PyObject_GetAttr(set, st->str_data);
    int rc = data == NULL ? -1 : PySet_Discard(data, ref);
    Py_XDECREF(data);
    return rc < 0 ? -1 : 0;
}

/* A generator has died; `weak_loop` is a weak reference to its loop. */
static PyObject *
asyncgens_on_death(PyObject *weak_loop, PyObject *ref)
{
    LoopObject *loop = (LoopObject *)al_weakref_get(weak_loop);
    int rc = 0;

    if (loop != NULL && loop->asyncgens != NULL) {
        PyObject *set = Py_NewRef(loop->asyncgens);
        rc = remove_dead(loop->st, set, ref);
        Py_DECREF(set);
    }
    Py_XDECREF(loop);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef on_death = {"asyncgens_on_death", asyncgens_on_death,
                               METH_O, NULL};

PyObject *
al_asyncgens_borrow(LoopObject *self)
{
    if (self->asyncgens != NULL) {
        return self->asyncgens;
    }
    PyObject *weak_loop = PyWeakref_NewRef((PyObject *)self, NULL);
    PyObject *callback =
        weak_loop == NULL ? NULL : PyCFunction_New(&on_death, weak_loop);
    PyObject *set =
        callback == NULL ? NULL : PyObject_CallNoArgs(self->st->WeakSet);

    Py_XDECREF(weak_loop);
    if (set == NULL) {
        Py_XDECREF(callback);
        return NULL;
    }
    Py_XSETREF(self->asyncgen_on_death, callback);
    Py_XSETREF(self->asyncgens, set);
    return set;
}

/* Put it into the set. 0, or -1 with an exception set. */
static int
add_generator(LoopObject *self, PyObject *generator)
{
    PyObject *set = al_asyncgens_borrow(self);
    if (set == NULL) {
        return -1;
    }
    PyObject *ref = PyWeakref_NewRef(generator, self->asyncgen_on_death);
    if (ref == NULL) {
        return -1;
    }
    PyObject *data = PyObject_GetAttr(set, self->st->str_data);
    int rc = data == NULL ? -1 : PySet_Add(data, ref);
    Py_XDECREF(data);
    Py_DECREF(ref);
    return rc;
}

PyObject *
al_asyncgens_py_firstiter(PyObject *op, PyObject *generator)
{
    LoopObject *self = (LoopObject *)op;

    if (self->asyncgens_shutdown_called) {
        /* asyncio's has a warning for this. */
        PyObject *args = PyTuple_Pack(1, generator);
        PyObject *result =
            args == NULL
                ? NULL
                : al_args_pass_on(self->st->cold_methods,
                                  "_asyncgen_firstiter_hook", op, args, NULL);
        Py_XDECREF(args);
        return result;
    }
    if (add_generator(self, generator) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
