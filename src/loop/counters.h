/* counters.h - what the core counts while it runs; metrics/ reads it.
 *
 * Kept per turn, not per callback, wherever the sum is the same. The delay
 * histogram has four buckets per power of two: any value in it is known to
 * within 19 %.
 */
#ifndef AL_LOOP_COUNTERS_H
#define AL_LOOP_COUNTERS_H

#include <stdint.h>

#define AL_DELAY_BUCKETS 160 /* 4 * 40 powers of two of ns: 18 minutes */
#define AL_DELAY_SAMPLE_TURNS 64

typedef struct {
    uint64_t iterations;
    uint64_t callbacks_run;
    uint64_t task_switches;
    uint64_t timers_scheduled;
    uint64_t timers_cancelled;
    uint64_t queue_max;
    int64_t waiting_ns; /* in blocking polls */
    int64_t running_ns; /* inside run_forever, polls included */
    int64_t entered_at; /* clock when run_forever began; 0: not running */
    uint64_t delay_count;
    int64_t delay_sum_ns;
    int64_t delay_max_ns;
    uint32_t delay_buckets[AL_DELAY_BUCKETS];
} al_counters;

/* The bucket of a delay, and the largest delay that a bucket takes in. */
static inline unsigned
al_delay_bucket(int64_t ns)
{
    if (ns < 4) {
        return ns < 0 ? 0 : (unsigned)ns;
    }
    unsigned power = 63u - (unsigned)__builtin_clzll((uint64_t)ns);
    unsigned quarter = (unsigned)(ns >> (power - 2)) & 3u;
    unsigned bucket = (power - 1) * 4 + quarter;
    return bucket < AL_DELAY_BUCKETS ? bucket : AL_DELAY_BUCKETS - 1;
}

static inline int64_t
al_delay_bucket_top(unsigned bucket)
{
    if (bucket < 4) {
        return bucket;
    }
    unsigned power = bucket / 4 + 1;
    int64_t step = INT64_C(1) << (power - 2);
    return (INT64_C(1) << power) + (bucket % 4 + 1) * step - 1;
}

static inline void
al_counters_add_delay(al_counters *counters, int64_t ns)
{
    counters->delay_count++;
    counters->delay_sum_ns += ns;
    if (ns > counters->delay_max_ns) {
        counters->delay_max_ns = ns;
    }
    counters->delay_buckets[al_delay_bucket(ns)]++;
}

#endif
