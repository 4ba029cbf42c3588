"""What asyncio programs do, each writing down what happened in which order.

A scenario takes the function that notes a line of its trace.  Its lines may
not depend on the clock but through sleeps that are clearly apart.
"""

import asyncio
import functools
import sys

SCENARIOS = []
TICK = 0.02


def scenario(test):
    SCENARIOS.append(test)
    return test


async def work(note, name, ticks=0, result=None, error=None):
    note(f"{name} begins")
    try:
        await asyncio.sleep(ticks * TICK)
    except asyncio.CancelledError as cancelled:
        note(f"{name} cancelled {cancelled.args}")
        raise
    if error is not None:
        note(f"{name} raises")
        raise error
    note(f"{name} ends")
    return result


@scenario
async def gather(note):
    note(await asyncio.gather(
        work(note, "a", 3, 1), work(note, "b", 1, 2), work(note, "c", 2, 3)
    ))


@scenario
async def gather_that_fails(note):
    slow = asyncio.create_task(work(note, "slow", 3))
    try:
        await asyncio.gather(
            slow, work(note, "bad", 1, error=ValueError("first"))
        )
    except ValueError as error:
        note(f"{error!r} {slow.done()}")
    await slow


@scenario
async def gather_with_return_exceptions(note):
    note(await asyncio.gather(
        work(note, "a", 1, 1), work(note, "b", 2, error=KeyError("b")),
        return_exceptions=True,
    ))


@scenario
async def gather_that_is_cancelled(note):
    both = asyncio.gather(work(note, "a", 5), work(note, "b", 5))
    asyncio.get_running_loop().call_later(TICK, both.cancel, "stop")
    try:
        await both
    except asyncio.CancelledError as error:
        note(f"cancelled {error.args}")


async def wait_for_some(note, when):
    tasks = {
        name: asyncio.create_task(work(note, name, ticks, error=error))
        for name, ticks, error in (
            ("a", 1, None), ("b", 3, OSError("b")), ("c", 5, None)
        )
    }
    done, pending = await asyncio.wait(tasks.values(), return_when=when)
    note(sorted(name for name, task in tasks.items() if task in done))
    for task in tasks.values():
        if task in pending:
            task.cancel()
    note(await asyncio.gather(*tasks.values(), return_exceptions=True))


@scenario
async def wait_for_the_first(note):
    await wait_for_some(note, asyncio.FIRST_COMPLETED)


@scenario
async def wait_for_the_first_exception(note):
    await wait_for_some(note, asyncio.FIRST_EXCEPTION)


@scenario
async def wait_for_all(note):
    await wait_for_some(note, asyncio.ALL_COMPLETED)


@scenario
async def wait_with_a_timeout(note):
    task = asyncio.create_task(work(note, "a", 5))
    done, pending = await asyncio.wait([task], timeout=TICK)
    note(f"{len(done)} {len(pending)} {task.cancelled()}")
    await task


@scenario
async def wait_for(note):
    note(await asyncio.wait_for(work(note, "quick", 1, "result"), 20 * TICK))
    try:
        await asyncio.wait_for(work(note, "slow", 20), TICK)
    except TimeoutError as error:
        note(repr(error))
    try:
        await asyncio.wait_for(work(note, "never", 1), 0)
    except TimeoutError as error:
        note(repr(error))


def start(note, **ticks):
    """Tasks that begin in this order, which as_completed would not keep."""
    return [
        asyncio.create_task(work(note, name, count, name))
        for name, count in ticks.items()
    ]


@scenario
async def as_completed(note):
    for future in asyncio.as_completed(start(note, c=5, a=1, b=3)):
        note(await future)


@scenario
async def as_completed_with_a_timeout(note):
    tasks = start(note, a=1, b=30)
    for future in asyncio.as_completed(tasks, timeout=5 * TICK):
        try:
            note(await future)
        except TimeoutError:
            note("timeout")


@scenario
async def timeout(note):
    try:
        async with asyncio.timeout(TICK) as scope:
            await work(note, "inner", 20)
    except TimeoutError:
        note(f"expired {scope.expired()}")
    async with asyncio.timeout(None) as scope:
        scope.reschedule(asyncio.get_running_loop().time() + 20 * TICK)
        await work(note, "quick", 1)
    note(f"expired {scope.expired()}")


@scenario
async def nested_timeouts(note):
    try:
        async with asyncio.timeout(TICK):
            try:
                async with asyncio.timeout(20 * TICK):
                    await work(note, "inner", 40)
            except TimeoutError:
                note("the inner one")
    except TimeoutError:
        note("the outer one")
    note(asyncio.current_task().cancelling())


