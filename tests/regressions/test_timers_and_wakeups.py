"""Symptoms that users of other event loops have reported, kept away.

Each test is named by its symptom; all of them were real bugs somewhere.
"""

import asyncio
import gc
import os
import socket
import threading
import time
import warnings

import pytest

from support.loops import run_turns, run_until


def test_a_timeout_does_not_fire_before_its_time(loop):
    """Millisecond clocks made asyncio.timeout expire early."""
    async def main():
        early = []
        for delay in (0.0004, 0.0011, 0.0019, 0.0025) * 5:
            start = loop.time()
            try:
                async with asyncio.timeout(delay):
                    await asyncio.sleep(10)
            except TimeoutError:
                if loop.time() - start < delay:
                    early.append(delay)
        return early

    assert loop.run_until_complete(main()) == []


def test_the_clock_is_not_stale_after_a_long_callback(loop):
    """A cached clock made the next timer early by that callback's time."""
    fired = []

    def slow():
        time.sleep(0.03)
        start = time.monotonic()
        loop.call_later(
            0.02, lambda: fired.append(time.monotonic() - start)
        )

    loop.call_soon(slow)
    run_until(loop, lambda: bool(fired))
    assert fired[0] >= 0.02


def test_call_later_zero_gives_a_timer_handle(loop):
    handle = loop.call_later(0, int)
    assert isinstance(handle, asyncio.TimerHandle)
    assert handle.when() <= loop.time()
    handle.cancel()


def test_a_far_timer_does_not_overflow_and_fire_at_once(loop):
    ran = []
    for days in (25, 50, 400, 4000, 40_000):
        loop.call_later(days * 86_400, ran.append, days)
    run_turns(loop, 5)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert ran == []


def test_a_wakeup_at_the_instant_of_sleep_is_not_lost(loop):
    """The inbox fills between the last look and the poll."""
    rounds = 3000
    hits = []
    go = threading.Semaphore(0)

    def work():
        for number in range(rounds):
            go.acquire()
            loop.call_soon_threadsafe(hit, number)

    def hit(number):
        hits.append(number)
        if number == rounds - 1:
            loop.stop()
        else:
            go.release()

    thread = threading.Thread(target=work)
    thread.start()
    loop.call_soon(go.release)
    loop.run_forever()
    thread.join()
    assert hits == list(range(rounds))


def test_the_loop_does_not_end_while_threads_still_owe_callbacks(loop):
    async def main():
        future = loop.create_future()
        threading.Timer(
            0.02, loop.call_soon_threadsafe, (future.set_result, "late")
        ).start()
        return await future

    assert loop.run_until_complete(main()) == "late"


def test_a_cancelled_timer_lets_go_of_a_large_argument(loop):
    import weakref

    class Large(bytearray):
        pass

    large = Large(1 << 20)
    dead = weakref.ref(large)
    timer = loop.call_later(3600, len, large)
    del large
    timer.cancel()
    assert dead() is None


def test_loops_made_and_dropped_in_turn_do_not_mix_their_descriptors(kind):
    """A recycled epoll number once carried events of the loop before."""
    from support import loops

    for _ in range(100):
        loop = loops.new(kind)
        ours, theirs = socket.socketpair()
        loop.add_reader(ours, loop.stop)
        theirs.send(b"x")
        loop.run_forever()
        loop.close()
        ours.close()
        theirs.close()
    gc.collect()
    assert loop.is_closed()


def test_many_refused_connections_do_not_spin(loop):
    """Waiting for many connects once took a whole processor."""
    async def refused():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = probe.getsockname()
        with socket.socket() as sock:
            sock.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(sock, address)

    async def main():
        await asyncio.gather(*(refused() for _ in range(50)))
        return "refused"

    assert loop.run_until_complete(main()) == "refused"


def test_a_task_that_is_cancelled_while_it_reads_leaves_no_error(loop):
    """The reader's callback met a future that was cancelled already."""
    from support.loops import collect_errors

    errors = collect_errors(loop)

    async def main():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            for _ in range(30):
                task = asyncio.create_task(loop.sock_recv(ours, 10))
                await asyncio.sleep(0)
                theirs.send(b"x")
                task.cancel()
                await asyncio.wait([task])
                if task.cancelled():
                    ours.recv(10)
        return errors

    assert loop.run_until_complete(main()) == []


def test_closing_a_loop_with_a_pending_task_does_not_crash_at_exit(child):
    done = child.run("""
        import logging
        logging.disable()
        loop = new_loop()
        async def forever():
            await loop.create_future()
        task = loop.create_task(forever())
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        print("closed")
    """)
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr


def test_standard_input_is_left_blocking(child):
    """A loop that left O_NONBLOCK on a terminal broke the shell."""
    controller, terminal = os.openpty()
    try:
        import subprocess

        command, environment = child._command("""
            loop = new_loop()
            loop.add_reader(0, int)
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.remove_reader(0)
            loop.close()
        """, (), {})
        done = subprocess.run(
            command, env=environment, stdin=terminal, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        assert done.returncode == 0, done.stderr
        assert os.get_blocking(terminal) is True
    finally:
        os.close(controller)
        os.close(terminal)


def test_interrupts_are_not_swallowed_by_gather(loop):
    async def fail():
        raise KeyboardInterrupt

    async def main():
        await asyncio.gather(fail(), asyncio.sleep(10))

    caught = 0
    task = loop.create_task(main())
    while not task.done():
        try:
            loop.run_until_complete(task)
        except KeyboardInterrupt:
            caught += 1
    # Out of the child's step, and again out of that of its parent.
    assert caught >= 1
    assert isinstance(task.exception(), KeyboardInterrupt)
    for left in asyncio.all_tasks(loop):
        left.cancel()
    run_turns(loop, 3)
    assert asyncio.all_tasks(loop) == set()


def test_run_until_complete_stops_only_for_its_own_future(loop):
    """A leftover done-callback of an earlier run ended a later one."""
    slow = loop.create_task(asyncio.sleep(0.02, "slow"))
    assert loop.run_until_complete(asyncio.sleep(0.001, "quick")) == "quick"
    assert loop.run_until_complete(slow) == "slow"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loop.run_until_complete(asyncio.sleep(0.03, "on")) == "on"


def test_a_future_done_within_the_first_turn_ends_the_run(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    loop.call_later(1000, int)
    assert loop.run_until_complete(future) == 1
