"""One asyncio program, run on stock asyncio and on asyncloop, timed.

    make demo

Each part is ordinary asyncio code that knows nothing of the loop below it.
The two loops take turns; each figure is the best of several rounds. Network
programs come with the parts of asyncloop that are about networks.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import asyncloop

PARTS: dict[str, Callable[[], Awaitable[int]]] = {}


def part(title: str):
    """Adds a coroutine function to the program; it returns a checksum."""

    def register(function):
        PARTS[title] = function
        return function

    return register


@part("20 000 callbacks, each scheduled by the one before")
async def callbacks() -> int:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def step(left: int) -> None:
        if left == 0:
            done.set_result(20_000)
        else:
            loop.call_soon(step, left - 1)

    loop.call_soon(step, 20_000)
    return await done


@part("a callback scheduled 50 000 times at once")
async def burst() -> int:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    for _ in range(50_000):
        loop.call_soon(tick)
    loop.call_soon(done.set_result, None)
    await done
    return count


@part("50 000 turns of one task: sleep(0)")
async def turns() -> int:
    for _ in range(50_000):
        await asyncio.sleep(0)
    return 50_000


@part("gather of 5 000 small coroutines")
async def gathered() -> int:
    async def small(number: int) -> int:
        await asyncio.sleep(0)
        return number

    return sum(await asyncio.gather(*map(small, range(5_000))))


@part("a task group of 5 000 tasks")
async def grouped() -> int:
    async def small(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(small(n)) for n in range(5_000)]
    return sum(task.result() for task in tasks)


@part("20 000 items through a Queue(10)")
async def queued() -> int:
    queue: asyncio.Queue[int] = asyncio.Queue(10)

    async def produce() -> None:
        for number in range(20_000):
            await queue.put(number)

    producer = asyncio.create_task(produce())
    total = 0
    for _ in range(20_000):
        total += await queue.get()
    await producer
    return total


@part("20 000 timers set and cancelled, as timeouts are")
async def timeouts() -> int:
    loop = asyncio.get_running_loop()
    cancelled = 0
    for _ in range(20_000):
        timer = loop.call_later(30, print, "never")
        timer.cancel()
        cancelled += timer.cancelled()
    await asyncio.sleep(0)
    return cancelled


@part("5 000 timers that are due within 5 ms")
async def timers() -> int:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    order: list[float] = []
    start = loop.time()
    for number in range(5_000):
        when = start + number * 7 % 5_000 / 1_000_000
        loop.call_at(when, order.append, when)
    loop.call_at(start + 0.006, done.set_result, None)
    await done
    assert order == sorted(order), "timers ran out of order"
    return len(order)


@part("2 000 sleeping tasks cancelled")
async def cancelled() -> int:
    async def sleep_long() -> None:
        await asyncio.sleep(3600)

    tasks = [asyncio.create_task(sleep_long()) for _ in range(2_000)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return sum(isinstance(r, asyncio.CancelledError) for r in results)


async def timed(function: Callable[[], Awaitable[int]]) -> tuple[int, float]:
    start = time.perf_counter()
    result = await function()
    return result, time.perf_counter() - start


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "asyncloop": asyncloop.new_event_loop,
}


def run_on(factory, function) -> tuple[int, float]:
    # Runner takes any loop factory, and so does asyncio.run from 3.12 on.
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(timed(function))


def compare(title: str, rounds: int) -> str:
    """A line of the table; both loops must compute the same."""
    best = dict.fromkeys(LOOPS, float("inf"))
    results = set()
    for number in range(rounds):
        names = list(LOOPS) if number % 2 else list(LOOPS)[::-1]
        for name in names:
            result, seconds = run_on(LOOPS[name], PARTS[title])
            results.add(result)
            best[name] = min(best[name], seconds)
    assert len(results) == 1, f"{title}: the loops disagree, {results}"
    ratio = best["asyncio"] / best["asyncloop"]
    return (
        f"{title:<52}{best['asyncio'] * 1000:8.1f} ms"
        f"{best['asyncloop'] * 1000:8.1f} ms{ratio:6.1f}x"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(
        f"Python {sys.version.split()[0]}, asyncloop {asyncloop.__version__},"
        f" libuv {asyncloop.libuv_version()}; best of {rounds} rounds"
    )
    print(f"{'':<52}{'asyncio':>11}{'asyncloop':>11}{'faster':>7}")
    for title in PARTS:
        print(compare(title, rounds), flush=True)


if __name__ == "__main__":
    main()
