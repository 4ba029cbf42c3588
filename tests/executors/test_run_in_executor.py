"""run_in_executor beyond loop/test_executor.py: who runs what, when, and what
becomes of it."""

import asyncio
import concurrent.futures
import contextvars
import gc
import sys
import threading
import time
import weakref

import pytest

from support import loops
from support.loops import PY312, collect_errors, run_turns

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="-")


class Expected(Exception):
    pass


def fail(error):
    raise error


def name():
    return threading.current_thread().name


def outcome(loop, function, *args):
    """What the future of a function ends with."""
    async def main():
        future = loop.run_in_executor(None, function, *args)
        await asyncio.wait([future], timeout=10)
        return future

    return loop.run_until_complete(main())


class Busy:
    """Holds the one worker of a pool until it is released."""

    def __init__(self, loop, pool):
        self.begun, self.release = threading.Event(), threading.Event()
        self.future = loop.run_in_executor(pool, self.work)
        assert self.begun.wait(10)

    def work(self):
        self.begun.set()
        return self.release.wait(20)


def test_the_default_executors_threads_are_called_asyncio(shut, Pool):
    async def main():
        return await shut.run_in_executor(None, name)

    assert shut.run_until_complete(main()) == "asyncio_0"
    assert isinstance(shut._default_executor, Pool)


def test_parameters_have_names(shut):
    future = shut.run_in_executor(executor=None, func=name)
    assert shut.run_until_complete(future) == "asyncio_0"
    assert shut.run_until_complete(
        shut.run_in_executor(None, func=name)
    ).startswith("asyncio_")


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
def test_any_number_of_arguments(shut, count):
    future = outcome(shut, lambda *args: args, *range(count))
    assert future.result() == tuple(range(count))


def test_bound_methods_and_types(shut):
    assert outcome(shut, [3, 1, 2].index, 1).result() == 1
    assert outcome(shut, dict, [(1, 2)]).result() == {1: 2}
    assert outcome(shut, "a-b".split, "-").result() == ["a", "b"]


def test_a_context_does_not_go_with_the_function(shut):
    async def main():
        VAR.set("set")
        return await shut.run_in_executor(None, VAR.get)

    assert shut.run_until_complete(main()) == "-"


def test_callbacks_of_the_future_run_in_their_own_context(shut):
    seen = []

    async def main():
        VAR.set("set")
        future = shut.run_in_executor(None, int)
        future.add_done_callback(lambda _: seen.append(VAR.get()))
        await future

    shut.run_until_complete(main())
    assert seen == ["set"]


@pytest.mark.native_only(reason="looks at the item in the queue")
def test_functions_go_past_submit(loop, Pool):
    with Pool(1) as pool:
        busy = Busy(loop, pool)
        waiting = loop.run_in_executor(pool, int)
        item = pool._work_queue.get_nowait()
        assert type(item).__name__ == "_WorkItem"
        assert item.future.cancel() and item.future.cancel()
        run_turns(loop, 2)
        assert waiting.cancelled()
        busy.release.set()
        loop.run_until_complete(busy.future)


# --- outcomes ---------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [Expected, SystemExit, KeyboardInterrupt, GeneratorExit, LookupError,
     # Which some versions of asyncio make anew.
     TimeoutError],
)
def test_any_exception_is_the_futures(shut, error):
    future = outcome(shut, fail, error(3, "text"))
    assert type(future.exception()) is error
    assert future.exception().args == (3, "text")


def test_asyncios_own_cancelled_error_cancels_nothing(shut):
    future = outcome(shut, fail, asyncio.CancelledError("x"))
    assert isinstance(future.exception(), asyncio.CancelledError)


@pytest.mark.parametrize("name", ["CancelledError", "InvalidStateError"])
def test_errors_of_concurrent_futures_become_asyncios(shut, name):
    error = getattr(concurrent.futures, name)("text")
    future = outcome(shut, fail, error)
    assert type(future.exception()) is getattr(asyncio, name)
    assert future.exception().args == ("text",)


