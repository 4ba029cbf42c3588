"""The C half. Loop is typed by hand; what it shares with
asyncio.AbstractEventLoop is inherited from there."""

import asyncio
import contextvars
import selectors
import weakref
from collections.abc import Callable
from typing import Any, final
from typing_extensions import TypeVarTuple, Unpack

from asyncloop._metrics import Metrics

_Ts = TypeVarTuple("_Ts")

class Handle(asyncio.Handle): ...

@final
class TimerHandle(asyncio.TimerHandle): ...

class LoopCore:
    slow_callback_duration: float
    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle: ...

class Loop(LoopCore, asyncio.AbstractEventLoop):
    def metrics(self) -> Metrics: ...

def libuv_version() -> str: ...
def _build_info() -> dict[str, Any]: ...
def _event_loop_policy() -> type: ...
