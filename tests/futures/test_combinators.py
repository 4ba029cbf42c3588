"""gather, wait, wait_for, shield, as_completed, timeout, groups, Runner."""

import asyncio

import pytest

from support import loops
from support.loops import PY313, collect_errors, run_turns


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(text, turns=0):
    await give(None, turns)
    raise LookupError(text)


def test_gather_keeps_the_order(loop):
    async def main():
        return await asyncio.gather(*(give(n, 9 - n) for n in range(10)))

    assert loop.run_until_complete(main()) == list(range(10))


def test_gather_of_the_same_task_twice(loop):
    async def main():
        task = asyncio.create_task(give(1))
        return await asyncio.gather(task, task, give(2))

    assert loop.run_until_complete(main()) == [1, 1, 2]


def test_gather_tells_the_first_error_and_the_rest_runs_on(loop):
    async def main():
        slow = asyncio.create_task(give("slow", 5))
        with pytest.raises(LookupError, match="first"):
            await asyncio.gather(slow, fail("first"), fail("second"))
        return await slow

    assert loop.run_until_complete(main()) == "slow"


def test_gather_with_the_errors_as_results(loop):
    async def main():
        task = asyncio.create_task(asyncio.sleep(60))
        loop.call_soon(task.cancel, "c")
        return await asyncio.gather(
            give(1), fail("x"), task, return_exceptions=True
        )

    results = loop.run_until_complete(main())
    assert results[0] == 1
    assert [type(r) for r in results[1:]] == [
        LookupError, asyncio.CancelledError
    ]


def test_cancelling_a_gather_cancels_its_tasks(loop):
    tasks = []

    async def main():
        tasks.extend(asyncio.create_task(asyncio.sleep(60)) for _ in range(3))
        await asyncio.gather(*tasks)

    task = loop.create_task(main())
    run_turns(loop, 2)
    task.cancel("all")
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert all(t.cancelled() for t in tasks)


@pytest.mark.parametrize("when, done", [
    (asyncio.FIRST_COMPLETED, {"a"}),
    (asyncio.FIRST_EXCEPTION, {"a", "b"}),
    (asyncio.ALL_COMPLETED, {"a", "b", "c"}),
])
def test_wait(loop, when, done):
    async def main():
        tasks = [
            asyncio.create_task(give(1, 1), name="a"),
            asyncio.create_task(fail("b", 3), name="b"),
            asyncio.create_task(give(3, 5), name="c"),
        ]
        finished, pending = await asyncio.wait(tasks, return_when=when)
        await asyncio.gather(*tasks, return_exceptions=True)
        return finished, pending

    finished, pending = loop.run_until_complete(main())
    assert {t.get_name() for t in finished} == done
    assert {t.get_name() for t in finished | pending} == {"a", "b", "c"}


def test_wait_with_a_timeout_that_has_expired(loop):
    async def main():
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(2)]
        done, pending = await asyncio.wait(tasks, timeout=0)
        for task in tasks:
            task.cancel()
        return len(done), len(pending)

    assert loop.run_until_complete(main()) == (0, 2)


@pytest.mark.parametrize("timeout", [None, 60])
def test_wait_for_in_time(loop, timeout):
    async def main():
        return await asyncio.wait_for(give(1, 2), timeout)

    assert loop.run_until_complete(main()) == 1


@pytest.mark.parametrize("timeout", [0, -1, 0.001])
def test_wait_for_too_late(loop, timeout):
    seen = []

    async def slow():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main():
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, timeout)
        return task.cancelled()

    assert loop.run_until_complete(main()) is True
    assert seen == ["cancelled"]


def test_wait_for_a_future_in_a_cancelled_task(loop):
    future = loop.create_future()

    async def main():
        await asyncio.wait_for(future, 60)

    task = loop.create_task(main())
    run_turns(loop)
    task.cancel("outer")
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert future.cancelled()


def test_shield_keeps_the_inner_task(loop):
    async def main():
        inner = asyncio.create_task(give("inner", 5))
        outer = asyncio.create_task(shielded(inner))
        await asyncio.sleep(0)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert not inner.done()
        return await inner

    async def shielded(inner):
        return await asyncio.shield(inner)

    assert loop.run_until_complete(main()) == "inner"


def test_shield_passes_results_and_errors(loop):
    async def main():
        assert await asyncio.shield(give(1, 1)) == 1
        with pytest.raises(LookupError, match="e"):
            await asyncio.shield(fail("e", 1))

    loop.run_until_complete(main())


def test_as_completed(loop):
    async def main():
        found = []
        for coming in asyncio.as_completed(
            [give("slow", 9), give("middle", 5), give("fast")]
        ):
            found.append(await coming)
        return found

    assert loop.run_until_complete(main()) == ["fast", "middle", "slow"]


