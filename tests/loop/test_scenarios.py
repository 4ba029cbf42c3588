"""asyncio's own tools on the loop: same traces as on stock asyncio.

Each scenario is a coroutine function that appends to a trace.  It runs on the
loop under test and on stock asyncio, and both traces must be the same.
"""

import asyncio

import pytest

from support import loops

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


async def step(trace, name, count=1):
    for number in range(count):
        trace.append((name, number))
        await asyncio.sleep(0)
    return name


@scenario
async def gather_runs_all_at_once(trace):
    trace.append(await asyncio.gather(
        step(trace, "a", 3), step(trace, "b", 2), step(trace, "c", 1)
    ))


@scenario
async def gather_lets_the_first_exception_out(trace):
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("first")

    other = asyncio.create_task(step(trace, "other", 4))
    try:
        await asyncio.gather(fail(), other)
    except ValueError as error:
        trace.append(str(error))
    trace.append(await other)


@scenario
async def gather_returns_exceptions_when_asked(trace):
    async def fail():
        raise ValueError

    results = await asyncio.gather(
        fail(), step(trace, "a"), return_exceptions=True
    )
    trace.append([type(result).__name__ for result in results])


@scenario
async def cancelling_a_gather_cancels_its_children(trace):
    async def child(name):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            trace.append(name)
            raise

    outer = asyncio.gather(child("a"), child("b"))
    await asyncio.sleep(0)
    outer.cancel()
    try:
        await outer
    except asyncio.CancelledError:
        trace.append("cancelled")


@scenario
async def wait_returns_at_the_first_that_is_done(trace):
    slow = asyncio.create_task(asyncio.Event().wait())
    quick = asyncio.create_task(step(trace, "quick"))
    done, pending = await asyncio.wait(
        [slow, quick], return_when=asyncio.FIRST_COMPLETED
    )
    trace.append((done == {quick}, pending == {slow}))
    slow.cancel()
    await asyncio.wait([slow])
    trace.append(slow.cancelled())


@scenario
async def wait_gives_up_after_its_timeout(trace):
    task = asyncio.create_task(asyncio.Event().wait())
    done, pending = await asyncio.wait([task], timeout=0.01)
    trace.append((len(done), len(pending)))
    task.cancel()


@scenario
async def wait_for_times_out_and_cancels(trace):
    async def child():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            trace.append("cancelled")
            raise

    try:
        await asyncio.wait_for(child(), 0.01)
    except TimeoutError:
        trace.append("timed out")


@scenario
async def wait_for_passes_a_result_on(trace):
    trace.append(await asyncio.wait_for(step(trace, "in time", 3), 30))
    trace.append(await asyncio.wait_for(step(trace, "no limit"), None))


@scenario
async def wait_for_zero_does_not_start_what_is_not_done(trace):
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0)
    except TimeoutError:
        trace.append("timed out")


@scenario
async def shield_keeps_a_cancellation_away(trace):
    inner = asyncio.create_task(step(trace, "inner", 3))

    async def outer():
        await asyncio.shield(inner)

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        trace.append("outer cancelled")
    trace.append(await inner)


@scenario
async def as_completed_gives_the_quickest_first(trace):
    async def after(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    for future in asyncio.as_completed([after(5), after(1), after(3)]):
        trace.append(await future)


@scenario
async def timeout_cancels_its_body_and_only_that(trace):
    try:
        async with asyncio.timeout(0.01) as scope:
            await asyncio.sleep(100)
    except TimeoutError:
        trace.append(("expired", scope.expired()))
    trace.append(asyncio.current_task().cancelling())
    async with asyncio.timeout(None) as scope:
        scope.reschedule(asyncio.get_running_loop().time() + 50)
        await asyncio.sleep(0)
    trace.append(scope.expired())


@scenario
async def timeouts_nest(trace):
    try:
        async with asyncio.timeout(50):
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(100)
            except TimeoutError:
                trace.append("inner")
            await asyncio.sleep(0)
            trace.append("after")
    except TimeoutError:
        trace.append("outer")


@scenario
async def a_task_group_waits_for_its_tasks(trace):
    async with asyncio.TaskGroup() as group:
        a = group.create_task(step(trace, "a", 2))
        group.create_task(step(trace, "b", 3))
        trace.append("body")
    trace.append(a.result())


@scenario
async def a_task_group_cancels_the_others_when_one_fails(trace):
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("mine")

    cancelled = set()

    async def wait(name):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # A group keeps its tasks in a set: their order is by chance.
            cancelled.add(name)
            raise

    try:
        async with asyncio.TaskGroup() as group:
            for name in "xyz":
                group.create_task(wait(name))
            group.create_task(fail())
    except* ValueError as caught:
        trace.append([str(error) for error in caught.exceptions])
    trace.append(sorted(cancelled))


@scenario
async def a_task_group_in_a_timeout(trace):
    try:
        async with asyncio.timeout(0.01):
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.Event().wait())
    except TimeoutError:
        trace.append("timed out")


