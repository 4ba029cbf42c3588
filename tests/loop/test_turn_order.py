"""What goes first when several kinds of work wait at once."""

import asyncio
import os
import socket
import time

import pytest

from support.loops import run_turns


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_is_ready_runs_before_timers_that_are_due(loop):
    ran = []

    def schedule():
        loop.call_at(loop.time() - 1, ran.append, "timer")
        loop.call_soon(ran.append, "ready")

    loop.call_soon(schedule)
    run_turns(loop, 3)
    assert ran == ["ready", "timer"]


def test_what_is_ready_runs_before_io_that_has_just_come(loop, pair):
    ours, theirs = pair
    ran = []
    loop.add_reader(ours, lambda: (ran.append("io"), loop.stop()))

    def schedule():
        theirs.send(b"x")
        loop.call_soon(ran.append, "ready")

    loop.call_soon(schedule)
    loop.run_forever()
    loop.remove_reader(ours)
    assert ran == ["ready", "io"]


@pytest.mark.native_only(reason="stock asyncio runs I/O before timers")
def test_timers_that_are_due_run_before_io_that_has_just_come(loop, pair):
    ours, theirs = pair
    for _ in range(20):
        ran = []
        late = []

        def read():
            ran.append("io")
            ours.recv(1)

        def timer(when):
            late.append(loop.time() - when)
            ran.append("timer")

        def schedule():
            when = loop.time()
            loop.call_at(when, timer, when)
            theirs.send(b"x")
            loop.call_soon(ran.append, "ready")

        loop.add_reader(ours, read)
        run_turns(loop)
        loop.call_soon(schedule)
        while len(ran) < 3:
            run_turns(loop)
        loop.remove_reader(ours)
        # A stalled machine makes the exception below the rule.
        assert ran == ["ready", "timer", "io"] or late[0] > 0.005


def test_a_loop_that_was_stalled_takes_in_data_before_a_late_timer(
    loop, pair
):
    """A keep-alive timeout must not beat data that had come in time."""
    ours, theirs = pair
    ran = []
    loop.add_reader(ours, lambda: (ran.append("io"), ours.recv(1)))
    run_turns(loop)

    def stall():
        loop.call_later(0.001, ran.append, "timeout")
        theirs.send(b"x")
        time.sleep(0.02)

    loop.call_soon(stall)
    while len(ran) < 2:
        run_turns(loop)
    loop.remove_reader(ours)
    assert ran == ["io", "timeout"]


def test_callbacks_do_not_starve_io(loop, pair):
    ours, theirs = pair
    turns = 0

    def spin():
        nonlocal turns
        turns += 1
        assert turns < 1_000_000
        loop.call_soon(spin)

    loop.add_reader(ours, loop.stop)
    loop.call_soon(spin)
    theirs.send(b"x")
    loop.run_forever()
    loop.remove_reader(ours)
    assert turns > 0


def test_slow_callbacks_let_io_in_within_a_few_turns(loop, pair):
    """The poll is skipped by time: long turns may not hide I/O."""
    ours, theirs = pair
    turns = 0

    def slow():
        nonlocal turns
        turns += 1
        time.sleep(0.001)
        loop.call_soon(slow)

    loop.add_reader(ours, loop.stop)
    loop.call_soon(slow)
    theirs.send(b"x")
    loop.run_forever()
    loop.remove_reader(ours)
    assert turns <= 4


def test_callbacks_do_not_starve_timers(loop):
    def spin():
        loop.call_soon(spin)

    loop.call_soon(spin)
    loop.call_later(0.002, loop.stop)
    start = time.monotonic()
    loop.run_forever()
    assert time.monotonic() - start < 20


def test_io_does_not_starve_timers(loop, pair):
    ours, theirs = pair
    theirs.send(b"x")
    loop.add_reader(ours, lambda: None)
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert loop.remove_reader(ours) is True


def test_timers_do_not_starve_io(loop, pair):
    ours, theirs = pair

    def tick():
        loop.call_at(loop.time(), tick)

    loop.add_reader(ours, loop.stop)
    loop.call_soon(tick)
    theirs.send(b"x")
    loop.run_forever()
    assert loop.remove_reader(ours) is True


def test_io_does_not_starve_other_threads_callbacks(loop, pair):
    ours, theirs = pair
    theirs.send(b"x")
    loop.add_reader(ours, lambda: None)
    future = loop.run_in_executor(
        None, loop.call_soon_threadsafe, loop.stop
    )
    loop.run_forever()
    loop.run_until_complete(future)
    assert loop.remove_reader(ours) is True
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_stopping_loop_takes_in_io_once_more(loop, pair):
    """run_forever with stop() set polls once, so that nothing starves."""
    ours, theirs = pair
    ran = []
    loop.add_reader(ours, lambda: (ran.append(1), ours.recv(1)))
    theirs.send(b"x")
    for _ in range(5):
        loop.stop()
        loop.run_forever()
    loop.remove_reader(ours)
    assert ran == [1]


def test_tasks_take_turns(loop):
    trace = []

    async def count(name):
        for number in range(3):
            trace.append((name, number))
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(count("a"), count("b"), count("c"))

    loop.run_until_complete(main())
    assert trace == [
        (name, number) for number in range(3) for name in "abc"
    ]


def test_an_idle_loop_uses_no_cpu(loop):
    before = os.times()
    loop.run_until_complete(asyncio.sleep(0.3))
    after = os.times()
    used = after.user + after.system - before.user - before.system
    assert used < 0.15
