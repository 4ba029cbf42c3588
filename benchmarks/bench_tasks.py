"""Tasks and futures: what async/await code does all day."""

from __future__ import annotations

import asyncio

from registry import Goal, Loop, timed

MANY = 1000
SOME = 100


async def nothing() -> None:
    """A coroutine that never suspends."""


async def yield_often(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


@timed("sleep(0), one task", Goal("best rival", 1.2), Goal("uvloop", 4))
def sleep0(loop: Loop, n: int) -> None:
    loop.run_until_complete(yield_often(n))


@timed("sleep(0), 100 tasks", Goal("uvloop", 2.1), ops=SOME)
def sleep0_100(loop: Loop, n: int) -> None:
    async def main() -> None:
        tasks = [loop.create_task(yield_often(n)) for _ in range(SOME)]
        for task in tasks:
            await task

    loop.run_until_complete(main())


@timed("create_task + await", Goal("uvloop", 4.3))
def create_task(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            await loop.create_task(nothing())

    loop.run_until_complete(main())


@timed("create_future, call_soon(set_result), await", Goal("uvloop", 3.8))
def future(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            waiter = loop.create_future()
            loop.call_soon(waiter.set_result, None)
            await waiter

    loop.run_until_complete(main())


@timed("gather of 1000", Goal("uvloop", 1.8), ops=MANY)
def gather(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            await asyncio.gather(*[nothing() for _ in range(MANY)])

    loop.run_until_complete(main())


@timed("TaskGroup of 1000", Goal("uvloop", 1.8), ops=MANY)
def task_group(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            async with asyncio.TaskGroup() as group:
                for _ in range(MANY):
                    group.create_task(nothing())

    loop.run_until_complete(main())


@timed("Queue(10), producer and consumer", Goal("uvloop", 1.25))
def queue(loop: Loop, n: int) -> None:
    """Cost per item; the tasks switch every ten items."""

    async def main() -> None:
        items: asyncio.Queue[int] = asyncio.Queue(10)

        async def produce() -> None:
            for number in range(n):
                await items.put(number)

        async def consume() -> None:
            for _ in range(n):
                await items.get()

        producer = loop.create_task(produce())
        await consume()
        await producer

    loop.run_until_complete(main())


@timed("Event ping-pong of two tasks", Goal("uvloop", 3))
def event(loop: Loop, n: int) -> None:
    """Cost per round trip: two switches."""

    async def player(mine: asyncio.Event, other: asyncio.Event) -> None:
        for _ in range(n):
            await mine.wait()
            mine.clear()
            other.set()

    async def main() -> None:
        ping, pong = asyncio.Event(), asyncio.Event()
        first = loop.create_task(player(ping, pong))
        second = loop.create_task(player(pong, ping))
        ping.set()
        await first
        await second

    loop.run_until_complete(main())


@timed("wait_for", Goal("uvloop", 2))
def wait_for(loop: Loop, n: int) -> None:
    """Around sleep(0): without a suspension no loop would be involved."""

    async def main() -> None:
        for _ in range(n):
            await asyncio.wait_for(asyncio.sleep(0), 10)

    loop.run_until_complete(main())


@timed("asyncio.timeout around sleep(0)", Goal("uvloop", 1.9))
def timeout(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            async with asyncio.timeout(10):
                await asyncio.sleep(0)

    loop.run_until_complete(main())


@timed("cancel of 100 sleeping tasks", Goal("uvloop", 2.2), ops=SOME)
def cancel(loop: Loop, n: int) -> None:
    """Create, let them fall asleep, cancel, collect; cost per task."""

    async def main() -> None:
        for _ in range(n):
            tasks = [
                loop.create_task(asyncio.sleep(100)) for _ in range(SOME)
            ]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    loop.run_until_complete(main())
