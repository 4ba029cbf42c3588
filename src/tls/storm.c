/* storm.c - many handshakes at once, a few in each turn.
 *
 * A handshake costs a server as much as dozens of requests. When hundreds of
 * clients connect together, the others would wait for all of them: so the
 * handshakes of one turn have so much time, and the rest waits its turn, in
 * the order in which it came.
 *
 * Ownership: the loop's list holds the connections that wait.
 * Threads: the loop's.
 */

#include "tls/connection.h"

#include "base/clock.h"
#include "loop/run.h"
#include "loop/sched.h"
#include "tls/storm.h"

/* Some eight handshakes with a key on P-256. */
#define SHARE_NS (2 * AL_NS_PER_MS)

/* Is there still time for a handshake in this turn? */
static bool
has_time(LoopObject *loop)
{
    if (loop->handshake_turn != loop->counters.iterations) {
        loop->handshake_turn = loop->counters.iterations;
        loop->handshake_ns = 0;
    }
    return loop->handshake_ns < SHARE_NS;
}

static int
shake_hands(al_tls *self)
{
    LoopObject *loop = self->loop;
    int64_t start = al_clock_ns();
    int rc = al_tls_do_handshake(self);

    loop->handshake_ns += al_clock_ns() - start;
    return rc;
}

/* Have al_tls_py_continue called in the next turn. */
static int
queue_rest(LoopObject *loop)
{
    PyObject *method =
        PyObject_GetAttr((PyObject *)loop, loop->st->str__continue_handshakes);
    int rc =
        method == NULL ? -1 : al_sched_call_in(loop, NULL, method, NULL, 0);

    Py_XDECREF(method);
    return rc;
}

int
al_tls_handshake_in_turn(al_tls *self)
{
    LoopObject *loop = self->loop;
    bool others_wait =
        loop->handshakes != NULL && PyList_GET_SIZE(loop->handshakes) != 0;

    if (self->in_storm) {
        return 0; /* what was received is read then */
    }
    if (!others_wait && has_time(loop)) {
        return shake_hands(self);
    }
    if (loop->handshakes == NULL) {
        loop->handshakes = PyList_New(0);
    }
    if (loop->handshakes == NULL ||
        PyList_Append(loop->handshakes, (PyObject *)self) < 0) {
        return -1;
    }
    self->in_storm = true;
    return others_wait ? 0 : queue_rest(loop);
}

/* One that has waited. 0, or -1: an exception leaves the loop. */
static int
take_turn(al_tls *self)
{
    self->in_storm = false;
    if (self->state != AL_TLS_HANDSHAKE) {
        return 0; /* it was given up meanwhile */
    }
    int rc = al_tls_enter(self) < 0 ? -1 : shake_hands(self);
    al_tls_leave(self);
    return rc == 0
               ? 0
               : al_tls_fatal(self, "Fatal error: protocol.data_received() "
                                    "call failed.");
}

/* Go on with those that wait, the first ones first. */
PyObject *
al_tls_py_continue_handshakes(PyObject *op, PyObject *unused)
{
    LoopObject *loop = (LoopObject *)op;
    PyObject *waiting = loop->handshakes;
    int rc = 0;

    (void)unused;
    if (waiting == NULL) {
        Py_RETURN_NONE;
    }
    /* Those that come while these are served get a list of their own, which
     * then is added. */
    loop->handshakes = NULL;
    Py_ssize_t at = 0;
    while (rc == 0 && at < PyList_GET_SIZE(waiting) && has_time(loop)) {
        al_tls *self = (al_tls *)Py_NewRef(PyList_GET_ITEM(waiting, at++));
        rc = take_turn(self);
        Py_DECREF(self);
    }
    PyObject *error = rc < 0 ? al_err_take() : NULL;
    PyObject *late = loop->handshakes;
    loop->handshakes = waiting;
    if (PyList_SetSlice(waiting, 0, at, NULL) < 0 ||
        (late != NULL &&
         PyList_SetSlice(waiting, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, late) < 0) ||
        (PyList_GET_SIZE(waiting) != 0 && queue_rest(loop) < 0)) {
        rc = -1;
    }
    Py_XDECREF(late);
    if (error != NULL) {
        PyErr_Clear();
        al_err_give_back_steal(error);
    }
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}
