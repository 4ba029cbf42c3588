/* snapshot.c - the core's counters as a Python object.
 *
 * The classes are plain Python (asyncloop/_metrics.py): a snapshot is taken
 * rarely, and dataclasses read well.
 *
 * Threads: any, with the GIL: the figures are those of one instant.
 */

#include "metrics/snapshot.h"

#include "base/clock.h"
#include "py/asyncio.h"

static double
seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static double
ratio(double part, double whole)
{
    return whole == 0.0 ? 0.0 : part / whole;
}

/* The delay that a share of the samples stays below; the top of its bucket,
 * but never more than the largest seen. */
static double
delay_percentile(const al_counters *counters, double share)
{
    uint64_t seen = 0;
    double rank = share * (double)counters->delay_count;

    for (unsigned i = 0; i < AL_DELAY_BUCKETS; i++) {
        seen += counters->delay_buckets[i];
        if (seen != 0 && (double)seen >= rank) {
            int64_t top = al_delay_bucket_top(i);
            int64_t max = counters->delay_max_ns;
            return seconds(top < max ? top : max);
        }
    }
    return 0.0;
}

PyObject *
al_metrics_py_metrics(PyObject *op, PyObject *unused)
{
    (void)unused;
    LoopObject *self = (LoopObject *)op;
    const al_counters *now = &self->counters;
    int64_t running = now->running_ns;

    if (now->entered_at != 0) {
        running += al_clock_ns() - now->entered_at;
    }
    double queue_mean =
        ratio((double)now->callbacks_run, (double)now->iterations);
    double switches_per_second =
        ratio((double)now->task_switches, seconds(running));
    double delay_mean =
        ratio(seconds(now->delay_sum_ns), (double)now->delay_count);
    /* Found when it is asked for: few programs do. */
    PyObject *make = al_import_attribute("asyncloop._metrics", "from_core");
    if (make == NULL) {
        return NULL;
    }
    PyObject *snapshot = PyObject_CallFunction(
        make, "(Kddddd)(ndK)(Kd)KKKKdd", (unsigned long long)now->delay_count,
        delay_mean, delay_percentile(now, 0.5), delay_percentile(now, 0.9),
        delay_percentile(now, 0.99), seconds(now->delay_max_ns),
        (Py_ssize_t)al_ring_len(&self->ready), queue_mean,
        (unsigned long long)now->queue_max,
        (unsigned long long)now->task_switches, switches_per_second,
        (unsigned long long)now->iterations,
        (unsigned long long)now->callbacks_run,
        (unsigned long long)now->timers_scheduled,
        (unsigned long long)now->timers_cancelled, seconds(now->waiting_ns),
        seconds(running - now->waiting_ns));
    Py_DECREF(make);
    return snapshot;
}