def test_stop_iteration_cannot_be_raised_into_a_future(shut):
    errors = collect_errors(shut)

    async def main():
        future = shut.run_in_executor(None, next, iter([]))
        await asyncio.wait([future], timeout=0.5)
        return future

    future = shut.run_until_complete(main())
    if future.done():
        error = future.exception()
        assert isinstance(error, RuntimeError)
        assert isinstance(error.__cause__, StopIteration)
    else:
        # Up to some patch release the future stays as it is.
        assert not PY312 or sys.version_info < (3, 12, 2)
        assert isinstance(errors[0]["exception"], TypeError)
        future.cancel()
    assert "StopIteration interacts badly" in str(
        errors[0]["exception"] if errors else error
    )


def test_an_exception_that_nobody_takes_is_reported(shut):
    errors = collect_errors(shut)

    async def main():
        future = shut.run_in_executor(None, fail, Expected())
        await asyncio.wait([future])

    shut.run_until_complete(main())
    gc.collect()
    assert [str(e["message"]) for e in errors] == [
        "Future exception was never retrieved"
    ]


def test_a_future_that_was_filled_by_hand_keeps_its_result(shut):
    errors = collect_errors(shut)
    release = threading.Event()

    async def main():
        future = shut.run_in_executor(None, release.wait, 10)
        await asyncio.sleep(0.01)
        future.set_result("by hand")
        release.set()
        await shut.run_in_executor(None, int)
        await asyncio.sleep(0.01)
        return future

    assert shut.run_until_complete(main()).result() == "by hand"
    assert len(errors) == 1


# --- cancelling -------------------------------------------------------------


def test_a_queued_function_that_is_cancelled_never_runs(loop, Pool):
    ran = []
    with Pool(1) as pool:
        async def main():
            busy = Busy(loop, pool)
            futures = [
                loop.run_in_executor(pool, ran.append, n) for n in range(6)
            ]
            for future in futures[::2]:
                assert future.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            busy.release.set()
            await asyncio.wait(futures)
            return [future.cancelled() for future in futures]

        assert loop.run_until_complete(main()) == [True, False] * 3
    assert ran == [1, 3, 5]


@pytest.mark.native_only(
    reason="asyncio hands the cancellation on in the loop's next turn"
)
def test_a_cancelled_function_is_skipped_at_once(loop, Pool):
    ran = []
    with Pool(1) as pool:
        busy = Busy(loop, pool)
        future = loop.run_in_executor(pool, ran.append, 1)
        future.cancel()
        busy.release.set()
        # No turn of the loop: one more function tells that the queue moved.
        assert pool.submit(int).result(10) == 0
    assert ran == []


def test_cancelling_a_task_takes_its_function_out_of_the_queue(loop, Pool):
    ran = []
    with Pool(1) as pool:
        async def main():
            busy = Busy(loop, pool)

            async def wait():
                await loop.run_in_executor(pool, ran.append, 1)

            task = loop.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            busy.release.set()
            await busy.future

        loop.run_until_complete(main())
    assert ran == []


def test_a_running_function_that_is_cancelled_runs_on(loop, Pool):
    errors = collect_errors(loop)
    with Pool(1) as pool:
        async def main():
            busy = Busy(loop, pool)
            busy.future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await busy.future
            busy.release.set()
            return await loop.run_in_executor(pool, lambda: "next")

        assert loop.run_until_complete(main()) == "next"
        run_turns(loop, 3)
    assert errors == []


def test_a_timeout_gives_up_the_function_only(shut):
    release = threading.Event()

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(
                shut.run_in_executor(None, release.wait, 10), 0.01
            )
        release.set()
        return await shut.run_in_executor(None, lambda: "on")

    assert shut.run_until_complete(main()) == "on"


def test_a_shutdown_that_cancels_is_heard_by_the_loop(loop, Pool):
    pool = Pool(1)
    ran = []

    async def main():
        busy = Busy(loop, pool)
        futures = [
            loop.run_in_executor(pool, ran.append, n) for n in range(5)
        ]
        pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.wait(futures, timeout=10)
        assert all(future.cancelled() for future in futures)
        busy.release.set()
        assert await busy.future

    loop.run_until_complete(main())
    pool.shutdown()
    assert ran == []


