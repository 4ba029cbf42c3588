"""Memory: what a fresh process grows by, read once."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

import traffic
from bench_network import Echo, serve
from bench_scheduling import noop
from registry import Goal, Loop, measured, served

MIB = 1024 * 1024
QUEUED = 1_000_000
PENDING = 100_000

# Both sides need a descriptor for each connection, and some to spare.
_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
IDLE = 10_000 if _LIMIT == -1 or _LIMIT > 10_100 else 2_000


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_call_soon(loop: Loop) -> dict[str, float]:
    """MiB for a million queued callbacks; the turn that runs them is free."""
    loop.run_until_complete(asyncio.sleep(0))
    before = resident()
    for _ in range(QUEUED):
        loop.call_soon(noop)
    grown = resident() - before
    loop.call_soon(loop.stop)
    loop.run_forever()
    return {"value": grown / MIB}


def memory_task(loop: Loop) -> dict[str, float]:
    """Bytes for a task that waits for a future of its own."""

    async def pending() -> None:
        await loop.create_future()

    async def main() -> float:
        await asyncio.sleep(0)
        tasks = [loop.create_task(pending()) for _ in range(SAMPLE)]
        await asyncio.sleep(0)
        before = resident()
        tasks += [loop.create_task(pending()) for _ in range(PENDING)]
        await asyncio.sleep(0)
        grown = resident() - before
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return grown / PENDING

    return {"value": loop.run_until_complete(main())}


SAMPLE = 100  # made first, so that free lists and imports are not counted

measured(
    "memory_call_soon",
    "memory of 1M queued call_soon",
    "MiB",
    memory_call_soon,
    Goal("value", 75),
)
measured(
    "memory_task",
    "memory per pending task",
    "bytes",
    memory_task,
    Goal("asyncio", 1.0),
)


@served(
    f"memory per idle connection, {IDLE} that echoed once",
    Goal("value", 0.85),
    load=traffic.echo(1024, "idle", connections=IDLE),
    reference=("echo",),
)
def memory_connection(loop: Loop, folder: Path) -> str:
    """Anonymous memory of the server, read from outside."""
    return serve(loop, Echo)