@pytest.mark.skipif(not PY313, reason="as_completed is iterated since 3.13")
def test_as_completed_gives_the_tasks_themselves(loop):
    async def main():
        tasks = [asyncio.create_task(give(n, 5 - n)) for n in range(5)]
        found = [task async for task in asyncio.as_completed(tasks)]
        return found == tasks[::-1]

    assert loop.run_until_complete(main()) is True


def test_as_completed_too_late(loop):
    async def main():
        task = asyncio.create_task(asyncio.sleep(60))
        with pytest.raises(TimeoutError):
            for coming in asyncio.as_completed([task], timeout=0.001):
                await coming
        task.cancel()

    loop.run_until_complete(main())


def test_timeouts_nest_and_the_right_one_expires(loop):
    async def main():
        order = []
        try:
            async with asyncio.timeout(60) as outer:
                try:
                    async with asyncio.timeout(0) as inner:
                        await asyncio.sleep(60)
                except TimeoutError:
                    order.append("inner")
                await asyncio.sleep(0)
                outer.reschedule(loop.time() - 1)
                await asyncio.sleep(60)
        except TimeoutError:
            order.append("outer")
        assert inner.expired() and outer.expired()
        return order, asyncio.current_task().cancelling()

    assert loop.run_until_complete(main()) == (["inner", "outer"], 0)


def test_a_timeout_and_a_cancel_at_once(loop):
    async def main():
        async with asyncio.timeout(0):
            asyncio.current_task().cancel("mine")
            await asyncio.sleep(60)

    task = loop.create_task(main())
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert task.cancelled()


def test_a_group_waits_for_all(loop):
    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(give(n, n)) for n in range(10)]
        return [task.result() for task in tasks]

    assert loop.run_until_complete(main()) == list(range(10))


def test_a_group_cancels_the_rest_when_one_fails(loop):
    seen = []

    async def slow():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main():
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(slow())
            group.create_task(fail("one", 2))
            await asyncio.sleep(60)

    with pytest.raises(ExceptionGroup) as caught:
        loop.run_until_complete(main())
    assert [str(e) for e in caught.value.exceptions] == ["one"]
    assert seen == ["cancelled"] * 3


def test_a_group_cancelled_from_outside(loop):
    tasks = []

    async def main():
        async with asyncio.TaskGroup() as group:
            tasks.extend(
                group.create_task(asyncio.sleep(60)) for _ in range(3)
            )

    task = loop.create_task(main())
    run_turns(loop, 2)
    task.cancel("outside")
    with pytest.raises(asyncio.CancelledError, match="outside"):
        loop.run_until_complete(task)
    assert all(t.cancelled() for t in tasks)
    assert task.cancelling() == 1


def test_groups_nest(loop):
    async def main():
        seen = []
        try:
            async with asyncio.TaskGroup() as outer:
                outer.create_task(asyncio.sleep(60))
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(fail("deep"))
                    inner.create_task(asyncio.sleep(60))
        except* LookupError as group:
            seen.append(type(group.exceptions[0]))
        return seen, asyncio.current_task().cancelling()

    seen, requests = loop.run_until_complete(main())
    assert seen == [ExceptionGroup]
    # Before 3.13 a group forgets to take back a request it made.
    assert requests == (0 if PY313 else 1)


def test_queue_lock_event_condition_semaphore_barrier(loop):
    async def main():
        queue, lock = asyncio.Queue(2), asyncio.Lock()
        event, condition = asyncio.Event(), asyncio.Condition()
        semaphore, barrier = asyncio.Semaphore(2), asyncio.Barrier(3)
        order = []

        async def produce():
            for number in range(6):
                await queue.put(number)
            event.set()

        async def consume():
            for _ in range(6):
                async with semaphore, lock:
                    order.append(await queue.get())
            async with condition:
                condition.notify_all()

        async def watch():
            await event.wait()
            await barrier.wait()
            return "event"

        async def wait():
            async with condition:
                await condition.wait()
            await barrier.wait()
            return "condition"

        watching = [asyncio.create_task(f()) for f in (watch, wait)]
        await asyncio.sleep(0)
        await asyncio.gather(produce(), consume())
        await barrier.wait()
        return order, await asyncio.gather(*watching)

    assert loop.run_until_complete(main()) == (
        list(range(6)), ["event", "condition"]
    )


def test_a_runner_cancels_what_is_left(kind):
    seen = []

    async def lasting():
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(asyncio.current_task().cancelling())

    async def main():
        asyncio.create_task(lasting())
        await asyncio.sleep(0)
        return type(asyncio.current_task())

    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        assert runner.run(main()) is asyncio.Task
        assert seen == []
        assert runner.run(give(2)) == 2
    assert seen == [1]


def test_a_runner_reports_what_fails_while_it_is_cancelled(kind):
    errors = []

    async def wrong():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise LookupError("shutdown") from None

    async def main():
        errors.append(collect_errors(asyncio.get_running_loop()))
        errors.append(asyncio.create_task(wrong()))
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        runner.run(main())
    assert [str(c["exception"]) for c in errors[0]] == ["shutdown"]