@scenario
async def a_semaphore_is_fair(trace):
    semaphore = asyncio.Semaphore(2)

    async def work(name):
        async with semaphore:
            trace.append(("in", name))
            await asyncio.sleep(0)
        trace.append(("out", name))

    await asyncio.gather(*(work(name) for name in "abcdef"))


@scenario
async def a_lock_is_handed_on_in_order(trace):
    lock = asyncio.Lock()

    async def work(name):
        async with lock:
            trace.append(name)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    trace.append(lock.locked())


@scenario
async def an_event_wakes_all_its_waiters(trace):
    event = asyncio.Event()

    async def wait(name):
        await event.wait()
        trace.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in "abc"]
    await asyncio.sleep(0)
    event.set()
    trace.append("set")
    await asyncio.gather(*tasks)


@scenario
async def a_condition_wakes_as_many_as_told(trace):
    condition = asyncio.Condition()

    async def wait(name):
        async with condition:
            await condition.wait()
            trace.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in "abc"]
    await asyncio.sleep(0)
    async with condition:
        condition.notify(2)
    for _ in range(10):
        await asyncio.sleep(0)
    trace.append("the rest")
    async with condition:
        condition.notify_all()
    await asyncio.gather(*tasks)


@scenario
async def a_barrier_lets_a_party_through(trace):
    barrier = asyncio.Barrier(3)

    async def arrive(name):
        index = await barrier.wait()
        trace.append((name, index))

    await asyncio.gather(*(arrive(name) for name in "abc"))


@scenario
async def a_bounded_queue_makes_its_producers_wait(trace):
    queue = asyncio.Queue(2)

    async def produce():
        for number in range(6):
            await queue.put(number)
            trace.append(("put", number))

    async def consume():
        for _ in range(6):
            trace.append(("got", await queue.get()))
            queue.task_done()

    await asyncio.gather(produce(), consume())
    await queue.join()


@scenario
async def a_task_may_swallow_its_cancellation(trace):
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            trace.append("swallowed")
        await asyncio.sleep(0)
        return "went on"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    trace.append(await task)
    trace.append(task.cancelled())


@scenario
async def done_callbacks_run_in_order(trace):
    future = asyncio.get_running_loop().create_future()
    for name in "abc":
        future.add_done_callback(lambda _, name=name: trace.append(name))
    future.set_result(None)
    trace.append("set")
    await asyncio.sleep(0)
    trace.append("after")


@scenario
async def a_future_wakes_its_waiters_in_order(trace):
    future = asyncio.get_running_loop().create_future()

    async def wait(name):
        trace.append((name, await future))

    tasks = [asyncio.create_task(wait(name)) for name in "abc"]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(trace.append, "before")
    future.set_result(1)
    asyncio.get_running_loop().call_soon(trace.append, "after")
    await asyncio.gather(*tasks)


@scenario
async def callbacks_and_tasks_mix_in_order(trace):
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(step(trace, "task", 2))
    loop.call_soon(trace.append, "soon")
    other = asyncio.create_task(step(trace, "other", 2))
    loop.call_soon(trace.append, "soon too")
    await asyncio.gather(task, other)


@scenario
async def cancelling_with_a_message_keeps_it(trace):
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel("because")
    try:
        await task
    except asyncio.CancelledError as error:
        trace.append(error.args)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_trace_is_that_of_asyncio(new_loop, name):
    traces = []
    for loop in (new_loop(), loops.new("asyncio")):
        traces.append([])
        try:
            loop.run_until_complete(SCENARIOS[name](traces[-1]))
        finally:
            loop.close()
    ours, theirs = traces
    assert ours == theirs and ours
