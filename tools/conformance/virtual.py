"""The suite's virtual-time loop, rebuilt on the loop under test.

Tests of tasks and timeouts drive a loop whose clock is moved by a
generator: it receives the deadline of each new timer and answers with how
far time advances. The suite's own class derives from asyncio's loop and
hooks its private turn. Here the hook is a callback of ours that is queued
with the first timer of a turn, so time moves in the turn after.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

TimeGenerator = Generator[float, float, None]


def _no_advance() -> TimeGenerator:
    yield


def virtual_loop_class(loop: type) -> type:
    class VirtualLoop(loop):
        """`loop` with a clock that only a generator moves."""

        def __init__(
            self, gen: Callable[[], TimeGenerator] | None = None
        ) -> None:
            super().__init__()
            self._check_finished = gen is not None
            self._advances = (gen or _no_advance)()
            next(self._advances)
            self._now = 0
            self._deadlines: list[float] = []
            self._armed = False

        def time(self) -> float:
            return self._now

        def advance_time(self, advance: float) -> None:
            if advance:
                self._now += advance

        def call_later(
            self,
            delay: float,
            callback: Callable[..., Any],
            *args: Any,
            context: Any = None,
        ) -> Any:
            when = self.time() + delay
            return self.call_at(when, callback, *args, context=context)

        def call_at(
            self,
            when: float,
            callback: Callable[..., Any],
            *args: Any,
            context: Any = None,
        ) -> Any:
            handle = super().call_at(when, callback, *args, context=context)
            self._deadlines.append(when)
            if not self._armed:
                self._armed = True
                super().call_soon(self._advance)
            return handle

        def _advance(self) -> None:
            self._armed = False
            deadlines, self._deadlines = self._deadlines, []
            for when in deadlines:
                self.advance_time(self._advances.send(when))

        # The suite's loop moves time at the end of each turn, the one that
        # stops included; a queued callback does not run in that one.

        def run_forever(self) -> None:
            try:
                super().run_forever()
            finally:
                self._advance()

        def run_until_complete(self, future: Any) -> Any:
            try:
                return super().run_until_complete(future)
            finally:
                self._advance()

        def close(self) -> None:
            super().close()
            if not self._check_finished:
                return
            self._check_finished = False
            try:
                self._advances.send(0)
            except StopIteration:
                return
            raise AssertionError("the time generator is not finished")

    return VirtualLoop
