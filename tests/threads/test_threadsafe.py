"""call_soon_threadsafe: nothing lost, nothing reordered, loop woken."""

import asyncio
import gc
import threading
import weakref

import pytest

from support.loops import run_turns, run_until


def run_threads(loop, count, work):
    """Start `count` threads on work(number) and run the loop until all
    have ended and what they scheduled has run."""
    def body(number):
        work(number)
        loop.call_soon_threadsafe(ended)

    def ended():
        nonlocal left
        left -= 1
        if not left:
            loop.stop()

    left = count
    threads = [
        threading.Thread(target=body, args=(n,)) for n in range(count)
    ]
    for thread in threads:
        loop.call_soon(thread.start)
    loop.run_forever()
    for thread in threads:
        thread.join()


def test_nothing_is_lost_and_each_threads_order_is_kept(loop):
    each = 5000
    got = [[] for _ in range(8)]

    def work(number):
        for item in range(each):
            loop.call_soon_threadsafe(got[number].append, item)

    run_threads(loop, 8, work)
    assert got == [list(range(each))] * 8


def test_threads_that_start_while_the_loop_is_idle_wake_it(loop):
    ran = []
    run_threads(
        loop, 1, lambda _: loop.call_soon_threadsafe(ran.append, 1)
    )
    assert ran == [1]


def test_an_idle_loop_is_woken_again_and_again(loop):
    """Ping-pong: each answer finds the loop asleep or falling asleep."""
    rounds = 2000
    done = threading.Semaphore(0)

    def work(_):
        for _ in range(rounds):
            loop.call_soon_threadsafe(done.release)
            assert done.acquire(timeout=30)

    run_threads(loop, 1, work)
    assert not done.acquire(blocking=False)


def test_many_threads_ping_an_idle_loop(loop):
    def work(_):
        answer = threading.Semaphore(0)
        for _ in range(300):
            loop.call_soon_threadsafe(answer.release)
            assert answer.acquire(timeout=30)

    finished = []
    run_threads(loop, 6, lambda n: (work(n), finished.append(n)))
    assert sorted(finished) == list(range(6))


def test_the_same_thread_may_call_it(loop):
    ran = []
    for number in range(10):
        loop.call_soon_threadsafe(ran.append, number)
    run_turns(loop, 2)
    assert ran == list(range(10))


def test_calls_of_the_loops_own_thread_keep_their_order_with_call_soon(
    loop
):
    ran = []

    def schedule():
        loop.call_soon(ran.append, 1)
        loop.call_soon_threadsafe(ran.append, 2)
        loop.call_soon(ran.append, 3)

    loop.call_soon(schedule)
    run_until(loop, lambda: len(ran) == 3)
    assert ran.index(1) < ran.index(3)
    assert sorted(ran) == [1, 2, 3]


def test_calls_made_before_the_run_wait_for_it(loop):
    ran = []
    thread = threading.Thread(
        target=lambda: [
            loop.call_soon_threadsafe(ran.append, n) for n in range(100)
        ]
    )
    thread.start()
    thread.join()
    run_turns(loop, 2)
    assert ran == list(range(100))


def test_stop_from_another_thread_ends_the_run(loop):
    thread = threading.Thread(
        target=lambda: loop.call_soon_threadsafe(loop.stop)
    )
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert not loop.is_running()


@pytest.mark.parametrize("count", [0, 1, 4, 5, 20])
def test_arguments_arrive_whole(loop, count):
    got = []
    run_threads(loop, 1, lambda _: loop.call_soon_threadsafe(
        lambda *args: got.append(args), *range(count)
    ))
    assert got == [tuple(range(count))]


def test_the_result_is_a_handle_that_can_be_cancelled(loop):
    ran = []
    handle = loop.call_soon_threadsafe(ran.append, 1)
    assert isinstance(handle, asyncio.Handle)
    handle.cancel()
    run_turns(loop, 2)
    assert handle.cancelled() and ran == []


def test_a_handle_may_be_cancelled_in_the_thread_that_made_it(loop):
    ran = []

    def work(_):
        for number in range(2000):
            handle = loop.call_soon_threadsafe(ran.append, number)
            if number % 2:
                handle.cancel()

    run_threads(loop, 4, work)
    # A cancel may come too late; what was not cancelled must have run.
    assert [n for n in range(0, 2000, 2) if ran.count(n) != 4] == []


def test_handles_dropped_in_other_threads_are_freed(loop):
    class Token:
        pass

    tokens = [Token() for _ in range(500)]
    dead = [weakref.ref(token) for token in tokens]

    def work(_):
        kept = [
            loop.call_soon_threadsafe(lambda own: None, token)
            for token in tokens
        ]
        del kept

    run_threads(loop, 2, work)
    tokens.clear()
    run_turns(loop, 2)
    gc.collect()
    assert [ref for ref in dead if ref() is not None] == []


def test_a_closed_loop_refuses_calls_of_other_threads(loop):
    loop.close()
    raised = []

    def work():
        try:
            loop.call_soon_threadsafe(print)
        except RuntimeError as error:
            raised.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert raised == ["Event loop is closed"]


def test_closing_while_threads_call_ends_in_errors_only(new_loop):
    """The race that every shutdown has."""
    for _ in range(20):
        loop = new_loop()
        started = threading.Barrier(3)
        surprises = []

        def work():
            started.wait()
            try:
                for _ in range(100_000):
                    loop.call_soon_threadsafe(int)
            except RuntimeError as error:
                if str(error) != "Event loop is closed":
                    surprises.append(error)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        started.wait()
        run_turns(loop, 3)
        loop.close()
        for thread in threads:
            thread.join()
        assert surprises == []


def test_loops_in_many_threads_do_not_disturb_one_another(new_loop):
    results = []

    async def main():
        total = 0
        for number in range(50):
            total += number
            await asyncio.sleep(0)
        return total

    def work():
        loop = new_loop()
        for _ in range(20):
            results.append(loop.run_until_complete(main()))
        loop.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1225] * 80


def test_two_loops_send_each_other_callbacks(new_loop):
    rounds = 500
    loops = [new_loop(), new_loop()]
    hits = []

    def hit(left, side):
        hits.append(left)
        if left:
            loops[1 - side].call_soon_threadsafe(hit, left - 1, 1 - side)
        else:
            for loop in loops:
                loop.call_soon_threadsafe(loop.stop)

    other = threading.Thread(target=loops[1].run_forever)
    loops[0].call_soon(hit, rounds, 0)
    other.start()
    loops[0].run_forever()
    other.join()
    assert hits == list(range(rounds, -1, -1))


def test_other_threads_run_while_the_loop_sleeps(loop):
    """The poll releases the interpreter's lock."""
    counted = []

    def work(_):
        counted.append(sum(range(200_000)))

    loop.call_later(0.01, lambda: None)
    run_threads(loop, 2, work)
    assert len(counted) == 2


def test_a_busy_thread_does_not_starve_the_loop(loop):
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        for _ in range(5):
            loop.run_until_complete(asyncio.sleep(0.001))
    finally:
        stop.set()
        thread.join()
    assert not thread.is_alive()
