"""run_in_executor, the default executor and to_thread."""

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading

import pytest

from support.loops import PY312, run_turns

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="-")


@pytest.fixture
def shut(loop):
    """The loop; its default executor is shut down after the test."""
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_function_runs_in_another_thread(shut):
    async def main():
        return await shut.run_in_executor(None, threading.get_ident)

    assert shut.run_until_complete(main()) != threading.get_ident()


def test_arguments_and_result_pass_through(shut):
    future = shut.run_in_executor(None, lambda *args: args, 1, 2, 3)
    assert isinstance(future, asyncio.Future)
    assert shut.run_until_complete(future) == (1, 2, 3)


def test_exceptions_pass_through(shut):
    with pytest.raises(ZeroDivisionError):
        shut.run_until_complete(shut.run_in_executor(None, lambda: 1 / 0))


def test_an_executor_of_the_user_is_used(loop):
    with concurrent.futures.ThreadPoolExecutor(
        1, thread_name_prefix="mine"
    ) as pool:
        name = loop.run_until_complete(loop.run_in_executor(
            pool, lambda: threading.current_thread().name
        ))
    assert name.startswith("mine")


def test_the_default_executor_can_be_set(shut):
    pool = concurrent.futures.ThreadPoolExecutor(
        1, thread_name_prefix="mine"
    )
    shut.set_default_executor(pool)
    assert shut._default_executor is pool
    name = shut.run_until_complete(shut.run_in_executor(
        None, lambda: threading.current_thread().name
    ))
    assert name.startswith("mine")


@pytest.mark.parametrize("wrong", [None, 1, "text"], ids=repr)
def test_the_default_executor_must_be_a_thread_pool(loop, wrong):
    with pytest.raises(
        TypeError, match="executor must be ThreadPoolExecutor instance"
    ):
        loop.set_default_executor(wrong)


def test_nothing_runs_after_the_executors_shutdown(loop):
    loop.run_until_complete(loop.shutdown_default_executor())
    with pytest.raises(
        RuntimeError, match="Executor shutdown has been called"
    ):
        loop.run_in_executor(None, print)


def test_the_shutdown_waits_for_running_functions(loop):
    release, ended = threading.Event(), []

    def work():
        release.wait(10)
        ended.append(1)

    async def main():
        loop.run_in_executor(None, work)
        loop.call_later(0.01, release.set)
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())
    assert ended == [1]


# 3.12.0 and 3.12.1 take the timeout and then wait without a limit.
TIMEOUT_WORKS = PY312 and "timeouts.timeout" in inspect.getsource(
    asyncio.BaseEventLoop.shutdown_default_executor
)


@pytest.mark.skipif(
    not TIMEOUT_WORKS, reason="the timeout works since 3.12.2 only"
)
def test_the_shutdown_gives_up_after_its_timeout(loop):
    release = threading.Event()

    async def main():
        loop.run_in_executor(None, release.wait, 30)
        with pytest.warns(RuntimeWarning, match="executor did not finish"):
            await loop.shutdown_default_executor(timeout=0.01)

    try:
        loop.run_until_complete(main())
    finally:
        release.set()
    assert release.is_set()


def test_a_closed_loop_takes_no_work(loop):
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.run_in_executor(None, print)


def test_results_of_many_functions_all_arrive(shut):
    async def main():
        futures = [
            shut.run_in_executor(None, lambda n=n: n) for n in range(500)
        ]
        return await asyncio.gather(*futures)

    assert shut.run_until_complete(main()) == list(range(500))


def test_cancelling_the_future_leaves_the_loop_usable(shut):
    release = threading.Event()

    async def main():
        future = shut.run_in_executor(None, release.wait, 30)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        release.set()
        return await shut.run_in_executor(None, lambda: "on")

    assert shut.run_until_complete(main()) == "on"


def test_to_thread_passes_context_and_keywords(shut):
    def work(*, key):
        return key, VAR.get()

    async def main():
        VAR.set("context")
        return await asyncio.to_thread(work, key=1)

    assert shut.run_until_complete(main()) == (1, "context")


def test_an_idle_loop_wakes_for_a_result(shut):
    """The result comes while nothing else would end the poll."""
    async def main():
        for _ in range(50):
            await asyncio.to_thread(lambda: None)
        return "woken"

    assert shut.run_until_complete(main()) == "woken"


def test_run_coroutine_threadsafe_answers_another_thread(loop):
    async def double(number):
        await asyncio.sleep(0)
        return 2 * number

    answers = []

    def ask():
        for number in range(50):
            answers.append(asyncio.run_coroutine_threadsafe(
                double(number), loop
            ).result(30))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=ask)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert answers == [2 * n for n in range(50)]


def test_a_failing_submit_is_heard_at_once(loop):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError):
        loop.run_in_executor(pool, print)
    run_turns(loop)
    assert not loop.is_running()
