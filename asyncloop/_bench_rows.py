"""What `python -m asyncloop bench` measures, and the process that does it.

    python -m asyncloop._bench_rows LOOP SECONDS

writes a line of JSON for each row: its name and the CPU time of an operation
in microseconds. A row is a coroutine function that does n operations. They
are a few of those in benchmarks/, which has the thorough ones.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asyncloop import new_event_loop

Row = Callable[[int], Awaitable[None]]

# Shorter parts would be as long as the clock's steps.
PART_SECONDS = 0.01
MESSAGE = b"x" * 1024
CONNECTIONS = 10


async def call_soon(n: int) -> None:
    loop = asyncio.get_running_loop()
    for left in range(n, 0, -1000):
        for _ in range(min(left, 1000)):
            loop.call_soon(nothing)
        await asyncio.sleep(0)


async def timers(n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        loop.call_later(100, nothing).cancel()


async def sleep(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def tasks(n: int) -> None:
    for _ in range(n):
        await asyncio.create_task(nothing_async())


async def gather(n: int) -> None:
    for _ in range(0, n, 100):
        await asyncio.gather(*[nothing_async() for _ in range(100)])


async def queue(n: int) -> None:
    items: asyncio.Queue[int] = asyncio.Queue(10)

    async def produce() -> None:
        for number in range(n):
            await items.put(number)

    producer = asyncio.create_task(produce())
    for _ in range(n):
        await items.get()
    await producer


async def threadsafe(n: int) -> None:
    loop = asyncio.get_running_loop()

    def schedule() -> None:
        for _ in range(n):
            loop.call_soon_threadsafe(nothing)

    await asyncio.to_thread(schedule)


async def executor(n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        await loop.run_in_executor(None, nothing)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Load(Echo):
    """Sends a message when the one before is back."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.missing = len(MESSAGE)
        self.done: asyncio.Future[None] = (
            asyncio.get_running_loop().create_future()
        )

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing > 0:
            return
        self.left -= 1
        if self.left <= 0:
            self.transport.close()
        else:
            self.missing = len(MESSAGE)
            self.transport.write(MESSAGE)

    def connection_lost(self, error: Exception | None) -> None:
        self.done.set_result(None)


async def protocol(n: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = []
    for _ in range(CONNECTIONS):
        transport, client = await loop.create_connection(
            lambda: Load(n // CONNECTIONS), *address
        )
        clients.append(client.done)
        transport.write(MESSAGE)
    await asyncio.gather(*clients)
    server.close()
    await server.wait_closed()


async def streams(n: int) -> None:
    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def ask(times: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(times):
            writer.write(MESSAGE)
            await reader.readexactly(len(MESSAGE))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    asks = [ask(n // CONNECTIONS) for _ in range(CONNECTIONS)]
    await asyncio.gather(*asks)
    server.close()
    await server.wait_closed()


def nothing() -> None:
    pass


async def nothing_async() -> None:
    pass


ROWS: dict[str, Row] = {
    "call_soon": call_soon,
    "call_later and cancel": timers,
    "sleep(0)": sleep,
    "create_task and await": tasks,
    "gather, each of 100": gather,
    "an item through a Queue": queue,
    "call_soon_threadsafe": threadsafe,
    "run_in_executor": executor,
    "1 KiB there and back, Protocol": protocol,
    "1 KiB there and back, streams": streams,
}


async def measure(function: Row, seconds: float) -> float:
    """The CPU time of an operation, of the fastest part of several."""
    end = time.perf_counter() + seconds
    n, spent = 100, 0.0
    while spent < PART_SECONDS:
        n = n * 2
        spent = await cpu_time(function, n)
    least = spent
    while time.perf_counter() < end:
        least = min(least, await cpu_time(function, n))
    return least / n * 1e6


async def cpu_time(function: Row, n: int) -> float:
    start = time.process_time()
    await function(n)
    return time.process_time() - start


def factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    if name == "asyncloop":
        return new_event_loop
    import importlib

    module: Any = importlib.import_module(name)
    return module.new_event_loop  # type: ignore[no-any-return]


def main(name: str, seconds: float) -> None:
    with asyncio.Runner(loop_factory=factory(name), debug=False) as runner:
        for title, function in ROWS.items():
            value = runner.run(measure(function, seconds))
            print(json.dumps([title, value]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
