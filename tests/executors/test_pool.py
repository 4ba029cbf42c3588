"""The thread pool on its own, with no loop."""

import concurrent.futures
import gc
import logging
import os
import queue
import sys
import threading
import time
import weakref

import pytest

from support.loops import PY313


class Expected(Exception):
    pass


def fail():
    raise Expected


def name():
    return threading.current_thread().name


def wait_until(test, seconds=10):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.001)


def test_it_is_a_thread_pool_executor(Pool):
    assert issubclass(Pool, concurrent.futures.ThreadPoolExecutor)


def test_submit_gives_a_concurrent_future(Pool):
    with Pool(1) as pool:
        future = pool.submit(lambda *a, **k: (a, k), 1, 2, key=3)
        assert isinstance(future, concurrent.futures.Future)
        assert future.result(10) == ((1, 2), {"key": 3})


def test_an_exception_is_the_futures(Pool):
    with Pool(1) as pool:
        with pytest.raises(Expected):
            pool.submit(fail).result(10)
        assert isinstance(pool.submit(sys.exit, 3).exception(10), SystemExit)
        assert pool.submit(int).result(10) == 0, "the worker goes on"


def test_map_keeps_the_order(Pool):
    with Pool(4) as pool:
        assert list(pool.map(abs, range(-50, 0))) == list(range(50, 0, -1))


def test_no_thread_before_the_first_function(Pool):
    before = threading.active_count()
    with Pool(4) as pool:
        assert threading.active_count() == before
        pool.submit(int).result(10)
        assert threading.active_count() == before + 1


def test_an_idle_thread_is_used_again(Pool):
    with Pool(8) as pool:
        for _ in range(50):
            pool.submit(int).result(10)
            # The result comes just before the worker is idle.
            time.sleep(0.001)
        assert len(pool._threads) <= 2


def test_threads_are_started_up_to_the_limit(Pool):
    barrier = threading.Barrier(4)
    with Pool(3) as pool:
        futures = [pool.submit(barrier.wait, 10) for _ in range(3)]
        wait_until(lambda: barrier.n_waiting == 3)
        last = pool.submit(int)
        assert len(pool._threads) == 3 and not last.done()
        barrier.wait(10)
        assert last.result(10) == 0
        concurrent.futures.wait(futures)


def test_functions_that_block_run_side_by_side(Pool):
    with Pool(6) as pool:
        barrier = threading.Barrier(6)
        for _ in range(20):
            futures = [pool.submit(barrier.wait, 10) for _ in range(6)]
            assert sorted(f.result(10) for f in futures) == list(range(6))


def test_the_default_size_is_the_standard_librarys(Pool):
    count = os.process_cpu_count() if PY313 else os.cpu_count()
    pool = Pool()
    assert pool._max_workers == min(32, (count or 1) + 4)
    assert Pool(None)._max_workers == pool._max_workers


@pytest.mark.parametrize("count", [0, -1])
def test_a_pool_needs_a_worker(Pool, count):
    with pytest.raises(
        ValueError, match="max_workers must be greater than 0"
    ):
        Pool(count)


def test_the_initializer_must_be_callable(Pool):
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Pool(initializer=3)


def test_threads_have_names(Pool):
    with Pool(1, "mine") as pool:
        assert pool.submit(name).result(10) == "mine_0"
    with Pool(1, thread_name_prefix="") as pool:
        assert pool.submit(name).result(10).startswith("ThreadPoolExecutor-")


def test_the_initializer_runs_in_each_thread(Pool):
    local = threading.local()
    ran = []

    def initialize(*args):
        local.value = args
        ran.append(threading.get_ident())

    barrier = threading.Barrier(3)

    def work():
        barrier.wait(10)
        return local.value, threading.get_ident()

    with Pool(3, initializer=initialize, initargs=(1, 2)) as pool:
        futures = [pool.submit(work) for _ in range(3)]
        values = [future.result(10) for future in futures]
    assert [value for value, _ in values] == [(1, 2)] * 3
    assert sorted(ident for _, ident in values) == sorted(ran)


def test_a_failing_initializer_breaks_the_pool(Pool, caplog):
    begin = threading.Event()

    def initialize():
        begin.wait(10)
        raise Expected

    pool = Pool(1, initializer=initialize)
    waiting = [pool.submit(int) for _ in range(3)]
    with caplog.at_level(logging.CRITICAL, "concurrent.futures"):
        begin.set()
        for future in waiting:
            with pytest.raises(concurrent.futures.thread.BrokenThreadPool):
                future.result(10)
    assert "Exception in initializer:" in caplog.text
    with pytest.raises(
        concurrent.futures.thread.BrokenThreadPool,
        match="A thread initializer failed",
    ):
        pool.submit(int)
    pool.shutdown()


def test_after_the_shutdown_nothing_is_taken(Pool):
    pool = Pool(1)
    assert pool.submit(int).result(10) == 0
    pool.shutdown()
    with pytest.raises(
        RuntimeError, match="cannot schedule new futures after shutdown"
    ):
        pool.submit(int)
    pool.shutdown()


