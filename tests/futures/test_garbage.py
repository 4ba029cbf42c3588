"""The collector at every step, finalizers, cycles, and nothing left over."""

import asyncio
import collections
import gc
import sys
import weakref

import pytest

from support.loops import collect_errors, run_turns


async def give(value):
    return value


async def wait(future):
    return await future


class Node:
    """Something that can be in a cycle and be watched."""


@pytest.fixture(autouse=True)
def no_debug(loop):
    """Debug mode keeps a traceback for each future: other garbage."""
    loop.set_debug(False)


@pytest.fixture
def eager_collector():
    """The collector runs at (nearly) each allocation."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


async def busy(turns=3):
    """A bit of everything."""
    loop = asyncio.get_running_loop()

    async def child(number):
        await asyncio.sleep(0)
        if number % 3 == 0:
            raise LookupError(number)
        return number

    for _ in range(turns):
        future = loop.create_future()
        loop.call_soon(future.set_result, [])
        waiting = asyncio.create_task(wait(future))
        cancelled = asyncio.create_task(asyncio.sleep(60))
        await asyncio.gather(*map(child, range(6)), return_exceptions=True)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await waiting
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError:
            pass
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
    return "done"


def test_everything_with_the_collector_at_each_allocation(
    loop, eager_collector
):
    assert loop.run_until_complete(busy()) == "done"


def test_everything_with_a_collection_between_steps(loop):
    def collect():
        gc.collect()
        counts.append(len(asyncio.all_tasks(loop)))
        if not task.done():
            loop.call_soon(collect)

    counts = []
    task = loop.create_task(busy(2))
    loop.call_soon(collect)
    assert loop.run_until_complete(task) == "done"
    assert counts


def test_a_collection_within_each_step(loop):
    async def collecting(future):
        gc.collect()
        await asyncio.sleep(0)
        gc.collect()
        try:
            return await future
        finally:
            gc.collect()

    async def main():
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        return await asyncio.gather(*(collecting(future) for _ in range(3)))

    assert loop.run_until_complete(main()) == [1, 1, 1]


def test_a_future_completed_from_a_finalizer(loop):
    future = loop.create_future()

    class Completes:
        def __del__(self):
            future.set_result("finalized")

    async def main():
        thing = Completes()
        task = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        del thing
        return await task

    assert loop.run_until_complete(main()) == "finalized"


def test_a_future_completed_by_the_collector(loop):
    future = loop.create_future()

    class Completes:
        def __init__(self):
            self.me = self

        def __del__(self):
            future.set_result("collected")

    async def main():
        task = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        Completes()
        gc.collect()
        return await task

    assert loop.run_until_complete(main()) == "collected"


def test_a_finalizer_that_cancels_and_makes_tasks(loop):
    made = []

    class Works:
        def __del__(self):
            victim.cancel("finalizer")
            made.append(loop.create_task(give("made")))

    async def sleeper():
        await asyncio.sleep(60)

    victim = loop.create_task(sleeper())

    async def main():
        await asyncio.sleep(0)
        return Works()

    async def outer():
        await asyncio.create_task(main())
        await asyncio.wait([victim])
        return await made[0]

    assert loop.run_until_complete(outer()) == "made"
    assert victim.cancelled()


def test_the_result_of_a_dropped_task_goes_with_it(loop):
    ref = []

    async def main():
        node = Node()
        ref.append(weakref.ref(node))
        return node

    task = loop.create_task(main())
    run_turns(loop)
    assert ref[0]() is task.result()
    del task
    run_turns(loop)
    assert ref[0]() is None


def test_a_task_keeps_itself_only_while_it_is_ready(loop):
    errors = collect_errors(loop)
    steps = []

    async def main():
        for number in range(3):
            steps.append(number)
            await asyncio.sleep(0)

    loop.create_task(main())
    gc.collect()
    run_turns(loop, 5)
    assert steps == [0, 1, 2] and errors == []


def test_a_future_in_a_cycle_with_its_callback(loop):
    node = Node()
    node.future = loop.create_future()
    node.future.add_done_callback(lambda _: node)
    ref, node = weakref.ref(node), None
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("steps", [0, 1])
def test_a_pending_task_in_a_cycle(loop, steps):
    loop.set_exception_handler(lambda *_: None)

    async def main(node):
        node.future = loop.create_future()
        await node.future

    node = Node()
    node.task = loop.create_task(main(node))
    run_turns(loop, steps + 1)
    ref, node = weakref.ref(node), None
    gc.collect()
    assert ref() is None
    assert asyncio.all_tasks(loop) == set()


def test_a_done_task_in_a_cycle(loop):
    async def main(node):
        await asyncio.sleep(0)
        return node

    node = Node()
    node.task = loop.create_task(main(node))
    loop.run_until_complete(node.task)
    run_turns(loop)
    ref, node = weakref.ref(node), None
    gc.collect()
    assert ref() is None


def test_a_failed_task_in_a_cycle(loop):
    async def main(node):
        await asyncio.sleep(0)
        raise LookupError(node)

    node = Node()
    node.task = loop.create_task(main(node))
    loop.run_until_complete(asyncio.wait([node.task]))
    assert isinstance(node.task.exception(), LookupError)
    ref, node = weakref.ref(node), None
    run_turns(loop)
    gc.collect()
    assert ref() is None


def test_a_cycle_of_tasks_that_wait_for_each_other(loop):
    errors = collect_errors(loop)
    tasks = []

    async def main(tasks, number):
        await tasks[number]

    tasks += [loop.create_task(main(tasks, 1)),
              loop.create_task(main(tasks, 0))]
    refs = [weakref.ref(task) for task in tasks]
    run_turns(loop, 2)
    del tasks
    gc.collect()
    assert [c["message"] for c in errors] == [
        "Task was destroyed but it is pending!"
    ] * 2
    del errors[:]
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_a_loop_in_a_cycle_with_its_tasks_is_collected(new_loop):
    def make():
        loop = new_loop()
        loop.set_exception_handler(lambda *_: None)
        node.future = loop.create_future()
        node.task = loop.create_task(wait(node.future))
        run_turns(loop)
        loop.close()

    node = Node()
    make()
    refs = [weakref.ref(node.task), weakref.ref(node.future)]
    node = None
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_the_collector_sees_what_a_pending_task_refers_to(loop):
    future = loop.create_future()
    task = loop.create_task(wait(future))
    run_turns(loop)
    seen = gc.get_referents(task)
    assert future in seen and task.get_coro() in seen
    assert any(thing is loop for thing in seen)
    [(wakeup, _)] = future._callbacks
    assert task in gc.get_referents(wakeup) or gc.is_tracked(wakeup)
    assert gc.is_tracked(task) and gc.is_tracked(future)
    future.set_result(None)
    loop.run_until_complete(task)


def blocks(work, rounds):
    """How many blocks `rounds` of work leave behind, at best of three."""
    best = None
    for _ in range(3):
        gc.collect()
        before = sys.getallocatedblocks()
        work(rounds)
        gc.collect()
        grown = sys.getallocatedblocks() - before
        best = grown if best is None else min(best, grown)
    return best


async def many_tasks(count):
    for _ in range(count):
        await asyncio.create_task(give(None))


async def many_futures(count):
    loop = asyncio.get_running_loop()
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


async def many_cancels(count):
    for _ in range(count // 100):
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(100)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def many_errors(count):
    async def fail():
        raise LookupError

    for _ in range(count):
        try:
            await asyncio.create_task(fail())
        except LookupError:
            pass


async def many_steps(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def many_refused(count):
    for _ in range(count):
        try:
            await Refused()
        except RuntimeError:
            pass


class Refused:
    def __await__(self):
        yield self


async def many_lost(count):
    """Destroyed while they wait."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    for _ in range(count):
        loop.create_task(wait(loop.create_future()))
        await asyncio.sleep(0)


WORK = {
    many_tasks: 100_000, many_futures: 100_000, many_cancels: 100_000,
    many_steps: 100_000, many_errors: 20_000, many_refused: 20_000,
    many_lost: 5_000,
}


@pytest.mark.native_only(reason="stock asyncio's blocks are not our affair")
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_no_block_is_left_behind(loop, work):
    def run(count):
        loop.run_until_complete(work(count))
        run_turns(loop)

    count = WORK[work]
    run(2000)
    assert blocks(run, count) < 300


def test_the_reference_counts_of_shared_objects_stay(loop):
    shared = [None, type(loop), asyncio.Task, asyncio.Future, give]

    def run(count):
        loop.run_until_complete(many_tasks(count))
        loop.run_until_complete(many_futures(count))

    run(100)
    before = [sys.getrefcount(thing) for thing in shared]
    run(5000)
    gc.collect()
    after = [sys.getrefcount(thing) for thing in shared]
    grown = collections.Counter(
        {repr(s): a - b for s, a, b in zip(shared, after, before)}
    )
    assert max(grown.values()) < 1000, grown
