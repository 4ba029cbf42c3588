"""Debug mode: what it checks, records and warns of."""

import asyncio
import logging
import re
import sys
import threading
import time

import pytest

from support.loops import collect_errors, run_turns


@pytest.fixture
def debug_loop(loop):
    loop.set_debug(True)
    return loop


def test_debug_mode_is_off_unless_asked_for(loop):
    assert loop.get_debug() is (sys.flags.dev_mode or _by_environment())


def _by_environment() -> bool:
    import os
    return not sys.flags.ignore_environment and bool(
        os.environ.get("PYTHONASYNCIODEBUG")
    )


def test_debug_mode_is_what_was_set(loop):
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at"])
def test_scheduling_from_a_wrong_thread_is_refused(debug_loop, method):
    loop = debug_loop
    arguments = (print,) if method == "call_soon" else (1, print)

    async def main():
        def work():
            with pytest.raises(RuntimeError, match=(
                "Non-thread-safe operation invoked on an event loop "
                "other than the current one"
            )):
                getattr(loop, method)(*arguments)
            return "refused"

        return await loop.run_in_executor(None, work)

    assert loop.run_until_complete(main()) == "refused"
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_loop_that_does_not_run_takes_callbacks_of_any_thread(debug_loop):
    ran = []
    thread = threading.Thread(target=debug_loop.call_soon, args=(ran.append,
                                                                 1))
    thread.start()
    thread.join()
    run_turns(debug_loop)
    assert ran == [1]


def test_call_soon_threadsafe_is_allowed_from_everywhere(debug_loop):
    ran = []
    thread = threading.Thread(
        target=debug_loop.call_soon_threadsafe, args=(ran.append, 1)
    )
    debug_loop.call_soon(thread.start)
    while not ran:
        run_turns(debug_loop)
    thread.join()
    assert ran == [1]


METHODS = {
    "call_soon": lambda loop, thing: loop.call_soon(thing),
    "call_soon_threadsafe":
        lambda loop, thing: loop.call_soon_threadsafe(thing),
    "call_later": lambda loop, thing: loop.call_later(1, thing),
    "call_at": lambda loop, thing: loop.call_at(1, thing),
}


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_called_is_refused_with_its_name(debug_loop, method):
    with pytest.raises(
        TypeError,
        match=r"a callable object was expected by \w+\(\), got 'text'",
    ):
        METHODS[method](debug_loop, "text")


async def coroutine_function():
    pass


@pytest.mark.parametrize("method", METHODS)
def test_coroutine_functions_are_refused_as_callbacks(debug_loop, method):
    with pytest.raises(
        TypeError, match="coroutines cannot be used with call_"
    ):
        METHODS[method](debug_loop, coroutine_function)


@pytest.mark.parametrize("method", METHODS)
def test_coroutines_are_refused_as_callbacks(debug_loop, method):
    coroutine = coroutine_function()
    try:
        with pytest.raises(
            TypeError, match="coroutines cannot be used with call_"
        ):
            METHODS[method](debug_loop, coroutine)
    finally:
        coroutine.close()


def test_a_function_that_cannot_be_called_is_refused_by_the_executor(
    debug_loop
):
    with pytest.raises(TypeError, match="a callable object was expected"):
        debug_loop.run_in_executor(None, "text")
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        debug_loop.run_in_executor(None, coroutine_function)


def slow_function():
    time.sleep(0.03)


def slow_records(caplog):
    return [
        r.getMessage() for r in caplog.records
        if r.name == "asyncio" and r.levelno == logging.WARNING
    ]


def test_a_slow_callback_is_logged(debug_loop, caplog):
    debug_loop.slow_callback_duration = 0.01
    debug_loop.call_soon(slow_function)
    with caplog.at_level(logging.WARNING, "asyncio"):
        run_turns(debug_loop)
    message, = slow_records(caplog)
    assert re.fullmatch(
        r"Executing <Handle slow_function\(\) at .*test_debug_mode\.py:\d+ "
        r"created at .*test_debug_mode\.py:\d+> took 0\.\d{3} seconds",
        message,
    ), message


def test_a_slow_timer_is_logged(debug_loop, caplog):
    debug_loop.slow_callback_duration = 0.01
    debug_loop.call_later(0, slow_function)
    with caplog.at_level(logging.WARNING, "asyncio"):
        run_turns(debug_loop, 2)
    message, = slow_records(caplog)
    assert re.match(
        r"Executing <TimerHandle when=\d+\.\d+ slow_function\(\) at ", message
    ), message


