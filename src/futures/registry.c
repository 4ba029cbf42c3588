/* registry.c - which task is current, and which tasks there are.
 *
 * Ownership: "current" holds a reference; the registry of all tasks none.
 */

#include "futures/registry.h"

#if AL_TASK_LAYOUT == 314

int
al_registry_enter(LoopObject *self, PyThreadState *tstate, PyObject *task)
{
    (void)self;
    al_thread_tasks *thread = al_thread_tasks_of(tstate);

    if (thread->running_task != NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "Cannot enter into task %R while another task %R is "
                     "being executed.",
                     task, thread->running_task);
        return -1;
    }
    thread->running_task = Py_NewRef(task);
    return 0;
}

bool
al_registry_is_busy(LoopObject *self)
{
    (void)self;
    return al_thread_tasks_of(PyThreadState_Get())->running_task != NULL;
}

void
al_registry_step_over(LoopObject *self, PyThreadState *tstate)
{
    (void)self;
    Py_CLEAR(al_thread_tasks_of(tstate)->running_task);
}

void
al_registry_leave(LoopObject *self)
{
    (void)self;
}

int
al_registry_add(struct al_state *st, al_task *task)
{
    (void)st;
    al_node *head = &al_thread_tasks_of(PyThreadState_Get())->tasks;

    task->node.prev = head->prev;
    task->node.next = head;
    head->prev->next = &task->node;
    head->prev = &task->node;
    return 0;
}

void
al_registry_discard(struct al_state *st, al_task *task)
{
    (void)st;
    if (task->node.next != NULL) {
        task->node.prev->next = task->node.next;
        task->node.next->prev = task->node.prev;
        task->node.next = task->node.prev = NULL;
    }
}

#elif AL_TASK_LAYOUT

/* Dead references are swept when the set has doubled since the last time, so
 * tasks that were destroyed while pending cost a bounded amount of memory. */
#define SWEEP_MIN 1024

int
al_registry_enter(LoopObject *self, PyThreadState *tstate, PyObject *task)
{
    (void)tstate;
    self->stepping = true;
    if (self->current_task == task) {
        return 0;
    }
    if (PyDict_SetItem(self->st->current_tasks, (PyObject *)self, task) < 0) {
        self->stepping = false;
        return -1;
    }
    self->current_task = task; /* borrowed from the dictionary */
    return 0;
}

bool
al_registry_is_busy(LoopObject *self)
{
    if (self->stepping) {
        return true;
    }
    /* An entry that is not our own left-over is asyncio's own step. */
    PyObject *entry =
        PyDict_GetItemWithError(self->st->current_tasks, (PyObject *)self);
    PyErr_Clear();
    return entry != NULL && entry != self->current_task;
}

void
al_registry_step_over(LoopObject *self, PyThreadState *tstate)
{
    (void)tstate;
    self->stepping = false;
}

void
al_registry_leave(LoopObject *self)
{
    if (self->current_task == NULL) {
        return;
    }
    self->current_task = NULL;
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    if (PyDict_DelItem(self->st->current_tasks, (PyObject *)self) < 0) {
        PyErr_Clear(); /* somebody else took it out */
    }
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

static void
sweep(struct al_state *st)
{
    PyObject *all = PySequence_List(st->all_tasks);

    for (Py_ssize_t i = 0; all != NULL && i < PyList_GET_SIZE(all); i++) {
        PyObject *ref = PyList_GET_ITEM(all, i);
        if (al_weakref_is_dead(ref)) {
            (void)PySet_Discard(st->all_tasks, ref);
        }
    }
    Py_XDECREF(all);
    PyErr_Clear(); /* not swept this time */
    Py_ssize_t len = PySet_GET_SIZE(st->all_tasks);
    st->sweep_at = len * 2 > SWEEP_MIN ? len * 2 : SWEEP_MIN;
}

int
al_registry_add(struct al_state *st, al_task *task)
{
    PyObject *ref = PyWeakref_NewRef((PyObject *)task, NULL);
    if (ref == NULL) {
        return -1;
    }
    int rc = PySet_Add(st->all_tasks, ref);
    Py_DECREF(ref);
    if (rc == 0 && PySet_GET_SIZE(st->all_tasks) > st->sweep_at) {
        sweep(st);
    }
    return rc;
}

void
al_registry_discard(struct al_state *st, al_task *task)
{
    PyObject *error = PyErr_Occurred() ? al_err_take() : NULL;
    /* The weak reference is the one that the set has: a plain one to the same
     * object is shared. */
    PyObject *ref = PyWeakref_NewRef((PyObject *)task, NULL);

    if (ref == NULL || PySet_Discard(st->all_tasks, ref) < 0) {
        PyErr_Clear(); /* a done task in the set is only in the way */
    }
    Py_XDECREF(ref);
    if (error != NULL) {
        al_err_give_back_steal(error);
    }
}

#endif
