"""asyncio's event loop, in C over libuv.

    import asyncio, asyncloop
    asyncio.run(main(), loop_factory=asyncloop.new_event_loop)
"""

from __future__ import annotations

from asyncloop._core import Loop, libuv_version
from asyncloop._run import build_info, new_event_loop, run
from asyncloop._version import __version__

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False

__all__ = (
    "EventLoopPolicy",
    "Loop",
    "Metrics",
    "ThreadPoolExecutor",
    "__version__",
    "as_uvloop",
    "build_info",
    "install",
    "libuv_version",
    "new_event_loop",
    "patch",
    "run",
)

if TYPE_CHECKING:
    from asyncloop._core import _EventLoopPolicy as EventLoopPolicy
    from asyncloop._executor import ThreadPoolExecutor
    from asyncloop._metrics import Metrics
    from asyncloop._patch import as_uvloop, patch
    from asyncloop._policy import install


def __getattr__(name: str) -> object:
    if name == "Metrics":
        from asyncloop import _metrics

        return _metrics.Metrics
    # Policies are deprecated from Python 3.14 on and gone in 3.16, so these
    # two exist only when asked for, and only where asyncio has them.
    if name in ("EventLoopPolicy", "install"):
        from asyncloop import _policy

        return _policy.lookup(name)
    if name in ("as_uvloop", "patch"):
        from asyncloop import _patch

        return getattr(_patch, name)
    # What the executor stands on takes time to import.
    if name == "ThreadPoolExecutor":
        from asyncloop import _executor

        return _executor.ThreadPoolExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