def test_a_failing_initializer_is_heard_by_the_loop(loop, Pool, caplog):
    begin = threading.Event()

    def initialize():
        begin.wait(10)
        raise Expected

    pool = Pool(1, initializer=initialize)

    async def main():
        futures = [loop.run_in_executor(pool, int) for _ in range(3)]
        begin.set()
        await asyncio.wait(futures, timeout=10)
        return [type(future.exception()) for future in futures]

    broken = concurrent.futures.thread.BrokenThreadPool
    assert loop.run_until_complete(main()) == [broken] * 3
    with pytest.raises(broken, match="A thread initializer failed"):
        loop.run_in_executor(pool, int)
    pool.shutdown()


def test_a_pool_that_is_shut_down_takes_nothing(loop, Pool):
    pool = Pool(1)
    assert loop.run_until_complete(loop.run_in_executor(pool, int)) == 0
    pool.shutdown()
    with pytest.raises(
        RuntimeError, match="cannot schedule new futures after shutdown"
    ):
        loop.run_in_executor(pool, int)


# --- the loop's end -----------------------------------------------------------


def test_a_result_that_comes_after_the_close_is_dropped(loop, Pool):
    release, ended = threading.Event(), threading.Event()

    def work():
        release.wait(10)
        ended.set()
        return "late"

    with Pool(1) as pool:
        future = loop.run_in_executor(pool, work)
        future.cancel()
        run_turns(loop, 2)
        loop.close()
        release.set()
        assert ended.wait(10)
    assert future.cancelled()


def test_a_result_that_comes_between_two_runs_waits(loop, Pool):
    with Pool(1) as pool:
        future = loop.run_in_executor(pool, lambda: "kept")
        run_turns(loop)
    # All threads are gone.
    assert loop.run_until_complete(future) == "kept"


def test_a_function_that_was_only_queued_runs_without_the_loop(loop, Pool):
    ran = threading.Event()
    with Pool(1) as pool:
        async def main():
            await loop.run_in_executor(pool, int)  # the worker waits now
            loop.run_in_executor(pool, ran.set)

        loop.run_until_complete(main())
        assert ran.wait(10)


def test_a_loop_that_is_dropped_is_collected(new_loop, Pool, kind):
    pool = Pool(1)

    def body():
        loop = loops.new(kind)
        loop.run_until_complete(loop.run_in_executor(pool, int))
        loop.run_in_executor(pool, int)  # its result is never looked at
        loop.close()
        return weakref.ref(loop)

    seen = body()
    pool.shutdown()
    gc.collect()
    assert seen() is None


def test_nothing_of_a_call_is_kept(shut):
    class Thing:
        pass

    async def main():
        thing = Thing()
        seen = [weakref.ref(thing)]
        result = await shut.run_in_executor(None, lambda _: Thing(), thing)
        seen.append(weakref.ref(result))
        del thing, result
        await shut.run_in_executor(None, int)
        return seen

    seen = shut.run_until_complete(main())
    run_turns(shut)
    assert [ref() for ref in seen] == [None, None]


# --- order and waking ---------------------------------------------------------


@pytest.mark.native_only(
    reason="asyncio delivers at once what has ended before it looks"
)
def test_what_a_function_schedules_runs_before_its_result(shut):
    ran = []

    def work():
        shut.call_soon_threadsafe(ran.append, "call")

    async def main():
        for _ in range(200):
            await shut.run_in_executor(None, work)
            ran.append("result")

    shut.run_until_complete(main())
    assert ran == ["call", "result"] * 200


def test_functions_run_in_the_order_in_which_they_came(loop, Pool):
    ran = []
    with Pool(1) as pool:
        async def main():
            await asyncio.gather(*(
                loop.run_in_executor(pool, ran.append, n)
                for n in range(1000)
            ))

        loop.run_until_complete(main())
    assert ran == list(range(1000))


@pytest.mark.parametrize("pause", [0, 0.001, 0.02])
def test_a_callback_may_block_on_the_function_it_submitted(
    loop, Pool, pause
):
    """The worker spins, dozes, or sleeps when the work comes."""
    with Pool(2) as pool:
        async def main():
            for _ in range(10):
                await loop.run_in_executor(pool, int)
                time.sleep(pause)
                ran = threading.Event()
                future = loop.run_in_executor(pool, ran.set)
                assert ran.wait(10)
                await future

        loop.run_until_complete(main())


