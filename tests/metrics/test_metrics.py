"""loop.metrics(): what is counted, and that it is counted right."""

import asyncio
import contextlib
import json
import time

import pytest

from support.loops import run_turns

pytestmark = pytest.mark.native_only(reason="asyncio counts nothing")


def spend(loop, coroutine):
    """The metrics before and after running the coroutine."""
    before = loop.metrics()
    loop.run_until_complete(coroutine)
    return before, loop.metrics()


def test_a_new_loop_has_counted_nothing(loop):
    metrics = loop.metrics()
    assert metrics.iterations == 0
    assert metrics.callbacks_run == 0
    assert metrics.timers_scheduled == 0
    assert metrics.timers_cancelled == 0
    assert metrics.task_switches.count == 0
    assert metrics.time_waiting == 0
    assert metrics.time_active == 0


def test_callbacks_are_counted(loop):
    before = loop.metrics()
    for _ in range(100):
        loop.call_soon(int)
    run_turns(loop)
    ran = loop.metrics().callbacks_run - before.callbacks_run
    # The callback that stops the run is the hundred and first.
    assert ran == 101


def test_cancelled_callbacks_are_not_counted_as_run(loop):
    for _ in range(100):
        loop.call_soon(int).cancel()
    run_turns(loop)
    assert loop.metrics().callbacks_run == 1


def test_iterations_are_counted(loop):
    before = loop.metrics().iterations
    run_turns(loop, 10)
    assert 10 <= loop.metrics().iterations - before <= 20


def test_timers_are_counted_when_made_and_when_cancelled(loop):
    timers = [loop.call_later(100, int) for _ in range(10)]
    for timer in timers[:4]:
        timer.cancel()
        timer.cancel()
    metrics = loop.metrics()
    assert (metrics.timers_scheduled, metrics.timers_cancelled) == (10, 4)


def test_task_switches_are_counted(loop):
    async def main():
        for _ in range(100):
            await asyncio.sleep(0)

    before, after = spend(loop, main())
    switches = after.task_switches.count - before.task_switches.count
    assert switches == 101
    assert after.task_switches.per_second > 0


class Rubbish:
    def __await__(self):
        yield "no future"


def test_steps_that_throw_are_counted_too(loop):
    async def main():
        with contextlib.suppress(RuntimeError):
            await Rubbish()

    before, after = spend(loop, main())
    assert after.task_switches.count - before.task_switches.count == 2


def test_plain_callbacks_are_no_task_switches(loop):
    for _ in range(100):
        loop.call_soon(int)
    run_turns(loop)
    assert loop.metrics().task_switches.count == 0


def test_the_queues_length_is_seen_now_and_at_its_longest(loop):
    for _ in range(250):
        loop.call_soon(int)
    assert loop.metrics().queue_length.now == 250
    run_turns(loop)
    queue = loop.metrics().queue_length
    assert queue.now == 0
    assert queue.max == 251
    assert 0 < queue.mean <= 251


def test_waiting_and_working_are_told_apart(loop):
    async def main():
        await asyncio.sleep(0.05)
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass

    start = time.monotonic()
    before, after = spend(loop, main())
    took = time.monotonic() - start
    waited = after.time_waiting - before.time_waiting
    worked = after.time_active - before.time_active
    assert waited >= 0.04 and worked >= 0.04
    assert waited + worked <= took + 0.01


def test_the_latency_of_a_loaded_loop_is_seen(loop):
    """Callbacks of a quarter millisecond, ten at a time: each round waits."""
    def work():
        end = time.monotonic() + 0.0005
        while time.monotonic() < end:
            pass

    async def main():
        for _ in range(300):
            for _ in range(4):
                loop.call_soon(work)
            await asyncio.sleep(0)

    _, after = spend(loop, main())
    latency = after.loop_latency
    assert latency.samples > 0
    assert latency.max > 0.0002
    assert 0 <= latency.p50 <= latency.p90 <= latency.p99
    assert 0 < latency.mean <= latency.max
    assert latency.p50 <= latency.max * 1.2


def test_a_snapshot_does_not_change(loop):
    snapshot = loop.metrics()
    run_turns(loop, 5)
    assert snapshot.iterations == 0
    with pytest.raises(AttributeError):
        snapshot.iterations = 5


NAMES = {
    "loop_latency": {"mean", "p50", "p90", "p99", "max"},
    "queue_length": {"now", "mean", "max"},
    "task_switches": {"count", "per_second"},
}
PLAIN = {
    "iterations", "callbacks_run", "timers_scheduled", "timers_cancelled",
    "time_waiting", "time_active",
}


def test_as_dict_holds_every_name(loop):
    run_turns(loop)
    found = loop.metrics().as_dict()
    assert PLAIN | set(NAMES) <= set(found)
    for name, parts in NAMES.items():
        assert parts <= set(found[name])


def test_as_dict_and_the_attributes_agree(loop):
    run_turns(loop, 3)
    metrics = loop.metrics()
    found = metrics.as_dict()
    for name in PLAIN:
        assert found[name] == getattr(metrics, name)
    for name, parts in NAMES.items():
        for part in parts:
            assert found[name][part] == getattr(getattr(metrics, name), part)


def test_as_dict_can_be_written_as_json(loop):
    run_turns(loop, 3)
    found = loop.metrics().as_dict()
    assert json.loads(json.dumps(found)) == found


def test_metrics_can_be_read_in_a_callback(loop):
    seen = []
    loop.call_soon(lambda: seen.append(loop.metrics()))
    run_turns(loop)
    assert seen[0].iterations >= 1


def test_metrics_of_a_closed_loop_can_still_be_read(loop):
    run_turns(loop, 3)
    loop.close()
    assert loop.metrics().iterations >= 3


def test_each_loop_counts_for_itself(new_loop):
    one, other = new_loop(), new_loop()
    run_turns(one, 5)
    assert other.metrics().iterations == 0
    assert one.metrics().iterations >= 5


def test_callbacks_of_other_threads_are_counted(loop):
    import threading

    def work():
        for _ in range(100):
            loop.call_soon_threadsafe(int)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=work)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert loop.metrics().callbacks_run == 102


def test_timers_that_fire_count_as_callbacks(loop):
    for _ in range(10):
        loop.call_later(0, int)
    run_turns(loop, 2)
    assert loop.metrics().callbacks_run == 12
