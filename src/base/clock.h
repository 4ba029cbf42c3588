/* clock.h - the two clocks of the core.
 *
 * al_clock_ns() is the clock of time.monotonic(), in nanoseconds; deadlines
 * are compared with it. al_ticks() is a cheaper counter (10 ns against 22)
 * that only measures how long ago something was: nothing may depend on its
 * rate, which loop/run.c learns by itself.
 *
 * Threads: any.
 */
#ifndef AL_BASE_CLOCK_H
#define AL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define AL_NS_PER_SECOND INT64_C(1000000000)
#define AL_NS_PER_MS INT64_C(1000000)
#define AL_NS_PER_US INT64_C(1000)

static inline int64_t
al_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * AL_NS_PER_SECOND + now.tv_nsec;
}

static inline uint64_t
al_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)al_clock_ns();
#endif
}

#endif
