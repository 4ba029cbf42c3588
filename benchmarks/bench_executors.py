"""Other threads: functions in executors, and coroutines asked for."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time

from registry import Goal, Loop, measured, timed

MANY = 20_000
SOME = 16
BLOCKING = 6
BLOCK_SECONDS = 0.001
BLOCK_ROUNDS = 100


def nothing() -> None:
    """A function that costs nothing but the way."""


async def coroutine() -> None:
    """A coroutine that never suspends."""


@timed("run_in_executor, one at a time", Goal("uvloop", 6), threads=True)
def executor_single(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            await loop.run_in_executor(None, nothing)

    loop.run_until_complete(main())


@timed(
    "run_in_executor, 20k at once", Goal("uvloop", 10), ops=MANY, threads=True
)
def executor_bulk(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            await asyncio.gather(
                *[loop.run_in_executor(None, nothing) for _ in range(MANY)]
            )

    loop.run_until_complete(main())


@timed("to_thread, one at a time", Goal("uvloop", 5), threads=True)
def to_thread(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            await asyncio.to_thread(nothing)

    loop.run_until_complete(main())


@timed("to_thread, 16 at a time", Goal("uvloop", 5), ops=SOME, threads=True)
def to_thread_16(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            await asyncio.gather(
                *[asyncio.to_thread(nothing) for _ in range(SOME)]
            )

    loop.run_until_complete(main())


@timed("run_coroutine_threadsafe", Goal("uvloop", 1.8), threads=True)
def coroutine_threadsafe(loop: Loop, n: int) -> None:
    """Round trips of another thread, one at a time."""

    def ask() -> None:
        for _ in range(n):
            asyncio.run_coroutine_threadsafe(coroutine(), loop).result()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=ask)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


def blocking(loop: Loop) -> dict[str, float]:
    """Wall time of functions that block, which must run side by side."""

    async def main() -> list[float]:
        took = []
        for _ in range(BLOCK_ROUNDS):
            start = time.monotonic_ns()
            await asyncio.gather(
                *[
                    loop.run_in_executor(None, time.sleep, BLOCK_SECONDS)
                    for _ in range(BLOCKING)
                ]
            )
            took.append((time.monotonic_ns() - start) / 1000)
        return took

    loop.run_until_complete(main())  # starts the threads
    cpu = time.process_time_ns()
    took = loop.run_until_complete(main())
    cpu = time.process_time_ns() - cpu
    return {
        "value": statistics.median(took),
        "worst": max(took),
        "cpu": cpu / BLOCK_ROUNDS / 1000,
    }


measured(
    "executor_blocking",
    "six blocking functions of 1 ms at once, wall time",
    "us",
    blocking,
    Goal("uvloop", 1),
    figures=("worst", "cpu"),
)
