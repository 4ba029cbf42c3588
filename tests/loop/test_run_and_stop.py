"""run_forever, run_until_complete, stop and the is_* questions."""

import asyncio
import sys
import threading

import pytest

from support import loops
from support.loops import collect_errors, run_turns


async def give(value):
    return value


async def forever():
    await asyncio.get_running_loop().create_future()


def test_a_new_loop_is_neither_running_nor_closed(loop):
    assert (loop.is_running(), loop.is_closed()) == (False, False)


def test_the_loop_says_that_it_runs_while_it_does(loop):
    seen = []
    loop.call_soon(lambda: seen.append(loop.is_running()))
    run_turns(loop)
    assert seen == [True]
    assert not loop.is_running()


def test_the_running_loop_is_known_in_callbacks_only(loop):
    seen = []
    loop.call_soon(lambda: seen.append(asyncio.get_running_loop()))
    run_turns(loop)
    assert seen == [loop]
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_get_event_loop_in_a_callback_is_the_running_loop(loop):
    seen = []
    loop.call_soon(lambda: seen.append(asyncio.get_event_loop()))
    run_turns(loop)
    assert seen == [loop]


def test_stop_ends_the_run_after_the_current_turn(loop):
    ran = []
    loop.call_soon(ran.append, 1)
    loop.call_soon(loop.stop)
    loop.call_soon(ran.append, 2)
    loop.run_forever()
    assert ran == [1, 2]


def test_stop_before_the_run_lets_one_turn_pass(loop):
    ran = []
    loop.call_soon(ran.append, 1)
    loop.stop()
    loop.run_forever()
    assert ran == [1]


def test_stop_does_not_carry_over_to_the_next_run(loop):
    loop.stop()
    loop.stop()
    loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0.001, "slept")) == "slept"


def test_run_forever_returns_nothing(loop):
    loop.stop()
    assert loop.run_forever() is None


def test_a_loop_runs_many_times(loop):
    results = [loop.run_until_complete(give(n)) for n in range(100)]
    assert results == list(range(100))


def test_run_until_complete_takes_coroutine_future_and_awaitable(loop):
    class Awaitable:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "awaitable"

    future = loop.create_future()
    loop.call_soon(future.set_result, "future")
    assert loop.run_until_complete(give("coroutine")) == "coroutine"
    assert loop.run_until_complete(future) == "future"
    assert loop.run_until_complete(Awaitable()) == "awaitable"


def test_run_until_complete_takes_a_future_that_is_done(loop):
    future = loop.create_future()
    future.set_result("done")
    assert loop.run_until_complete(future) == "done"
    assert loop.run_until_complete(future) == "done"


def test_run_until_complete_raises_what_the_future_holds(loop):
    future = loop.create_future()
    future.set_exception(LookupError("mine"))
    with pytest.raises(LookupError, match="mine"):
        loop.run_until_complete(future)


def test_run_until_complete_raises_the_cancellation(loop):
    future = loop.create_future()
    loop.call_soon(future.cancel)
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(future)


@pytest.mark.parametrize("thing", [None, 1, print], ids=repr)
def test_run_until_complete_refuses_what_cannot_be_awaited(loop, thing):
    with pytest.raises(TypeError, match="awaitable is required"):
        loop.run_until_complete(thing)


def test_run_until_complete_refuses_a_future_of_another_loop(new_loop):
    one, other = new_loop(), new_loop()
    future = other.create_future()
    with pytest.raises(ValueError, match=(
        "The future belongs to a different loop than the one specified "
        "as the loop argument"
    )):
        one.run_until_complete(future)
    assert not one.is_running()


def test_a_task_that_awaits_a_foreign_future_fails(new_loop):
    one, other = new_loop(), new_loop()

    async def main():
        await other.create_future()

    with pytest.raises(RuntimeError, match="attached to a different loop"):
        one.run_until_complete(main())


def test_stopped_before_the_future_is_done_is_an_error(loop):
    task = loop.create_task(forever())
    loop.call_soon(loop.stop)
    with pytest.raises(
        RuntimeError, match=r"^Event loop stopped before Future completed\.$"
    ):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_the_done_callback_is_gone_after_a_stopped_run(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError):
        loop.run_until_complete(future)
    future.set_result(None)
    # Were the callback still there, it would stop this run too early.
    assert loop.run_until_complete(asyncio.sleep(0.01, "on")) == "on"


