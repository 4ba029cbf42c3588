/* inlet.h - how layers above a transport take and give bytes without Python.
 *
 * An inlet takes what a transport reads in place of the protocol's methods; an
 * outlet is what may be called of a transport in place of its methods. Layers
 * above register both at the set-up of the module, so that nothing here knows
 * of them.
 *
 * Ownership: an al_inlet holds its target; whoever has the inlet releases it.
 * Threads: the loop's.
 */
#ifndef AL_TRANSPORTS_INLET_H
#define AL_TRANSPORTS_INLET_H

#include "py/state.h"

/* All may run foreign code, which may close the transport. They are not
 * called in the transport's context: who runs a protocol's method enters it. */
typedef struct {
    /* `count` > 0 bytes, which are the loop's buffer and may be overwritten as
     * soon as foreign code runs: copy what is kept.
     * 0, or -1 with an exception set, which ends the connection. */
    int (*receive)(PyObject *target, PyObject *transport, const char *data,
                   size_t count);
    /* The same of a read that was expected to be large, borrowed. NULL: all
     * go through `receive`. */
    int (*receive_bytes)(PyObject *target, PyObject *transport,
                         PyObject *bytes);
    /* The peer will send no more: 1 to keep the transport open, 0 to close
     * it, -1 with an exception set. */
    int (*eof)(PyObject *target, PyObject *transport);
} al_inlet_ops;

typedef struct al_inlet {
    const al_inlet_ops *ops; /* NULL: the protocol's methods are called */
    PyObject *target;        /* strong, or NULL */
} al_inlet;

/* Let `finder` be asked about the protocols that transports are given: it
 * fills in the inlet and returns 1, or 0 for what is not its own, or -1 with
 * an exception set. 0, or -1 with SystemError set when there are too many. */
int al_inlet_register(struct al_state *st, al_inlet_finder finder);

/* The inlet for `protocol`; `ops` is NULL when nobody wants it.
 * 0, or -1 with an exception set. */
int al_inlet_find(struct al_state *st, PyObject *transport, PyObject *protocol,
                  al_inlet *inlet);

/* Call an inlet that has `ops`; results as there. The target is held: the call
 * may bring another inlet. Bytes go to `receive` where nobody takes bytes. */
int al_inlet_receive(const al_inlet *inlet, PyObject *transport,
                     const char *data, size_t count);
int al_inlet_receive_bytes(const al_inlet *inlet, PyObject *transport,
                           PyObject *bytes);
int al_inlet_eof(const al_inlet *inlet, PyObject *transport);

/* Let go of what it holds. */
void al_inlet_clear(al_inlet *inlet);

typedef struct al_outlet_ops {
    /* As transport.write(data): 0, or -1 with an exception set. */
    int (*write)(PyObject *transport, PyObject *data);
    /* As transport.is_closing(). */
    bool (*is_closing)(PyObject *transport);
} al_outlet_ops;

/* The same with AL_OUTLET_TYPES. `type` is borrowed: the state's. */
int al_outlet_register(struct al_state *st, PyTypeObject *type,
                       const al_outlet_ops *ops);

/* By exact type; NULL: its methods have to be called. */
const al_outlet_ops *al_outlet_of(struct al_state *st, PyObject *transport);

#endif