def test_a_busy_loop_gets_its_results(shut):
    async def spin():
        while True:
            await asyncio.sleep(0)

    async def main():
        busy = shut.create_task(spin())
        for number in range(5):
            assert await shut.run_in_executor(None, abs, -number) == number
        busy.cancel()

    shut.run_until_complete(main())


def test_functions_that_block_run_side_by_side(loop, Pool):
    with Pool(6) as pool:
        barrier = threading.Barrier(6)

        async def main():
            for _ in range(20):
                await asyncio.gather(*(
                    loop.run_in_executor(pool, barrier.wait, 20)
                    for _ in range(6)
                ))

        loop.run_until_complete(main())


def test_a_long_function_does_not_hold_up_results(loop, Pool):
    with Pool(2) as pool:
        async def main():
            busy = Busy(loop, pool)
            for number in range(100):
                assert await loop.run_in_executor(
                    pool, abs, -number
                ) == number
            busy.release.set()
            await busy.future

        loop.run_until_complete(main())


def test_timers_and_functions_go_together(shut):
    async def main():
        results = []
        for number in range(30):
            results.append(await shut.run_in_executor(None, abs, -number))
            await asyncio.sleep(0.0005)
        return results

    assert shut.run_until_complete(main()) == list(range(30))


def test_one_pool_serves_loops_in_many_threads(kind, Pool):
    results = {}

    def run(number, pool):
        async def main():
            loop = asyncio.get_running_loop()
            one_by_one = [
                await loop.run_in_executor(pool, abs, -n) for n in range(200)
            ]
            together = await asyncio.gather(*(
                loop.run_in_executor(pool, abs, -n) for n in range(200)
            ))
            return one_by_one == together == list(range(200))

        loop = loops.new(kind)
        results[number] = loop.run_until_complete(main())
        loop.close()

    with Pool(3) as pool:
        threads = [
            threading.Thread(target=run, args=(n, pool)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == dict.fromkeys(range(4), True)


def test_two_pools_in_turn(loop, Pool):
    with Pool(1, "a") as one, Pool(1, "b") as two:
        async def main():
            names = []
            for _ in range(50):
                names += await asyncio.gather(
                    loop.run_in_executor(one, name),
                    loop.run_in_executor(two, name),
                )
            return names

        assert loop.run_until_complete(main()) == ["a_0", "b_0"] * 50


@pytest.mark.parametrize("rounds", [
    1000, pytest.param(10_000, marks=pytest.mark.slow),
])
def test_no_wake_up_is_lost(kind, Pool, rounds):
    """Loops in eight threads, each waiting for each result, on few workers:
    whoever sleeps must be woken."""
    ended = []

    def run():
        async def main():
            loop = asyncio.get_running_loop()
            for number in range(rounds):
                if await loop.run_in_executor(pool, abs, -number) != number:
                    return
            ended.append(1)

        loop = loops.new(kind)
        loop.run_until_complete(main())
        loop.close()

    with Pool(3) as pool:
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ended == [1] * 8


# --- what may be replaced -------------------------------------------------------


def traced(original, seen):
    def submit(self, fn, /, *args, **kwargs):
        seen.append(fn)
        return original(self, fn, *args, **kwargs)

    return submit


def test_a_submit_replaced_on_the_class_is_used(loop, Pool, monkeypatch):
    seen = []
    monkeypatch.setattr(Pool, "submit", traced(Pool.submit, seen))
    with Pool(1) as pool:
        assert loop.run_until_complete(loop.run_in_executor(pool, int)) == 0
    assert seen == [int]


def test_a_submit_replaced_on_the_base_class_is_used(
    loop, Pool, monkeypatch
):
    """Tracers know concurrent.futures.ThreadPoolExecutor only."""
    base, seen = concurrent.futures.ThreadPoolExecutor, []
    with Pool(1) as pool:
        loop.run_until_complete(loop.run_in_executor(pool, int))
        with monkeypatch.context() as patch:
            patch.setattr(base, "submit", traced(base.submit, seen))
            loop.run_until_complete(loop.run_in_executor(pool, str))
        loop.run_until_complete(loop.run_in_executor(pool, list))
    assert seen == [str]


def test_a_submit_replaced_on_an_instance_is_used(loop, Pool):
    seen = []
    with Pool(1) as pool:
        original = pool.submit
        pool.submit = lambda *args: (seen.append(args), original(*args))[1]
        future = loop.run_in_executor(pool, abs, -1)
        assert loop.run_until_complete(future) == 1
    assert seen == [(abs, -1)]


def test_a_submit_of_a_subclass_is_used(loop, Pool):
    seen = []

    class Own(Pool):
        submit = traced(Pool.submit, seen)

    with Own(1) as pool:
        assert loop.run_until_complete(loop.run_in_executor(pool, int)) == 0
    assert seen == [int]


def test_an_executor_is_whatever_has_a_submit(loop):
    class Now:
        def submit(self, function, *args):
            future = concurrent.futures.Future()
            future.set_result(function(*args))
            return future

    future = loop.run_in_executor(Now(), abs, -3)
    assert loop.run_until_complete(future) == 3


def test_futures_of_the_loops_own_make_are_used(kind, Pool):
    class Own(asyncio.Future):
        pass

    class Loop(loops.loop_class(kind)):
        def create_future(self):
            return Own(loop=self)

    loop = Loop()
    with Pool(1) as pool:
        future = loop.run_in_executor(pool, abs, -1)
        assert type(future) is Own
        assert loop.run_until_complete(future) == 1
        failed = loop.run_in_executor(pool, fail, Expected())
        with pytest.raises(Expected):
            loop.run_until_complete(failed)
        busy = Busy(loop, pool)
        cancelled = loop.run_in_executor(pool, fail, Expected())
        cancelled.cancel()
        run_turns(loop, 2)
        busy.release.set()
        loop.run_until_complete(busy.future)
    loop.close()


def test_a_replaced_call_soon_threadsafe_is_used(loop, Pool):
    calls = []
    original = loop.call_soon_threadsafe

    def call(callback, *args, **kwargs):
        calls.append(callback)
        return original(callback, *args, **kwargs)

    with Pool(1) as pool:
        loop.call_soon_threadsafe = call
        assert loop.run_until_complete(loop.run_in_executor(pool, int)) == 0
        del loop.call_soon_threadsafe
    assert calls


@pytest.mark.parametrize("debug", [False, True])
def test_debug_mode_may_change_meanwhile(shut, debug):
    release = threading.Event()
    shut.set_debug(debug)

    async def main():
        future = shut.run_in_executor(None, release.wait, 10)
        shut.set_debug(not debug)
        release.set()
        return await future

    assert shut.run_until_complete(main()) is True


@pytest.mark.parametrize("args", [(), (None,)])
def test_a_function_is_needed(loop, args):
    with pytest.raises(TypeError, match="required"):
        loop.run_in_executor(*args)


def test_what_cannot_be_called_fails_in_the_future(shut):
    shut.set_debug(False)
    assert isinstance(outcome(shut, "text").exception(), TypeError)


# --- set_default_executor ---------------------------------------------------------


def test_a_pool_of_ones_own_as_default(shut, Pool):
    pool = Pool(1, "own")
    shut.set_default_executor(pool)

    async def main():
        return await asyncio.gather(
            shut.run_in_executor(None, name), asyncio.to_thread(name)
        )

    assert shut.run_until_complete(main()) == ["own_0"] * 2


# --- processes --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_pool_answers(child, method):
    out = child.succeed(f"""
        import concurrent.futures, multiprocessing, warnings
        warnings.simplefilter("ignore")

        async def main():
            loop = asyncio.get_running_loop()
            context = multiprocessing.get_context({method!r})
            with concurrent.futures.ProcessPoolExecutor(
                2, mp_context=context
            ) as pool:
                numbers = await asyncio.gather(*(
                    loop.run_in_executor(pool, abs, -n) for n in range(20)
                ))
                try:
                    await loop.run_in_executor(pool, int, "x")
                except ValueError as error:
                    print(error)
                broken = loop.run_in_executor(pool, os._exit, 1)
                try:
                    await broken
                except concurrent.futures.process.BrokenProcessPool:
                    print("broken")
            return sum(numbers)

        if __name__ == "__main__":
            loop = new_loop()
            print(loop.run_until_complete(main()))
            loop.close()
    """)
    assert out.split("\n")[1:] == ["broken", "190", ""]
