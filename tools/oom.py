"""Fails the n-th allocation of each scenario, for every n in a range.

    make oom [ARGS="--only timers --limit 100"]

Uses CPython's own `_testcapi.set_nomemory`, which makes one allocation of
Python's allocators fail. Each attempt must end with success, MemoryError or
an exception that the scenario raises by itself; a crash, a hang or another
exception of ours is a defect. malloc itself is not made to fail.
"""

import argparse
import asyncio
import gc
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator

from scenarios import SCENARIOS, Expected

try:
    from _testcapi import remove_mem_hooks, set_nomemory
except ImportError:
    set_nomemory = None

# Starting a thread allocates in the other thread, too: an allocation that
# fails there ends it before it can stop the loop.
OTHER_THREADS = {
    "another_thread", "an_executor", "an_executor_in_every_way",
    "names",
}

# The callback that was to stop the loop may be the one that fails, and such
# an error is reported, not raised: an alarm ends the attempt, by an exception
# that leaves the loop also from within a callback. Where even that does not
# get through, the child is killed.
ALARM = 0.5


class NotStopped(KeyboardInterrupt):
    """The alarm's."""


DEFECT = 3
SECONDS = 20

# What CPython 3.11 says when it has no memory for the frame of a function in
# Python, whose ever it is. Later versions raise MemoryError, and there the
# same words would be a defect of ours.
NO_FRAME = "error return without exception set"

STDLIB = sysconfig.get_path("stdlib")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    import asyncloop

    return asyncloop.new_event_loop()


def attempt(name: str, kind: str, n: int) -> BaseException | None:
    """One run whose n-th allocation fails; the exception it ended with."""
    function = SCENARIOS[name]
    loop, caught = None, None
    signal.setitimer(signal.ITIMER_REAL, ALARM, ALARM)
    set_nomemory(n, n + 1)
    try:
        loop = new_loop(kind)
        function(loop)
    except BaseException as error:
        caught = error
    finally:
        remove_mem_hooks()
        signal.setitimer(signal.ITIMER_REAL, 0)
    # Without a failing allocation, the loop must be good for its end.
    if loop is not None:
        loop.close()
    return caught


def is_foreign(error: BaseException) -> bool:
    """Raised in a frame of the standard library, which is not ours to mend.

    CPython has its own errors here: socket and select raise SystemError for
    some allocations, and asyncio's classes can be left half made.
    """
    if sys.version_info < (3, 12) and str(error) == NO_FRAME:
        return True
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    ours = "asyncloop" in str(error)  # SystemError names the C function
    return not ours and file.startswith((STDLIB, "<frozen"))


def is_allowed(error: BaseException | None) -> bool:
    """MemoryError, also where asyncio puts it into a group or a cause."""
    if error is None or isinstance(
        error, (MemoryError, Expected, NotStopped)
    ):
        return True
    if is_foreign(error):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_allowed, error.exceptions))
    return any(
        isinstance(inner, MemoryError)
        for inner in (error.__cause__, error.__context__)
    )


def alarm(signum: int, frame: object) -> None:
    raise NotStopped("the loop was not stopped")


def child(name: str, kind: str, first: int, last: int) -> int:
    """Prints each n before it is tried, so that a crash has a number.

    Ends at the first defect: what follows it in the same process would be
    its consequence.
    """
    signal.signal(signal.SIGALRM, alarm)
    # The log would speak of each failed callback.
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    for _ in range(3):
        loop = new_loop(kind)
        SCENARIOS[name](loop)
        loop.close()
    for n in range(first, last):
        print(n, flush=True)
        error = attempt(name, kind, n)
        if not is_allowed(error):
            print(repr(error), file=sys.stderr, flush=True)
            return DEFECT
        error = None
        if n % 20 == 0:
            gc.collect()
    return 0


def problems(name: str, kind: str, limit: int) -> Iterator[str]:
    """Runs children until the range is through, past each crash."""
    first = 0
    while first < limit:
        command = [
            sys.executable, "-X", "faulthandler", __file__,
            "--kind", kind, "--child", name, str(first), str(limit),
        ]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=SECONDS + limit / 4)
                ending = f"exit status {process.returncode}"
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                ending = "no end"
        if process.returncode == 0:
            return
        tried = [int(line) for line in out.split()]
        if not tried:
            yield f"{ending} before the first attempt: {err[-400:].strip()}"
            return
        if process.returncode == DEFECT:
            ending, detail = "", err.strip().splitlines()[-1]
        else:
            detail = " | ".join(
                line.strip() for line in err.splitlines()
                if "Fatal" in line or "ssert" in line or "Error" in line
            )
        yield " ".join(f"allocation {tried[-1]}: {ending} {detail}".split())
        first = tried[-1] + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--only", help="scenarios, separated by commas")
    parser.add_argument("--kind", default="asyncloop",
                        choices=["asyncloop", "asyncio"])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if set_nomemory is None:
        print("oom: skipped, this Python has no _testcapi.set_nomemory")
        return 0
    if options.child:
        name, first, last = options.child
        return child(name, options.kind, int(first), int(last))
    chosen = options.only.split(",") if options.only else [
        name for name in SCENARIOS if name not in OTHER_THREADS
    ]
    bad = 0
    for name in chosen:
        found = list(problems(name, options.kind, options.limit))
        bad += bool(found)
        print(f"{name:<28} {'; '.join(found[:5]) or 'survives'}", flush=True)
        if len(found) > 5:
            print(f"{'':<28} and {len(found) - 5} more")
    print(f"oom: {len(chosen) - bad} of {len(chosen)} scenarios survive")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
