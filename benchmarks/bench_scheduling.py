"""Callbacks: call_soon, call_soon_threadsafe, readers, wake-ups.

Methods are looked up on the loop at each call, as programs do.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from registry import Goal, Loop, timed

BURST = 1000
QUEUED = 300_000
THREADS = 4
FED = 100_000  # by each thread: enough that the loop falls behind


def noop(*args: object) -> None:
    """The cheapest callback that is still Python code."""


def run_bursts(loop: Loop, burst: Callable[[], None], n: int) -> None:
    """Call ``burst`` in ``n`` turns of the loop; each turn runs the last."""

    def turn() -> None:
        nonlocal n
        if n == 0:
            loop.stop()
            return
        n -= 1
        burst()
        loop.call_soon(turn)

    loop.call_soon(turn)
    loop.run_forever()


@timed("call_soon, bursts of 1 000", Goal("best rival", 1.15), ops=BURST)
def call_soon(loop: Loop, n: int) -> None:
    def burst() -> None:
        for _ in range(BURST):
            loop.call_soon(noop)

    run_bursts(loop, burst, n)


@timed(
    "call_soon with 3 arguments, bursts of 1 000",
    Goal("best rival", 1.15),
    ops=BURST,
)
def call_soon_args(loop: Loop, n: int) -> None:
    def burst() -> None:
        for _ in range(BURST):
            loop.call_soon(noop, 1, 2, 3)

    run_bursts(loop, burst, n)


@timed(
    "call_soon, 300k queued, then run", Goal("best rival", 1.1), ops=QUEUED
)
def call_soon_queued(loop: Loop, n: int) -> None:
    """As above, but what is queued no longer fits the caches."""

    def burst() -> None:
        for _ in range(QUEUED):
            loop.call_soon(noop)

    run_bursts(loop, burst, n)


@timed(
    "call_soon_threadsafe, same thread, bursts of 1 000",
    Goal("best rival", 1.1),
    ops=BURST,
)
def threadsafe_same(loop: Loop, n: int) -> None:
    def burst() -> None:
        for _ in range(BURST):
            loop.call_soon_threadsafe(noop)

    run_bursts(loop, burst, n)


@timed(
    "call_soon_threadsafe from 4 other threads",
    Goal("best rival", 1.0),
    ops=THREADS * FED,
    threads=True,
)
def threadsafe_threads(loop: Loop, n: int) -> None:
    """Four threads feed a running loop; it stops when all is run."""
    left = THREADS

    def finished() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            loop.stop()

    def feed() -> None:
        for _ in range(n * FED):
            loop.call_soon_threadsafe(noop)
        loop.call_soon_threadsafe(finished)

    threads = [threading.Thread(target=feed) for _ in range(THREADS)]

    def start() -> None:
        for thread in threads:
            thread.start()

    loop.call_soon(start)
    loop.run_forever()
    for thread in threads:
        thread.join()


@timed(
    "add_reader toggled around each wait on a socket pair",
    Goal("best rival", 1.15),
)
def reader_toggled(loop: Loop, n: int) -> None:
    """Register, wait for a byte, unregister: what database drivers do."""
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    fd = ours.fileno()

    def wait() -> None:
        loop.add_reader(fd, readable)
        peer.send(b"x")

    def readable() -> None:
        nonlocal n
        loop.remove_reader(fd)
        ours.recv(1)
        n -= 1
        if n > 0:
            loop.call_soon(wait)
        else:
            loop.stop()

    with ours, peer:
        loop.call_soon(wait)
        loop.run_forever()


@timed(
    "wake-up of an idle loop from another thread, round trip",
    Goal("best rival", 1.15),
    threads=True,
)
def wake_up(loop: Loop, n: int) -> None:
    """A thread asks the sleeping loop to release the lock it waits for."""
    lock = threading.Lock()
    lock.acquire()

    def ask() -> None:
        for _ in range(n):
            loop.call_soon_threadsafe(lock.release)
            lock.acquire()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=ask)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
