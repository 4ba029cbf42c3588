"""close: what it ends, what it refuses, what a closed loop still does."""

import asyncio
import gc
import socket
import warnings
import weakref

import pytest

from support import loops


def test_closing_closes(loop):
    loop.close()
    assert loop.is_closed()
    assert not loop.is_running()


def test_closing_twice_is_harmless(loop):
    loop.close()
    loop.close()
    assert loop.is_closed()


def test_a_running_loop_cannot_be_closed(loop):
    async def main():
        with pytest.raises(
            RuntimeError, match="Cannot close a running event loop"
        ):
            loop.close()
        return "running"

    assert loop.run_until_complete(main()) == "running"
    assert not loop.is_closed()


@pytest.mark.parametrize("method", ["run_forever", "run_until_complete"])
def test_a_closed_loop_does_not_run(loop, method):
    future = loop.create_future()
    loop.close()
    arguments = (future,) if method == "run_until_complete" else ()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        getattr(loop, method)(*arguments)


def test_a_closed_loop_makes_no_task(loop):
    async def never():
        pass

    loop.close()
    coroutine = never()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coroutine)
    coroutine.close()


def test_a_closed_loop_takes_no_reader(loop):
    loop.close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            loop.add_reader(ours, print)
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            loop.add_writer(ours, print)
        assert loop.remove_reader(ours) is False
        assert loop.remove_writer(ours) is False


def test_a_closed_loop_still_tells_the_time(loop):
    loop.close()
    assert loop.time() > 0


def test_a_closed_loop_still_makes_futures(loop):
    loop.close()
    future = loop.create_future()
    future.set_result(1)
    assert future.result() == 1


def test_stopping_a_closed_loop_is_harmless(loop):
    loop.close()
    loop.stop()
    assert loop.is_closed()


def test_a_handle_outlives_its_loop(new_loop):
    loop = new_loop()
    soon = loop.call_soon(print)
    timer = loop.call_later(10, print)
    loop.close()
    soon.cancel()
    timer.cancel()
    assert soon.cancelled() and timer.cancelled()
    assert timer.when() > 0
    assert repr(soon) and repr(timer)


def test_handles_survive_the_end_of_their_loop(kind):
    loop = loops.new(kind)
    soon = loop.call_soon(print)
    timer = loop.call_later(10, print)
    loop.close()
    del loop
    gc.collect()
    timer.cancel()
    soon.cancel()
    assert soon.cancelled() and timer.cancelled()


def test_a_dropped_closed_loop_is_freed(kind):
    loop = loops.new(kind)
    dead = weakref.ref(loop)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del loop
    gc.collect()
    assert dead() is None


def test_an_unclosed_loop_warns_and_is_cleaned_up(kind):
    loop = loops.new(kind)
    loop.run_until_complete(asyncio.sleep(0))
    text = repr(loop)
    with pytest.warns(ResourceWarning, match="unclosed event loop") as seen:
        del loop
        gc.collect()
    mine = [w for w in seen if "unclosed event loop" in str(w.message)]
    assert text in str(mine[0].message)


def test_a_closed_loop_does_not_warn(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop = loops.new(kind)
        loop.close()
        del loop
        gc.collect()
        assert gc.garbage == []


def test_closing_in_a_callback_is_reported(loop):
    errors = loops.collect_errors(loop)
    loop.call_soon(loop.close)
    loops.run_turns(loop)
    assert [str(e["exception"]) for e in errors] == [
        "Cannot close a running event loop"
    ]
    assert not loop.is_closed()


def test_closing_forgets_readers_but_not_their_descriptors(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, print)
        loop.add_writer(ours, print)
        loop.close()
        theirs.send(b"x")
        assert ours.recv(1) == b"x"


def test_a_task_left_pending_at_close_is_told_of_by_its_finalizer(new_loop):
    loop = new_loop()
    errors = loops.collect_errors(loop)

    async def forever():
        await loop.create_future()

    task = loop.create_task(forever())
    loops.run_turns(loop)
    loop.close()
    del task
    gc.collect()
    assert [e["message"] for e in errors] == [
        "Task was destroyed but it is pending!"
    ]
