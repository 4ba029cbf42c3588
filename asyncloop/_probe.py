"""Looks, at import, at how this interpreter's C tasks are built.

Two questions. What do they hand to call_soon: a stock task schedules its
steps as objects of a private type, and leaves a private C function with the
future it waits for. And are the fields of Future and Task where
src/futures/layout.h says: each is changed by asyncio's own methods and must
show in the raw memory, or native steps stay off.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    _Found = tuple[Any, Any, bool]

# For tests: "0" keeps asyncio's own steps although the layout is right.
SWITCH = "ASYNCLOOP_NATIVE_TASKS"


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
        pass


async def _wait(future: "asyncio.Future[None]") -> None:
    await future


def _callbacks(loop: Any) -> tuple[Any, Any]:
    """The step object of a stock task, and its wake-up function."""
    future: asyncio.Future[None] = asyncio.Future(loop=loop)
    task = asyncio.Task(_wait(future), loop=loop)
    step = loop.queued[0][0]
    loop.run_queued()
    waiting: Any = future._callbacks
    wakeup = waiting[0][0] if waiting else None
    future.set_result(None)
    loop.run_queued()
    task.result()
    return step, wakeup


class _Mismatch(Exception):
    pass


def _same(fields: dict[str, int], **expected: Any) -> None:
    """Objects are compared by address, numbers and flags by value."""
    for name, value in expected.items():
        if isinstance(value, (bool, int)):
            wanted = int(value)
        else:
            wanted = 0 if value is None else id(value)
        if fields.get(name) != wanted:
            raise _Mismatch(name)


class _Layout:
    """One check after the other, each on objects of its own."""

    def __init__(self, core: Any, loop: Any) -> None:
        self.core = core
        self.loop = loop

    def future(self) -> Any:
        return asyncio.Future(loop=self.loop)

    def task(self, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> Any:
        return asyncio.Task(coro, loop=self.loop, **kwargs)

    def raw(self, future: Any) -> dict[str, int]:
        return dict(self.core._peek_future(future))

    def check_future(self) -> None:
        future = self.future()
        _same(self.raw(future), loop=self.loop, state=0, blocking=False)
        future._asyncio_future_blocking = True
        _same(self.raw(future), blocking=True, log_tb=False)
        future._asyncio_future_blocking = False
        _same(self.raw(future), blocking=False)
        callback, context = object(), contextvars.Context()
        second = object()
        future.add_done_callback(callback, context=context)
        _same(self.raw(future), callback0=callback, context0=context)
        _same(self.raw(future), callbacks=None)
        future.add_done_callback(second)
        if not self.raw(future)["callbacks"]:
            raise _Mismatch("callbacks")
        self.loop.queued.clear()
        result = object()
        future.set_result(result)
        _same(self.raw(future), state=2, result=result, callback0=None)
        _same(self.raw(future), callbacks=None)
        self.loop.queued.clear()

    def check_errors(self) -> None:
        future, error = self.future(), ValueError()
        future.set_exception(error)
        _same(self.raw(future), state=2, exception=error, log_tb=True)
        future.exception()
        _same(self.raw(future), log_tb=False)
        future, message = self.future(), object()
        future.cancel(msg=message)
        _same(self.raw(future), state=1, cancel_msg=message)

    def check_task(self) -> None:
        future, context = self.future(), contextvars.Context()
        coro, name = _wait(future), "name of a task"
        task = self.task(coro, name=name, context=context)
        _same(self.raw(task), coro=coro, context=context, state=0)
        _same(self.raw(task), name=name, fut_waiter=None, num_cancels=0)
        _same(self.raw(task), must_cancel=False, log_destroy=True)
        task._log_destroy_pending = False
        _same(self.raw(task), log_destroy=False)
        task._log_destroy_pending = True
        step = self.core._peek_step(self.loop.queued[0][0])
        _same(step, task=task, arg=None)
        self.loop.run_queued()
        _same(self.raw(task), fut_waiter=future)
        self.check_awaited_by(future, task)
        task.cancel()
        _same(self.raw(task), num_cancels=1, must_cancel=False)
        self.loop.run_queued()
        cancelled = self.raw(task)
        _same(cancelled, state=1, fut_waiter=None)
        if not cancelled["cancelled_exc"]:
            raise _Mismatch("cancelled_exc")
        task = self.task(_wait(self.future()))
        task.cancel()
        _same(self.raw(task), must_cancel=True)
        self.loop.run_queued()

    def check_awaited_by(self, future: Any, task: Any) -> None:
        """3.14 and later; the list of tasks and the thread state as well."""
        fields, thread = self.raw(future), self.core._peek_thread()
        if not thread:
            return
        _same(fields, awaited_by=task, awaited_by_is_set=False)
        _same(fields, is_task=False)
        _same(self.raw(task), is_task=True)
        _same(thread, running_loop=self.loop, running_task=None)
        node = self.raw(task)
        # The newest task stands last in its thread's circular list.
        if (
            node["node_next"] != thread["tasks"]
            or thread["tasks_prev"] != node["node"]
        ):
            raise _Mismatch("node")
        asyncio.tasks._enter_task(self.loop, task)
        try:
            _same(self.core._peek_thread(), running_task=task)
        finally:
            asyncio.tasks._leave_task(self.loop, task)
        _same(self.core._peek_thread(), running_task=None)

    def is_right(self) -> bool:
        try:
            self.check_future()
            self.check_errors()
            self.check_task()
        except Exception:
            # A _Mismatch, or an asyncio that has changed more than that.
            return False
        return True


def _look(core: Any) -> _Found:
    loop: Any = _Recorder()
    asyncio._set_running_loop(loop)
    try:
        try:
            step, wakeup = _callbacks(loop)
        except Exception:
            return None, None, False
        wanted = os.environ.get(SWITCH, "1") != "0"
        return step, wakeup, wanted and _Layout(core, loop).is_right()
    finally:
        asyncio._set_running_loop(None)


def look(core: Any) -> _Found:
    """A stock step, a stock wake-up, and whether the layout is right."""
    if asyncio._get_running_loop() is None:
        return _look(core)
    # This thread runs a loop, perhaps a task: look in one that does not.
    found: list[_Found] = []
    thread = threading.Thread(target=lambda: found.append(_look(core)))
    thread.start()
    thread.join()
    return found[0] if found else (None, None, False)
