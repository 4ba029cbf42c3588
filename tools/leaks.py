"""Runs each scenario many times and demands that nothing grows.

    make leaks [ARGS="--only timers --runs 500"]

Measured: the blocks of Python's allocator, the bytes in use by malloc (what
the core allocates outside of Python; glibc only), the open descriptors, the
threads, the reference counts of the core's types, and the resident memory.
A count may settle for a while (free lists, caches of the interpreter), so a
scenario is measured up to five times; a leak grows in each of them.
"""

import argparse
import asyncio
import ctypes
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable

from scenarios import SCENARIOS

ROUNDS = 5
# What a whole measured round may grow by and not count as a leak: less than
# one block or 64 bytes for every second run.
SLACK = {"blocks": 0.4, "malloc": 32.0, "rss": 600.0, "types": 0.0}


class MallInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks "
            "fordblks keepcost"
        ).split()
    ]


def malloc_meter() -> Callable[[], int] | None:
    """Reads the bytes that malloc has given out, where glibc tells."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return None
    mallinfo2.restype = MallInfo

    def read() -> int:
        info = mallinfo2()
        return info.uordblks + info.hblkhd

    return read


MALLOC = malloc_meter()


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    import asyncloop

    return asyncloop.new_event_loop()


def types_of(kind: str) -> list[type]:
    """The types of the core, by whatever name, and the public Loop."""
    if kind == "asyncio":
        return []
    import asyncloop
    import asyncloop._core as core

    found = {asyncloop.Loop}
    found.update(v for v in vars(core).values() if isinstance(v, type))
    found.update(base for t in list(found) for base in t.__mro__
                 if base.__module__.startswith("asyncloop"))
    return sorted(found, key=lambda t: t.__name__)


def resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return len(os.listdir(folder))


def measure(types: list[type]) -> dict[str, int]:
    for _ in range(3):
        gc.collect()
    return {
        "descriptors": descriptors(),
        "threads": threading.active_count(),
        "types": sum(sys.getrefcount(t) for t in types),
        "rss": resident(),
        "malloc": MALLOC() if MALLOC is not None else 0,
        "blocks": sys.getallocatedblocks(),
    }


def repeat(name: str, kind: str, runs: int) -> None:
    for _ in range(runs):
        loop = new_loop(kind)
        try:
            SCENARIOS[name](loop)
        finally:
            loop.close()
        del loop


def grown(name: str, kind: str, runs: int) -> dict[str, int]:
    """What grew in every round: name to growth in the last; {} is good."""
    types = types_of(kind)
    repeat(name, kind, runs)
    suspects: dict[str, int] = {}
    before = measure(types)
    for _ in range(ROUNDS):
        repeat(name, kind, runs)
        after = measure(types)
        suspects = {
            what: after[what] - before[what]
            for what in after
            if after[what] - before[what] > SLACK.get(what, 0) * runs
        }
        if not suspects:
            return {}
        before = after
    return suspects


def in_child(name: str, kind: str, runs: int) -> str | None:
    """Runs one scenario in a process of its own; what is wrong, or None."""
    done = subprocess.run(
        [sys.executable, __file__, "--kind", kind, "--runs", str(runs),
         "--child", name],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )
    if done.returncode == 0:
        return None
    return (done.stdout + done.stderr).strip() or (
        f"exit status {done.returncode}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--only", help="scenarios, separated by commas")
    parser.add_argument("--kind", default="asyncloop",
                        choices=["asyncloop", "asyncio"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        # Some scenarios fail on purpose; only what they leave counts.
        logging.disable(logging.CRITICAL)
        suspects = grown(options.child, options.kind, options.runs)
        for what, growth in suspects.items():
            print(f"{what} grow by {growth / options.runs:.2f} a run")
        return 1 if suspects else 0
    names = options.only.split(",") if options.only else list(SCENARIOS)
    bad = 0
    for name in names:
        problem = in_child(name, options.kind, options.runs)
        bad += problem is not None
        print(f"{name:<28} {problem or 'flat'}", flush=True)
    unseen = "" if MALLOC is not None else " (malloc: no glibc, not measured)"
    print(f"leaks: {len(names) - bad} of {len(names)} scenarios flat{unseen}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
