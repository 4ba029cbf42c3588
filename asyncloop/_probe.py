"""Finds, at import, what asyncio's C tasks hand to call_soon.

A stock task schedules its steps as objects of a private type, and leaves a
private C function with the future it waits for. The core counts task
switches by them. Neither has a public name, so one task is looked at, on a
loop that only records.
"""

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

_Callbacks = tuple[Callable[..., Any] | None, Callable[..., Any] | None]


class _Recorder:
    """As much of a loop as a task needs for one step."""

    def __init__(self) -> None:
        self.queued: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> None:
        self.queued.append((callback, args))

    def run_queued(self) -> None:
        while self.queued:
            callback, args = self.queued.pop(0)
            callback(*args)

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise AssertionError(context)


class _Wait:
    def __init__(self, future: "asyncio.Future[None]") -> None:
        self.future = future

    def __await__(self) -> Generator[Any, None, None]:
        yield from self.future.__await__()


async def _wait(future: "asyncio.Future[None]") -> None:
    await _Wait(future)


def _look() -> _Callbacks:
    loop: Any = _Recorder()
    future: asyncio.Future[None] = asyncio.Future(loop=loop)
    task = asyncio.Task(_wait(future), loop=loop)
    step = loop.queued[0][0]
    asyncio._set_running_loop(loop)
    try:
        loop.run_queued()
        waiting: Any = future._callbacks  # type: ignore[attr-defined]
        wakeup = waiting[0][0] if waiting else None
        future.set_result(None)
        loop.run_queued()
        task.result()
    finally:
        asyncio._set_running_loop(None)
    return step, wakeup


def task_callbacks() -> _Callbacks:
    """The step object of a stock task, and its wake-up function."""
    found: list[_Callbacks] = []
    # In a thread of its own: this one may be running a loop and a task.
    thread = threading.Thread(target=lambda: found.append(_look()))
    thread.start()
    thread.join()
    return found[0] if found else (None, None)
