"""One sample: one row on one loop, in this process.

Run by run.py in a fresh process each time; prints one line of JSON.  With
``--serve`` it is a server instead: it prints its address and runs until it is
killed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import loops
import registry

# A sample is made of short parts, and its figure is the fastest of them.  On
# machines that others use too, a core runs at half its speed for tens of
# milliseconds at a time: the fastest of 10 ms parts typically repeated within
# 2.5 % from process to process, the median of the parts within 24 %.
SAMPLE = 0.3  # seconds of CPU
PART = 0.01
LEAST_PARTS = 3  # of rows in which a single repetition takes longer


def pin(core: int) -> None:
    """Keep this process, and each thread it starts, on one core."""
    os.sched_setaffinity(0, {core})


def clocks(row: registry.Row, loop: registry.Loop, n: int) -> tuple[int, int]:
    """CPU and wall nanoseconds of ``n`` repetitions."""
    wall = time.perf_counter_ns()
    cpu = time.process_time_ns()
    row.function(loop, n)
    return time.process_time_ns() - cpu, time.perf_counter_ns() - wall


def calibrate(row: registry.Row, loop: registry.Loop, seconds: float) -> int:
    """How many repetitions take about ``seconds`` of CPU.

    These runs warm everything up too: caches, free lists, specialised code.
    """
    n = 1
    wanted = seconds * 1e9
    while True:
        spent, _ = clocks(row, loop, n)
        if spent >= wanted / 4:
            return max(1, round(n * wanted / spent))
        n *= 2


def sample(
    row: registry.Row, loop: registry.Loop, seconds: float
) -> dict[str, Any]:
    """Nanoseconds per operation: the fastest part's."""
    n = calibrate(row, loop, PART)
    parts: list[tuple[int, int]] = []
    spent = 0
    while spent < seconds * 1e9 or len(parts) < LEAST_PARTS:
        parts.append(clocks(row, loop, n))
        spent += parts[-1][0]
    per = n * row.ops
    cpu = [part[0] / per for part in parts]
    return {
        "value": min(cpu),
        "median": statistics.median(cpu),
        "wall": min(part[1] for part in parts) / per,
        "parts": len(parts),
        "operations": per,
    }


def run(row: registry.Row, name: str, seconds: float) -> dict[str, Any]:
    """The figures of one row on a new loop."""
    with contextlib.closing(loops.new(name)) as loop:
        if row.ops:
            figures = sample(row, loop, seconds)
        else:
            figures = row.function(loop)
        finish(loop)
        return figures


def finish(loop: registry.Loop) -> None:
    """Close what the row kept."""
    for close in reversed(registry.AT_END):
        close(loop)


def serve(row: registry.Row, name: str, folder: Path) -> None:
    """Be the server of a row until somebody ends this process."""
    loop = loops.new(name)
    print(row.function(loop, folder), flush=True)
    loop.run_forever()


def set_peer(address: str | None) -> None:
    if address:
        host, _, port = address.rpartition(":")
        registry.PEER.append((host, int(port)))


def profile(row: registry.Row, name: str, seconds: float, count: int) -> int:
    """Run a row for a profiler; returns the number of operations."""
    done = 0
    with contextlib.closing(loops.new(name)) as loop:
        if not row.ops:
            row.function(loop)
            return 1
        if count:
            row.function(loop, count)
            return count * row.ops
        n = calibrate(row, loop, 0.05)
        end = time.process_time() + seconds
        while time.process_time() < end:
            row.function(loop, n)
            done += n * row.ops
        finish(loop)
    return done


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=SAMPLE)
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--subject", choices=registry.SUBJECTS)
    parser.add_argument("--peer", metavar="ADDRESS")
    parser.add_argument("--serve", type=Path, metavar="FOLDER")
    parser.add_argument("loop")
    parser.add_argument("row", nargs="?")
    options = parser.parse_args()
    pin(options.core)
    if options.describe:
        result = loops.describe(options.loop)
    else:
        set_peer(options.peer)
        # Nothing that the row does not need: what was imported, and freed,
        # before decides how much room the C heap has.
        row = registry.load(options.subject)[options.row]
        if options.serve:
            serve(row, options.loop, options.serve)
            return
        result = run(row, options.loop, options.seconds)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
