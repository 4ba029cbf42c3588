/* queue.c - taking work, and waiting for it.
 *
 * Invariants, whenever the GIL is given up:
 *   1. with entries in the queue and a worker that waits, there is a searcher,
 *      and it has been told, will be told by a loop, or looks by itself;
 *   2. a station is the searcher, in the list of sleepers, or neither (its
 *      worker is busy), never both.
 */

#include "executors/queue.h"

#include "base/clock.h"
#include "executors/item.h"
#include "loop/fork.h"
#include "loop/inbox.h"
#include "py/error.h"

/* Work that comes within this time after a worker began to wait would have
 * been worth a spin. */
#define USEFUL_NS (100 * AL_NS_PER_US)

void
al_queue_wake_worker(void *station)
{
    al_station_tell(station);
}

/* --- telling ---------------------------------------------------------------- */

/* There is work: somebody must come. */
static void
queue_notify(WorkQueueObject *self, LoopObject *loop)
{
    bool late = loop != NULL;

    if (self->fork_generation != al_fork_generation) {
        return; /* the workers are the parent's, and so are their locks */
    }
    if (self->searcher == NULL) {
        if (self->sleepers == NULL) {
            return; /* all are busy, and look before they wait */
        }
        self->searcher = self->sleepers;
        self->sleepers = self->searcher->next;
        self->sleeper_count--;
        self->told = AL_NOT_TOLD;
        late = false;
    }
    if (self->told == AL_TOLD || (late && self->told == AL_TOLD_LATE)) {
        return;
    }
    bool is_own = loop != NULL && loop->late_queue == (PyObject *)self;
    if (late && (is_own || loop->late_station == NULL)) {
        self->told = AL_TOLD_LATE;
        loop->late_station = self->searcher;
        if (!is_own) {
            Py_XSETREF(loop->late_queue, Py_NewRef((PyObject *)self));
        }
        return;
    }
    self->told = AL_TOLD;
    al_station_tell(self->searcher);
}

int
al_queue_put_steal(WorkQueueObject *self, PyObject *entry, LoopObject *loop)
{
    if (al_ring_reserve(&self->entries) < 0) {
        Py_DECREF(entry);
        PyErr_NoMemory();
        return -1;
    }
    al_ring_push(&self->entries, entry);
    queue_notify(self, loop);
    return 0;
}

/* --- waiting ---------------------------------------------------------------- */

static void
queue_unlist(WorkQueueObject *self, al_station *station)
{
    for (al_station **at = &self->sleepers; *at != NULL; at = &(*at)->next) {
        if (*at == station) {
            *at = station->next;
            self->sleeper_count--;
            return;
        }
    }
}

/* The worker stops being the searcher, if it is. */
static void
queue_leave_search(WorkQueueObject *self, al_station *station)
{
    if (self->searcher == station) {
        self->searcher = NULL;
        self->told = AL_NOT_TOLD;
    }
}

/* Wait as the searcher; `awake`, a loop that has claimed its wake-up, or NULL,
 * is sent it without the GIL. */
static void
queue_search(WorkQueueObject *self, al_station *station, LoopObject *awake)
{
    bool spin = self->spin_is_useful;
    bool found = false;

    self->searcher = station;
    self->told = AL_NOT_TOLD;
    al_station_reset(station);
    int64_t start = al_clock_ns();
    PyThreadState *tstate = PyEval_SaveThread();
    if (awake != NULL) {
        al_inbox_send(awake);
    }
    if (spin) {
        found = al_station_spin(station);
    }
    if (!found) {
        al_station_doze(station);
    }
    PyEval_RestoreThread(tstate);
    self->spin_is_useful = found || al_clock_ns() - start < USEFUL_NS;
}

static void
queue_sleep(WorkQueueObject *self, al_station *station, LoopObject *awake)
{
    station->next = self->sleepers;
    self->sleepers = station;
    self->sleeper_count++;
    al_station_reset(station);
    PyThreadState *tstate = PyEval_SaveThread();
    if (awake != NULL) {
        al_inbox_send(awake);
    }
    al_station_sleep(station);
    PyEval_RestoreThread(tstate);
    if (self->searcher != station) {
        queue_unlist(self, station); /* a late signal of an earlier time */
    }
}

