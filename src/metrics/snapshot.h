/* snapshot.h - loop.metrics(). */
#ifndef AL_METRICS_SNAPSHOT_H
#define AL_METRICS_SNAPSHOT_H

#include "loop/loop.h"

PyObject *al_metrics_py_metrics(PyObject *op, PyObject *unused);

#define AL_METRICS_LOOP_METHODS                                               \
    {                                                                         \
        "metrics", al_metrics_py_metrics, METH_NOARGS,                        \
            "metrics($self, /)\n--\n\nA snapshot of what the loop has "       \
            "counted."                                                        \
    }

#endif