@scenario
async def task_group(note):
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(work(note, name, ticks, name))
            for name, ticks in (("a", 3), ("b", 1))
        ]
    note([task.result() for task in tasks])


@scenario
async def task_group_that_fails(note):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work(note, "bad", 1, error=ValueError("one")))
            group.create_task(work(note, "slow", 20))
            await work(note, "body", 20)
    except* ValueError as errors:
        note(errors.exceptions)
    note(asyncio.current_task().cancelling())


@scenario
async def nested_task_groups(note):
    try:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(work(note, "outer", 20))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(work(note, "inner", 20))
                inner.create_task(
                    work(note, "bad", 1, error=LookupError("inner"))
                )
    except* LookupError as errors:
        note(repr(errors))


@scenario
async def semaphore(note):
    two = asyncio.BoundedSemaphore(2)
    inside = 0

    async def enter(name):
        nonlocal inside
        async with two:
            inside += 1
            note(f"{name} is one of {inside}")
            # No timers: whether two end in one turn is a matter of time.
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter(name) for name in "abcdef"))
    try:
        two.release()
    except ValueError as error:
        note(repr(error))


@scenario
async def lock_is_fair(note):
    lock = asyncio.Lock()

    async def enter(name, cancelled=False):
        async with lock:
            note(f"{name} has it")
            await asyncio.sleep(0)

    await lock.acquire()
    tasks = [asyncio.create_task(enter(name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    lock.release()
    note(await asyncio.gather(*tasks, return_exceptions=True))


@scenario
async def event(note):
    ready = asyncio.Event()

    async def waits(name):
        note(f"{name} waits")
        await ready.wait()
        note(f"{name} goes on")

    tasks = [asyncio.create_task(waits(name)) for name in "abc"]
    await asyncio.sleep(0)
    ready.set()
    note(ready.is_set())
    await asyncio.gather(*tasks)


@scenario
async def condition(note):
    changed = asyncio.Condition()
    value = 0

    async def waits(name, wanted):
        async with changed:
            await changed.wait_for(lambda: value >= wanted)
            note(f"{name} saw {value}")

    tasks = [
        asyncio.create_task(waits(name, wanted))
        for name, wanted in (("three", 3), ("one", 1), ("two", 2))
    ]
    for _ in range(3):
        await asyncio.sleep(TICK)
        async with changed:
            value += 1
            changed.notify_all()
    await asyncio.gather(*tasks)


@scenario
async def barrier(note):
    meeting = asyncio.Barrier(3)

    async def comes(name):
        note(f"{name} comes")
        place = await meeting.wait()
        note(f"{name} was number {place}")

    await asyncio.gather(*(comes(name) for name in "abcdef"))
    late = asyncio.create_task(meeting.wait())
    await asyncio.sleep(0)
    await meeting.abort()
    note(await asyncio.gather(late, return_exceptions=True))


async def use_queue(note, queue, items):
    async def produce():
        for item in items:
            await queue.put(item)
            note(f"put {item}")

    async def consume(name):
        while True:
            item = await queue.get()
            note(f"{name} got {item}")
            await asyncio.sleep(0)
            queue.task_done()

    consumers = [asyncio.create_task(consume(name)) for name in ("x", "y")]
    await produce()
    await queue.join()
    for task in consumers:
        task.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    note(queue.empty())


@scenario
async def queue(note):
    await use_queue(note, asyncio.Queue(2), range(8))


@scenario
async def priority_queue(note):
    await use_queue(note, asyncio.PriorityQueue(), [5, 1, 4, 2, 3])


@scenario
async def lifo_queue(note):
    await use_queue(note, asyncio.LifoQueue(), range(5))


@scenario
async def queue_that_shuts_down(note):
    if not hasattr(asyncio.Queue, "shutdown"):
        note("not before 3.13")
        return
    line = asyncio.Queue(1)
    line.put_nowait("left")
    putter = asyncio.create_task(line.put("refused"))
    await asyncio.sleep(0)
    line.shutdown()
    note(await asyncio.gather(putter, return_exceptions=True))
    note(await line.get())
    note(await asyncio.gather(line.get(), return_exceptions=True))


@scenario
async def tasks_run_in_their_order(note):
    tasks = [
        asyncio.create_task(work(note, name), name=name) for name in "abc"
    ]
    note([task.get_name() for task in tasks])
    note("created")
    await asyncio.gather(*tasks)


@scenario
async def cancel_and_uncancel(note):
    async def stubborn():
        task = asyncio.current_task()
        for _ in range(2):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError as error:
                note(f"{error.args} {task.cancelling()} {task.uncancel()}")
        return "done"

    task = asyncio.create_task(stubborn())
    for message in ("one", "two"):
        await asyncio.sleep(0)
        note(task.cancel(message))
    note(await task)
    note(task.cancel())


@scenario
async def cancel_before_the_start(note):
    task = asyncio.create_task(work(note, "never"))
    task.cancel()
    note(await asyncio.gather(task, return_exceptions=True))


@scenario
async def shield(note):
    inner = asyncio.create_task(work(note, "inner", 3, "kept"))
    outer = asyncio.create_task(asyncio.wait_for(asyncio.shield(inner), TICK))
    try:
        await outer
    except TimeoutError:
        note("the outer one is gone")
    note(await inner)


class Resource:
    def __init__(self, note, name):
        self.note, self.name = note, name

    async def __aenter__(self):
        await asyncio.sleep(0)
        self.note(f"{self.name} opens")
        return self

    async def __aexit__(self, kind, error, traceback):
        await asyncio.sleep(0)
        self.note(f"{self.name} closes after {error!r}")
        return isinstance(error, ValueError)


@scenario
async def context_managers(note):
    async with Resource(note, "outer"), Resource(note, "inner"):
        raise ValueError("inside")
    note("swallowed")


class Countdown:
    def __init__(self, start):
        self.left = start

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left


@scenario
async def iterators(note):
    note([number async for number in Countdown(4) if number != 2])


async def numbers(note, name):
    try:
        for number in range(100):
            yield number
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)
        note(f"{name} is closed")


@scenario
async def generators(note):
    source = numbers(note, "left early")
    async for number in source:
        if number == 3:
            break
    note("left")
    await source.aclose()


# Kept until the loop is shut down, which has to close it.
KEPT = []


@scenario
async def generators_are_closed_at_the_end(note):
    KEPT.append(numbers(note, "forgotten"))
    note(await anext(KEPT[-1]))


@scenario
async def eager_tasks(note):
    if sys.version_info < (3, 12):
        note("not before 3.12")
        return
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)

    async def at_once():
        note("at once")
        return 1

    task = asyncio.create_task(at_once())
    note(task.done())
    later = asyncio.create_task(work(note, "later", 1))
    note("created")
    note([await task, await later])
    loop.set_task_factory(None)


@scenario
async def retry_with_back_off(note):
    attempts = 0

    async def flaky():
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise ConnectionError(f"attempt {attempts}")
        return "connected"

    for delay in (0.001, 0.002, 0.004, 0.008):
        try:
            note(await asyncio.wait_for(flaky(), 1))
            break
        except ConnectionError as error:
            note(repr(error))
            await asyncio.sleep(delay)


@scenario
async def batches(note):
    async def square(number):
        await asyncio.sleep(0)
        return number * number

    numbers = range(1000)
    total = 0
    for start in range(0, len(numbers), 100):
        batch = numbers[start:start + 100]
        total += sum(await asyncio.gather(*map(square, batch)))
    note(total)


@scenario
async def callbacks(note):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(3 * TICK, done.set_result, "timer")
    loop.call_later(TICK, note, "earlier timer")
    loop.call_soon(note, "soon")
    loop.call_soon_threadsafe(note, "threadsafe")
    cancelled = loop.call_soon(note, "never")
    cancelled.cancel()
    done.add_done_callback(lambda future: note(f"callback {future.result()}"))
    note(await done)


@scenario
async def exceptions_of_callbacks(note):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: note(repr(context["exception"]))
    )
    loop.call_soon(functools.partial(int, "x"))
    await asyncio.sleep(TICK)
    note("goes on")


@scenario
async def streams(note):
    async def answer(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        note("server closed")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname()
        )
        for word in (b"one\n", b"two\n"):
            writer.write(word)
            note(await reader.readline())
        writer.write_eof()
        note(await reader.read())
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(TICK)


@scenario
async def subprocesses(note):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )
    note(await process.communicate(b"abc\n"))
    note(process.returncode)


@scenario
async def threads(note):
    note(await asyncio.to_thread(sum, range(10)))
    loop = asyncio.get_running_loop()
    note(await loop.run_in_executor(None, max, 3, 9, 4))
    try:
        await asyncio.to_thread(int, "x")
    except ValueError as error:
        note(repr(error))