/* The next entry, new reference; waits for it. `awake` as above. */
static PyObject *
queue_take(WorkQueueObject *self, al_station *station, LoopObject *awake)
{
    bool searched = false;

    while (al_ring_len(&self->entries) == 0) {
        bool search = self->searcher == station || self->searcher == NULL;
        if (search && !searched) {
            queue_search(self, station, awake);
            searched = true;
        }
        else {
            queue_leave_search(self, station);
            queue_sleep(self, station, awake);
            searched = false;
        }
        awake = NULL;
    }
    queue_leave_search(self, station);
    PyObject *entry = al_ring_pop(&self->entries);
    if (al_ring_len(&self->entries) != 0) {
        queue_notify(self, NULL);
    }
    return entry;
}

/* --- workers ---------------------------------------------------------------- */

static al_station *
queue_lend_station(WorkQueueObject *self)
{
    for (al_station *at = self->stations; at != NULL; at = at->next_own) {
        if (!at->in_use) {
            at->in_use = true;
            return at;
        }
    }
    al_station *station = al_station_new();
    if (station == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    station->next_own = self->stations;
    station->in_use = true;
    self->stations = station;
    return station;
}

/* Run an item. Gives a loop whose wake-up was claimed for the time when the
 * GIL is given up, or NULL. Steals the item. */
static LoopObject *
run_item_steal(WorkQueueObject *self, WorkItemObject *item)
{
    LoopObject *loop = al_item_run(item);

    if (loop != NULL && loop->sleeping) {
        if (al_ring_len(&self->entries) == 0) {
            if (!al_inbox_claim(loop)) {
                loop = NULL;
            }
        }
        else {
            /* The next function may be a long one. A loop that spins looks
             * by itself. */
            if (!loop->spinning && al_inbox_claim(loop)) {
                al_inbox_send(loop);
            }
            loop = NULL;
        }
    }
    else {
        loop = NULL;
    }
    Py_DECREF(item);
    return loop;
}

/* None was taken. 0: the worker is to leave, and the next one will find None,
 * too; 1: go on; -1 with an exception set. */
static int
ask_whether_to_stay(WorkQueueObject *self, PyObject *may_leave)
{
    PyObject *answer = PyObject_CallNoArgs(may_leave);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);

    Py_XDECREF(answer);
    if (truth != 1) {
        return truth < 0 ? -1 : 1;
    }
    return al_queue_put_steal(self, Py_NewRef(Py_None), NULL);
}

/* A work item of the standard library; from 3.14 on it is run in a worker's
 * context. 1, or -1 with an exception set. */
static int
run_stdlib_item(WorkQueueObject *self, PyObject *item, PyObject *context)
{
    PyObject *argument = context == Py_None ? NULL : context;
    PyObject *result =
        PyObject_CallMethodObjArgs(item, self->st->str_run, argument, NULL);

    Py_XDECREF(result);
    return result == NULL ? -1 : 1;
}

/* work(may_leave, context): what a worker's thread does, until `may_leave`
 * says so. */
static PyObject *
queue_py_work(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "work() takes two arguments");
        return NULL;
    }
    WorkQueueObject *self = (WorkQueueObject *)op;
    LoopObject *awake = NULL;
    al_station *station = queue_lend_station(self);

    if (station == NULL) {
        return NULL;
    }
    int rc = 1;
    while (rc == 1) {
        PyObject *entry = queue_take(self, station, awake);
        awake = NULL;
        if (Py_IS_TYPE(entry, self->st->work_item_type)) {
            awake = run_item_steal(self, (WorkItemObject *)entry);
        }
        else {
            rc = entry == Py_None ? ask_whether_to_stay(self, args[0])
                                  : run_stdlib_item(self, entry, args[1]);
            Py_DECREF(entry);
        }
        if (self->fork_generation != al_fork_generation) {
            break; /* a child made by the function: not its queue */
        }
    }
    if (awake != NULL) {
        al_inbox_send(awake);
    }
    station->in_use = false;
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
queue_tp_clear(PyObject *op)
{
    al_ring *entries = &((WorkQueueObject *)op)->entries;

    while (al_ring_len(entries) != 0) {
        Py_DECREF((PyObject *)al_ring_pop(entries));
    }
    return 0;
}

/* --- what the executor's code calls ------------------------------------------ */

