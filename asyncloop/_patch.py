"""patch() and as_uvloop(): programs that name no loop, or another one.

What this process was told, its children of multiprocessing are told by the
first thing that they unpickle, whether they are spawned or come from a fork
server. Those that are forked need not be told.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from asyncloop import _compat, _core, _run
from asyncloop._version import __version__

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, TypeVar

    _T = TypeVar("_T")

# The release of uvloop whose names these are.
_UVLOOP = "0.23.0"

# What children have to be told: names of functions of this module.
_told: list[str] = []


def patch() -> None:
    """Make every loop of this process ours, and those of its children.

    asyncio.run, Runner, new_event_loop and get_event_loop then make loops of
    asyncloop wherever no other loop is named. `python -m asyncloop run` does
    this before it runs a program.
    """
    _compat.set_default_loop(_core.Loop)
    _tell_children("patch")


def as_uvloop() -> ModuleType:
    """Be the module `uvloop`, for tools that know no other loop's name.

    RuntimeError if the real one is imported already: who holds it would go
    on with it.
    """
    module = sys.modules.get("uvloop")
    if module is None:
        module = _make_uvloop()
        sys.modules["uvloop"] = module
        sys.modules["uvloop.loop"] = module.loop
    elif not hasattr(module, "__asyncloop__"):
        raise RuntimeError(
            "uvloop is imported already; call asyncloop.as_uvloop() before it"
        )
    _tell_children("as_uvloop")
    return module


def _make_uvloop() -> ModuleType:
    """The module, with uvloop's public names, none of which warns."""
    module: Any = _empty("uvloop", "asyncloop under the name of uvloop.")
    module.__path__ = []
    module.__version__ = _UVLOOP
    module.__asyncloop__ = __version__
    module.Loop = _core.Loop
    module.new_event_loop = _run.new_event_loop
    module.run = _run_awaitable
    module.__all__ = ("new_event_loop", "run")
    if _compat.HAS_POLICIES:
        from asyncloop import _policy

        module.install = _policy.install
        module.EventLoopPolicy = _core._event_loop_policy()
        module.__all__ += ("install", "EventLoopPolicy")
    module.loop = _empty("uvloop.loop", "The loop's class.")
    module.loop.Loop = _core.Loop
    return module  # type: ignore[no-any-return]


def _empty(name: str, doc: str) -> Any:
    """A module that importlib.util.find_spec finds, too."""
    module = ModuleType(name, doc)
    module.__spec__ = ModuleSpec(name, None, origin="asyncloop")
    return module


def _run_awaitable(
    main: Awaitable[_T],
    *,
    loop_factory: Callable[[], Any] | None = _run.new_event_loop,
    debug: bool | None = None,
) -> _T:
    """uvloop.run(), which takes any awaitable."""

    async def wait() -> _T:
        return await main

    return _run.run(
        wait(), loop_factory=loop_factory or _run.new_event_loop, debug=debug
    )


class _Order:
    """What a child is told; it obeys in unpickling it."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        return _obey, tuple(_told)


def _obey(*names: str) -> None:
    for name in names:
        globals()[name]()


def _tell_children(name: str) -> None:
    if not _told:
        from multiprocessing import spawn

        module: Any = spawn
        plain = spawn.get_preparation_data

        def get_preparation_data(name: str) -> dict[str, Any]:
            return {**plain(name), "asyncloop": _Order()}

        module.get_preparation_data = get_preparation_data
    if name not in _told:
        _told.append(name)
