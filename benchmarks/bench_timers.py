"""Timers: what they cost and how late they run."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial

from bench_scheduling import noop, run_bursts
from registry import Goal, Loop, measured, timed

CANCELLED = 50_000  # in one turn: what is not freed at once piles up
DUE = 50_000
WITHIN = 0.005  # seconds

# The same delays for every loop: neither sorted nor all alike.
_RANDOM = random.Random(50_000)
DELAYS = [_RANDOM.random() * WITHIN for _ in range(DUE)]

# Delay in ms, and how often: enough for a p99 in about a second.
LATENESS = ((0.2, 300), (0.5, 300), (1.3, 300), (10.0, 100))
LATE_AT_MOST = 60  # us at p50


@timed(
    "call_later(100) + cancel", Goal("best rival", 1.15), ops=CANCELLED
)
def timer_cancel(loop: Loop, n: int) -> None:
    def burst() -> None:
        for _ in range(CANCELLED):
            loop.call_later(100, noop).cancel()

    run_bursts(loop, burst, n)


@timed("50k timers due within 5 ms", Goal("best rival", 1.1), ops=DUE)
def timers_due(loop: Loop, n: int) -> None:
    """Set 50 000 timers, run until the last of them has run."""
    left = 0

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            loop.stop()

    def schedule() -> None:
        for delay in DELAYS:
            loop.call_later(delay, tick)

    for _ in range(n):
        left = DUE
        loop.call_soon(schedule)
        loop.run_forever()


def lateness(delay: float, count: int, loop: Loop) -> dict[str, float]:
    """How late asyncio.sleep returns on an idle loop, in us.

    The time is taken just before the call, so the call itself counts as
    lateness, and a negative figure means that the timer ran too early.
    """

    async def sleeps() -> list[float]:
        late = []
        for _ in range(count):
            start = time.monotonic_ns()
            await asyncio.sleep(delay / 1000)
            late.append((time.monotonic_ns() - start) / 1000 - delay * 1000)
        return late

    loop.run_until_complete(asyncio.sleep(delay / 1000))  # imports, caches
    cpu = time.process_time_ns()
    late = sorted(loop.run_until_complete(sleeps()))
    cpu = time.process_time_ns() - cpu
    return {
        "value": late[count // 2],
        "p99": late[count * 99 // 100],
        "earliest": late[0],
        "cpu": cpu / count / 1000,
    }


for _delay, _count in LATENESS:
    measured(
        f"lateness_{_delay:g}ms",
        f"asyncio.sleep of {_delay:g} ms, late at p50",
        "us",
        partial(lateness, _delay, _count),
        Goal("value", LATE_AT_MOST),
        figures=("p99", "earliest", "cpu"),
        ratios=False,
    )
