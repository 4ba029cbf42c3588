/* face.h - the methods of a TLS connection, for its type. */
#ifndef AL_TLS_FACE_H
#define AL_TLS_FACE_H

#include "tls/connection.h"

/* asyncio's FLOW_CONTROL_HIGH_WATER_SSL_READ and ..._SSL_WRITE. */
#define AL_TLS_READ_HIGH ((Py_ssize_t)256 * 1024)
#define AL_TLS_WRITE_HIGH ((Py_ssize_t)512 * 1024)

extern PyMethodDef al_tls_methods[];
extern const al_outlet_ops al_tls_outlet;

/* An al_inlet_finder. */
int al_tls_find_inlet(struct al_state *st, PyObject *transport,
                      PyObject *protocol, al_inlet *inlet);

#endif
