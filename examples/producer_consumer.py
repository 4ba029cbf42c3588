"""Producers and consumers with a bounded queue between them.

    python examples/producer_consumer.py

Shows back-pressure: the queue is short, so that fast producers wait for slow
consumers; and an orderly end, with a sentinel for each consumer.
"""

import argparse
import asyncio
import random

import asyncloop

PRODUCERS = 3
CONSUMERS = 5
ITEMS = 200
ROOM = 10


async def produce(name: int, queue: asyncio.Queue) -> int:
    """The sum of what was put in."""
    total = 0
    for number in range(ITEMS):
        await queue.put((name, number))
        total += number
    return total


async def consume(queue: asyncio.Queue, longest: list[int]) -> int:
    """The sum of what was taken out."""
    total = 0
    while (item := await queue.get()) is not None:
        longest[0] = max(longest[0], queue.qsize())
        await asyncio.sleep(random.uniform(0, 0.002))
        total += item[1]
    return total


async def main() -> None:
    queue: asyncio.Queue = asyncio.Queue(ROOM)
    longest = [0]
    async with asyncio.TaskGroup() as group:
        consumers = [
            group.create_task(consume(queue, longest))
            for _ in range(CONSUMERS)
        ]
        produced = await asyncio.gather(
            *(produce(name, queue) for name in range(PRODUCERS))
        )
        for _ in consumers:
            await queue.put(None)
    consumed = [task.result() for task in consumers]
    assert sum(produced) == sum(consumed)
    print(f"{PRODUCERS * ITEMS} items, {PRODUCERS} producers,"
          f" {CONSUMERS} consumers; the queue never held more than"
          f" {longest[0]}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncloop.run(main())