def test_the_shutdown_waits_for_all_that_was_submitted(Pool):
    ran = []
    pool = Pool(2)
    for number in range(20):
        pool.submit(lambda n=number: (time.sleep(0.001), ran.append(n)))
    pool.shutdown()
    assert sorted(ran) == list(range(20))
    assert not any(thread.is_alive() for thread in pool._threads)


def test_a_shutdown_need_not_wait(Pool):
    release = threading.Event()
    pool = Pool(1)
    first, second = pool.submit(release.wait, 10), pool.submit(int)
    pool.shutdown(wait=False)
    assert not first.done()
    release.set()
    assert first.result(10) and second.result(10) == 0


def test_a_shutdown_can_cancel_what_waits(Pool):
    release, begun = threading.Event(), threading.Event()

    def work():
        begun.set()
        return release.wait(10)

    pool = Pool(1)
    running = pool.submit(work)
    waiting = [pool.submit(int) for _ in range(5)]
    begun.wait(10)
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    release.set()
    assert running.result(10)
    pool.shutdown()


def test_a_future_that_waits_can_be_cancelled(Pool):
    release, ran = threading.Event(), []
    with Pool(1) as pool:
        pool.submit(release.wait, 10)
        waiting = pool.submit(ran.append, 1)
        assert waiting.cancel()
        release.set()
    assert ran == []


def test_the_threads_leave_when_the_pool_is_collected(Pool):
    pool = Pool(3)
    barrier = threading.Barrier(3)
    concurrent.futures.wait([pool.submit(barrier.wait) for _ in range(3)])
    threads, seen = list(pool._threads), weakref.ref(pool)
    del pool
    gc.collect()
    assert seen() is None
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_nothing_of_a_function_stays_with_the_worker(Pool):
    class Thing:
        pass

    def work(thing):
        return Thing()

    with Pool(1) as pool:
        thing = Thing()
        future = pool.submit(work, thing)
        seen = [weakref.ref(thing), weakref.ref(future.result(10))]
        del thing, future
        wait_until(lambda: all(ref() is None for ref in seen))


def test_an_exception_makes_no_cycle(Pool):
    class Thing:
        pass

    with Pool(1) as pool:
        gc.collect()
        gc.disable()
        try:
            future = pool.submit(fail)
            error = future.exception(10)
            seen = weakref.ref(error)
            del error, future
            wait_until(lambda: seen() is None)
        finally:
            gc.enable()


def test_workers_are_ordinary_threads(Pool):
    with Pool(1, "seen") as pool:
        thread = pool.submit(threading.current_thread).result(10)
        assert type(thread) is threading.Thread
        assert thread in threading.enumerate()
        assert not thread.daemon


def test_thread_locals_last_as_long_as_the_thread(Pool):
    local = threading.local()

    def count():
        local.value = getattr(local, "value", 0) + 1
        return local.value

    with Pool(1) as pool:
        assert [pool.submit(count).result(10) for _ in range(5)] == [
            1, 2, 3, 4, 5
        ]


@pytest.mark.parametrize("which", ["settrace", "setprofile"])
def test_tracers_see_the_functions(Pool, which):
    seen = []

    def trace(frame, event, arg):
        if frame.f_code.co_name == "traced" and event == "call":
            seen.append(threading.current_thread().name)
        return None

    def traced():
        return 1

    getattr(threading, which)(trace)
    try:
        with Pool(1, "worker") as pool:
            assert pool.submit(traced).result(10) == 1
            assert pool.submit(traced).result(10) == 1
    finally:
        getattr(threading, which)(None)
    assert seen == ["worker_0"] * 2


def test_the_queue_can_be_counted(Pool):
    release = threading.Event()
    with Pool(1) as pool:
        busy = pool.submit(release.wait, 10)
        wait_until(busy.running)
        for _ in range(3):
            pool.submit(int)
        assert pool._work_queue.qsize() == 3
        assert not pool._work_queue.empty()
        release.set()
    with pytest.raises(queue.Empty):
        while True:
            pool._work_queue.get_nowait()


def test_many_threads_submit_to_one_pool(Pool):
    each = 500
    with Pool(4) as pool:
        results = [[] for _ in range(8)]

        def work(number):
            for item in range(each):
                results[number].append(pool.submit(abs, -item).result(30))

        threads = [
            threading.Thread(target=work, args=(n,)) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [list(range(each))] * 8


def test_a_pool_that_has_been_idle_wakes_up(Pool):
    with Pool(2) as pool:
        for _ in range(3):
            assert pool.submit(int).result(10) == 0
            time.sleep(0.02)  # the worker is past dozing


def test_functions_of_functions(Pool):
    with Pool(2) as pool:
        assert pool.submit(
            lambda: pool.submit(lambda: 5).result(10)
        ).result(10) == 5


def test_a_subclass_has_methods_of_its_own(Pool):
    class Counting(Pool):
        def __init__(self, *args):
            super().__init__(*args)
            self.count = 0

        def submit(self, fn, /, *args, **kwargs):
            self.count += 1
            return super().submit(fn, *args, **kwargs)

    with Counting(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        assert pool.count == 2