def test_a_slow_task_step_is_logged_as_the_task(debug_loop, caplog):
    debug_loop.slow_callback_duration = 0.01

    async def slow_coroutine():
        slow_function()

    with caplog.at_level(logging.WARNING, "asyncio"):
        debug_loop.run_until_complete(slow_coroutine())
    message, = slow_records(caplog)
    assert re.match(
        r"Executing <Task \w+ name='Task-\d+' "
        r"coro=<.*slow_coroutine\(\) \w+.*"
        r"took 0\.\d{3} seconds", message
    ), message


def test_quick_callbacks_are_not_logged(debug_loop, caplog):
    debug_loop.slow_callback_duration = 10
    debug_loop.call_soon(slow_function)
    with caplog.at_level(logging.WARNING, "asyncio"):
        run_turns(debug_loop)
    assert slow_records(caplog) == []


def test_slow_callbacks_are_not_logged_without_debug_mode(loop, caplog):
    loop.set_debug(False)
    loop.slow_callback_duration = 0.001
    loop.call_soon(slow_function)
    with caplog.at_level(logging.WARNING, "asyncio"):
        run_turns(loop)
    assert slow_records(caplog) == []


def test_the_limit_for_slow_callbacks_is_a_tenth_of_a_second(loop):
    assert loop.slow_callback_duration == 0.1


@pytest.mark.parametrize("method", METHODS)
def test_handles_know_where_they_were_made(debug_loop, method):
    handle = METHODS[method](debug_loop, print)
    assert handle._source_traceback[-1].name == "<lambda>"
    assert handle._source_traceback[-1].filename == __file__
    handle.cancel()


def test_futures_and_tasks_know_where_they_were_made(debug_loop):
    future = debug_loop.create_future()
    # asyncio leaves a frame of its own behind the caller's here.
    assert __file__ in [f.filename for f in future._source_traceback]
    task = debug_loop.create_task(coroutine_function())
    assert task._source_traceback[-1].filename == __file__
    debug_loop.run_until_complete(task)


def test_nothing_is_recorded_without_debug_mode(loop):
    loop.set_debug(False)
    assert not loop.call_soon(print)._source_traceback
    assert not loop.create_future()._source_traceback
    loop.close()


def test_a_report_tells_where_the_callback_was_scheduled(debug_loop):
    errors = collect_errors(debug_loop)
    debug_loop.call_soon(lambda: 1 / 0)
    run_turns(debug_loop)
    trace = errors[0]["source_traceback"]
    assert trace[-1].name == (
        "test_a_report_tells_where_the_callback_was_scheduled"
    )


def test_the_log_tells_where_the_callback_was_scheduled(debug_loop, caplog):
    debug_loop.call_soon(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_turns(debug_loop)
    text = caplog.records[0].getMessage()
    assert "Object created at (most recent call last):" in text
    assert "test_the_log_tells_where_the_callback_was_scheduled" in text


def depth_in_the_loop(loop) -> int:
    seen = []
    loop.call_soon(
        lambda: seen.append(sys.get_coroutine_origin_tracking_depth())
    )
    run_turns(loop)
    return seen[0]


def test_coroutine_origins_are_tracked_while_the_loop_runs(debug_loop):
    before = sys.get_coroutine_origin_tracking_depth()
    assert depth_in_the_loop(debug_loop) > 0
    assert sys.get_coroutine_origin_tracking_depth() == before


def test_coroutine_origins_are_not_tracked_without_debug_mode(loop):
    before = sys.get_coroutine_origin_tracking_depth()
    loop.set_debug(False)
    assert depth_in_the_loop(loop) == before


def test_debug_mode_can_be_switched_while_the_loop_runs(loop):
    loop.set_debug(False)

    async def main():
        depths = [sys.get_coroutine_origin_tracking_depth()]
        for mode in (True, False, True):
            loop.set_debug(mode)
            await asyncio.sleep(0)
            depths.append(sys.get_coroutine_origin_tracking_depth())
        return [depth > 0 for depth in depths]

    outside = sys.get_coroutine_origin_tracking_depth()
    assert loop.run_until_complete(main()) == [False, True, False, True]
    assert sys.get_coroutine_origin_tracking_depth() == outside


def test_the_tracking_depth_that_was_set_outside_is_restored(debug_loop):
    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(3)
    try:
        run_turns(debug_loop)
        assert sys.get_coroutine_origin_tracking_depth() == 3
    finally:
        sys.set_coroutine_origin_tracking_depth(before)


def test_everything_still_runs_in_debug_mode(debug_loop):
    async def main():
        results = await asyncio.gather(
            asyncio.sleep(0.001, 1), asyncio.sleep(0, 2)
        )
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return results

    assert debug_loop.run_until_complete(main()) == [1, 2]