def skip_if_a_refused_run_ends_the_running_one(kind):
    if kind == "asyncio" and sys.version_info[:2] == (3, 13):
        pytest.skip("asyncio 3.13 forgets the running loop when it refuses")


def test_a_running_loop_cannot_be_run_again(loop, kind):
    skip_if_a_refused_run_ends_the_running_one(kind)

    async def main():
        with pytest.raises(
            RuntimeError, match="This event loop is already running"
        ):
            loop.run_forever()
        with pytest.raises(
            RuntimeError, match="This event loop is already running"
        ):
            loop.run_until_complete(loop.create_future())
        return "still running"

    assert loop.run_until_complete(main()) == "still running"


def test_another_loop_cannot_run_inside_a_running_one(new_loop, kind):
    skip_if_a_refused_run_ends_the_running_one(kind)
    outer, inner = new_loop(), new_loop()

    async def main():
        with pytest.raises(
            RuntimeError,
            match="Cannot run the event loop while another loop is running",
        ):
            inner.run_forever()
        return asyncio.get_running_loop()

    assert outer.run_until_complete(main()) is outer
    assert not inner.is_running()


@pytest.mark.parametrize("first", ["asyncio", "kind"])
def test_loops_of_two_kinds_cannot_be_nested(new_loop, kind, first):
    skip_if_a_refused_run_ends_the_running_one(
        "asyncio" if first == "kind" else kind
    )
    stock = loops.new("asyncio")
    ours = new_loop()
    outer, inner = (stock, ours) if first == "asyncio" else (ours, stock)
    try:
        async def main():
            with pytest.raises(RuntimeError, match="another loop is running"):
                inner.run_forever()
            return "done"

        assert outer.run_until_complete(main()) == "done"
    finally:
        stock.close()


def test_a_loop_runs_in_any_thread(new_loop):
    results = []

    def work():
        loop = new_loop()
        results.append(loop.run_until_complete(asyncio.sleep(0.001, 7)))
        loop.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [7, 7, 7, 7]


def test_a_loop_may_move_from_thread_to_thread_between_runs(loop):
    results = [loop.run_until_complete(give("main"))]
    thread = threading.Thread(
        target=lambda: results.append(loop.run_until_complete(give("other")))
    )
    thread.start()
    thread.join()
    results.append(loop.run_until_complete(give("main again")))
    assert results == ["main", "other", "main again"]


def test_a_loop_that_runs_elsewhere_cannot_be_run_here(loop):
    running = threading.Event()
    loop.call_soon(running.set)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running.wait()
    try:
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
    assert not loop.is_running()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_leaves_the_run_and_the_loop_usable(loop, error):
    ran = []

    def fail():
        raise error("out")

    loop.call_soon(ran.append, "before")
    loop.call_soon(fail)
    loop.call_soon(ran.append, "after")
    with pytest.raises(error):
        loop.run_forever()
    assert ran == ["before"]
    assert not loop.is_running()
    run_turns(loop)
    assert ran == ["before", "after"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_of_a_task_leaves_run_until_complete(loop, error):
    async def main():
        raise error("out")

    with pytest.raises(error):
        loop.run_until_complete(main())
    assert loop.run_until_complete(give("usable")) == "usable"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_of_a_timer_leaves_the_loop_usable(loop, error):
    def fail():
        raise error("out")

    loop.call_later(0.001, fail)
    with pytest.raises(error):
        loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0.001, "on")) == "on"


def test_another_base_exception_is_reported_like_an_exception(loop):
    errors = collect_errors(loop)

    class Odd(BaseException):
        pass

    def fail():
        raise Odd

    loop.call_soon(fail)
    run_turns(loop)
    assert [type(e["exception"]) for e in errors] == [Odd]


def test_stop_from_a_timer_ends_the_run(loop):
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert not loop.is_running()


def test_a_failing_run_leaves_no_running_loop_behind(loop):
    def fail():
        raise KeyboardInterrupt

    loop.call_soon(fail)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_the_loops_state_shows_in_its_repr(loop):
    for word in ("running=False", "closed=False", "debug="):
        assert word in repr(loop)
    loop.close()
    assert "closed=True" in repr(loop)
