"""What docs/differences.md says of asyncloop, where no other test shows it."""

import asyncio
import math
import socket

import pytest

import asyncloop

pytestmark = pytest.mark.native_only(
    reason="a deliberate difference, listed in docs/differences.md"
)


def run_turns(loop, turns=1):
    for _ in range(turns):
        loop.call_soon(loop.stop)
        loop.run_forever()


def test_when_is_a_float_whatever_was_passed(loop):
    handle = loop.call_at(10**9, print)
    assert type(handle.when()) is float
    assert handle.when() == 10**9


def test_nan_is_due_at_once(loop):
    ran = []
    loop.call_later(math.nan, ran.append, 1)
    run_turns(loop)
    assert ran == [1]


def test_closing_the_loop_empties_the_handles_that_waited(new_loop):
    loop = new_loop()
    soon = loop.call_soon(print, 1)
    later = loop.call_later(60, print, 2)
    loop.close()
    for handle in (soon, later):
        assert handle._callback is None
        assert handle._args is None
        assert not handle.cancelled()


def test_ready_and_scheduled_are_copies(loop):
    ran = []
    loop.call_soon(ran.append, 1)
    loop.call_later(60, print)
    loop._ready.clear()
    loop._scheduled.clear()
    assert len(loop._ready) == 1
    assert len(loop._scheduled) == 1
    run_turns(loop)
    assert ran == [1]


def test_ready_holds_the_tasks_themselves(loop):
    loop.set_debug(False)

    async def main():
        task = asyncio.create_task(asyncio.sleep(0))
        found = task in loop._ready
        await task
        return found

    is_native = asyncloop.build_info()["tasks"] == "native"
    assert loop.run_until_complete(main()) == is_native


def test_a_waiting_task_stands_with_its_future_by_name(loop):
    async def main():
        future = loop.create_future()

        async def wait():
            await future

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        callback = future._callbacks[0][0]
        text = repr(future)
        future.set_result(None)
        await task
        return callback.__self__ is task, "cb=[Task.task_wakeup()]" in text

    assert loop.run_until_complete(main()) == (True, True)


def test_names_of_loop_tasks_are_numbered(loop):
    async def main():
        first = loop.create_task(asyncio.sleep(0))
        second = loop.create_task(asyncio.sleep(0))
        await asyncio.gather(first, second)
        return first.get_name(), second.get_name()

    first, second = loop.run_until_complete(main())
    assert first.startswith("Task-") and second.startswith("Task-")
    assert int(second[5:]) == int(first[5:]) + 1


def test_the_loop_takes_no_selector(loop):
    with pytest.raises(TypeError):
        asyncloop.Loop(object())


def test_the_selector_is_a_view_of_what_is_watched(loop):
    left, right = socket.socketpair()
    with left, right:
        loop.add_reader(left, print)
        assert loop._selector.get_key(left).fd == left.fileno()
        with pytest.raises(KeyError):
            loop._selector.get_key(right)
        loop.remove_reader(left)


def test_time_replaced_on_the_class_counts_from_the_next_run(
    loop, monkeypatch
):
    ran = []
    loop.call_later(3600, ran.append, 1)
    start = loop.time()
    monkeypatch.setattr(type(loop), "time", lambda self: start + 4000)
    run_turns(loop, 2)
    assert ran == [1]


def test_call_soon_replaced_on_the_class_is_used_by_the_next_run(
    loop, monkeypatch
):
    seen = []
    plain = type(loop).call_soon

    def call_soon(self, callback, *args, context=None):
        seen.append(callback)
        return plain(self, callback, *args, context=context)

    monkeypatch.setattr(type(loop), "call_soon", call_soon)

    async def main():
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert len(seen) >= 2
