"""new_event_loop(), run() and build_info()."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from asyncloop import _core

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    _T = TypeVar("_T")


def new_event_loop() -> _core.Loop:
    """A new event loop; what `loop_factory` wants."""
    return _core.Loop()


def run(
    main: Coroutine[Any, Any, _T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = new_event_loop,
    debug: bool | None = None,
) -> _T:
    """asyncio.run(), on an asyncloop loop."""
    if asyncio._get_running_loop() is not None:
        main.close()
        raise RuntimeError(
            "asyncloop.run() cannot be called from a running event loop"
        )
    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)


def build_info() -> dict[str, Any]:
    """What this build is made of: for bug reports."""
    return _core._build_info()
