"""What a test may not leave behind, compared before and after it."""

import gc
import os
import sys
import threading

import pytest

JOIN_SECONDS = 10

# The debug build's counters may be asked for only when the extension is
# loaded already: stock asyncio must be testable without it.
CORE = "asyncloop._core"


def open_fds() -> dict[int, str]:
    """The open descriptors and what they are."""
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        folder = "/dev/fd"
    found = {}
    for name in os.listdir(folder):
        try:
            found[int(name)] = os.readlink(f"{folder}/{name}")
        except OSError:
            # The descriptor that listed the folder, or no links here.
            if _is_open(int(name)):
                found[int(name)] = "?"
    return found


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def ledger_live() -> dict[str, int]:
    """Objects of the core alive by kind; empty in a release build."""
    core = sys.modules.get(CORE)
    read = getattr(core, "_ledger", None)
    if read is None:
        return {}
    return {kind: made - freed for kind, (made, freed) in read().items()}


class Snapshot:
    """The state before a test."""

    def __init__(self) -> None:
        self.fds = open_fds()
        self.threads = set(threading.enumerate())
        self.live = ledger_live()

    def check(self) -> None:
        """Fail the test if it left something behind."""
        self._join_threads()
        gc.collect()
        new = {
            fd: what for fd, what in open_fds().items()
            if fd not in self.fds
        }
        assert not new, f"descriptors left open: {new}"
        live = ledger_live()
        # Fewer than before is right: the traceback of a test that failed or
        # was skipped keeps its objects until the next one.
        left = {
            kind: count - self.live.get(kind, 0)
            for kind, count in live.items()
            if count > self.live.get(kind, 0) or count < 0
        }
        assert not left, f"the ledger does not balance: {left}"

    def _join_threads(self) -> None:
        for thread in set(threading.enumerate()) - self.threads:
            # A closed loop does not wait for its executor's threads.
            thread.join(JOIN_SECONDS)
            assert not thread.is_alive(), f"thread left running: {thread}"


KEY = pytest.StashKey[Snapshot | None]()