static PyObject *
queue_py_put(PyObject *op, PyObject *entry)
{
    WorkQueueObject *self = (WorkQueueObject *)op;

    if (entry == Py_None) {
        /* The executor is gone or shut down, or the interpreter ends. */
        self->refusing = true;
    }
    if (al_queue_put_steal(self, Py_NewRef(entry), NULL) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_py_get_nowait(PyObject *op, PyObject *unused)
{
    (void)unused;
    WorkQueueObject *self = (WorkQueueObject *)op;

    if (al_ring_len(&self->entries) == 0) {
        PyErr_SetNone(self->st->queue_Empty);
        return NULL;
    }
    return al_ring_pop(&self->entries);
}

static PyObject *
queue_py_clear(PyObject *op, PyObject *unused)
{
    (void)unused;
    (void)queue_tp_clear(op);
    Py_RETURN_NONE;
}

static PyObject *
queue_py_qsize(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(al_ring_len(&((WorkQueueObject *)op)->entries));
}

static PyObject *
queue_py_empty(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(al_ring_len(&((WorkQueueObject *)op)->entries) ==
                           0);
}

static PyObject *
queue_py_refuse(PyObject *op, PyObject *unused)
{
    (void)unused;
    ((WorkQueueObject *)op)->refusing = true;
    Py_RETURN_NONE;
}

/* Are there idle workers for all that waits? */
static PyObject *
queue_py_is_served(PyObject *op, PyObject *unused)
{
    (void)unused;
    WorkQueueObject *self = (WorkQueueObject *)op;
    size_t idle = self->sleeper_count + (self->searcher != NULL);

    return PyBool_FromLong(al_ring_len(&self->entries) <= idle);
}

static PyMemberDef queue_members[] = {
    {"full", T_BOOL, offsetof(WorkQueueObject, full), 0, NULL},
    {NULL},
};

static PyMethodDef queue_methods[] = {
    {"put", queue_py_put, METH_O, NULL},
    {"get_nowait", queue_py_get_nowait, METH_NOARGS, NULL},
    {"clear", queue_py_clear, METH_NOARGS, NULL},
    {"qsize", queue_py_qsize, METH_NOARGS, NULL},
    {"empty", queue_py_empty, METH_NOARGS, NULL},
    {"refuse", queue_py_refuse, METH_NOARGS, NULL},
    {"is_served", queue_py_is_served, METH_NOARGS, NULL},
    {"work", _PyCFunction_CAST(queue_py_work), METH_FASTCALL, NULL},
    {NULL},
};

/* --- life and death ---------------------------------------------------------- */

static PyObject *
queue_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 ||
        (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "_WorkQueue() takes no arguments");
        return NULL;
    }
    struct al_state *st = al_state_of_type(type);
    WorkQueueObject *self =
        st == NULL ? NULL : (WorkQueueObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->spin_is_useful = true;
    self->fork_generation = al_fork_generation;
    if (al_ring_init(&self->entries) < 0) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static int
queue_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    al_ring *entries = &((WorkQueueObject *)op)->entries;

    Py_VISIT(Py_TYPE(op));
    for (size_t at = entries->head; at != entries->tail; at++) {
        Py_VISIT((PyObject *)al_ring_peek(entries, at));
    }
    return 0;
}

static void
queue_tp_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    WorkQueueObject *self = (WorkQueueObject *)op;
    PyTypeObject *tp = Py_TYPE(op);

    (void)queue_tp_clear(op);
    al_ring_free(&self->entries);
    /* No thread waits: each holds a reference. In a forked child they only
     * seem to, and destroying what they wait on would wait for them. */
    bool foreign = self->fork_generation != al_fork_generation;
    while (self->stations != NULL && !foreign) {
        al_station *station = self->stations;
        self->stations = station->next_own;
        al_station_free(station);
    }
    tp->tp_free(op);
    Py_DECREF(tp);
}

static PyType_Slot queue_slots[] = {
    {Py_tp_new, queue_tp_new},
    {Py_tp_traverse, queue_tp_traverse},
    {Py_tp_clear, queue_tp_clear},
    {Py_tp_dealloc, queue_tp_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_members, queue_members},
    {Py_tp_doc, "The queue of a ThreadPoolExecutor."},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "asyncloop._core._WorkQueue",
    .basicsize = sizeof(WorkQueueObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = queue_slots,
};

int
al_queue_setup(PyObject *module, struct al_state *st)
{
    st->work_queue_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &queue_spec, NULL);
    if (st->work_queue_type == NULL) {
        return -1;
    }
    return PyModule_AddType(module, st->work_queue_type);
}
