"""asyncio's event loop, in C over libuv.

    import asyncio, asyncloop
    asyncio.run(main(), loop_factory=asyncloop.new_event_loop)
"""

from __future__ import annotations

from importlib import import_module

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
    "open_connection",
    "open_unix_connection",
    "patch",
    "run",
    "start_server",
    "start_unix_server",
)

# What is imported when it is first asked for, since it takes time.
_LATE = {
    "Metrics": "_metrics",
    "ThreadPoolExecutor": "_executor",
    "as_uvloop": "_patch",
    "open_connection": "_streams",
    "open_unix_connection": "_streams",
    "patch": "_patch",
    "start_server": "_streams",
    "start_unix_server": "_streams",
}

if TYPE_CHECKING:
    from asyncloop._core import _EventLoopPolicy as EventLoopPolicy
    from asyncloop._executor import ThreadPoolExecutor
    from asyncloop._metrics import Metrics
    from asyncloop._patch import as_uvloop, patch
    from asyncloop._policy import install
    from asyncloop._streams import (
        open_connection, open_unix_connection, start_server,
        start_unix_server,
    )


def __getattr__(name: str) -> object:
    # Policies are deprecated from Python 3.14 on and gone in 3.16, so these
    # two exist only when asked for, and only where asyncio has them.
    if name in ("EventLoopPolicy", "install"):
        from asyncloop import _policy

        return _policy.lookup(name)
    if name in _LATE:
        return getattr(import_module(f"asyncloop.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
