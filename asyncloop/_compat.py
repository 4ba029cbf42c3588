"""The differences between Python versions, for the package's Python half."""

from __future__ import annotations

import asyncio
import sys
import warnings
from asyncio import format_helpers, unix_events
from collections.abc import Callable

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HAS_POLICIES = sys.version_info < (3, 16)
POLICIES_ARE_DEPRECATED = sys.version_info >= (3, 14)
SERVER_KEEPS_ALIVE = sys.version_info >= (3, 13)
SERVER_REMOVES_SOCKET_FILE = sys.version_info >= (3, 13)
# _make_ssl_transport and its kin have the keyword `context`.
TRANSPORTS_TAKE_CONTEXT = sys.version_info >= (3, 15)
ASYNCIO_RESETS_AFTER_FORK = sys.version_info >= (3, 12)
# asyncio talks to what `with watcher` gives, and not to the watcher.
CHILD_WATCHER_IS_WHAT_ENTERS = sys.version_info < (3, 12)
# The interpreter gives a script the name __cached__.
SCRIPTS_HAVE_CACHED = sys.version_info < (3, 15)
# What _posixsubprocess.fork_exec is told last: whether to use vfork.
FORK_EXEC_CHOOSES_VFORK = (True,) if sys.version_info < (3, 14) else ()

_format_source: Any = format_helpers._format_callback_source

# Whether asyncio hides a callback's arguments outside debug mode came with a
# security fix that some patch releases have and others do not: ask it.
_FORMAT_TAKES_DEBUG = "debug" in (_format_source.__kwdefaults__ or ())


def describe_callback(
    callback: Callable[..., Any], args: tuple[Any, ...], debug: bool
) -> str:
    """What asyncio calls this callback in its messages."""
    if _FORMAT_TAKES_DEBUG:
        return str(_format_source(callback, args, debug=debug))
    return str(_format_source(callback, args))


def set_policy(policy: Any) -> None:
    """asyncio.set_event_loop_policy, without the warning of 3.14 and 3.15."""
    events: Any = asyncio.events
    if POLICIES_ARE_DEPRECATED:
        events._set_event_loop_policy(policy)
    else:
        asyncio.set_event_loop_policy(policy)


def set_default_loop(loop_class: type) -> None:
    """Every loop that asyncio makes where none is named is of this class.

    Not by a policy: the default one would be back after
    set_event_loop_policy(None), and asyncio warns of all others.
    """
    package: Any = asyncio
    if HAS_POLICIES:
        policy: Any = getattr(
            unix_events,
            "_DefaultEventLoopPolicy"
            if POLICIES_ARE_DEPRECATED
            else "DefaultEventLoopPolicy",
        )
        policy._loop_factory = loop_class
    else:
        package.new_event_loop = loop_class
        package.events.new_event_loop = loop_class
    if hasattr(package, "EventLoop"):
        # "The most efficient loop of this platform", says asyncio of it.
        package.EventLoop = loop_class


# Those that wait for one child each, for which there is no need.
_STOCK_CHILD_WATCHERS = tuple(
    getattr(unix_events, name)
    for name in (
        ("_PidfdChildWatcher", "_ThreadedChildWatcher")
        if POLICIES_ARE_DEPRECATED
        else ("PidfdChildWatcher", "ThreadedChildWatcher")
    )
)


def child_watcher_of_user(loop: Any) -> Any:
    """The watcher of child processes that a program has chosen, if it is not
    one of those that asyncio chooses itself."""
    if POLICIES_ARE_DEPRECATED:
        # No API is left; a context manager none of them has been since.
        return None
    policy: Any = asyncio.get_event_loop_policy()
    stock: Any = asyncio.DefaultEventLoopPolicy
    if type(policy).get_child_watcher is stock.get_child_watcher:
        watcher = getattr(policy, "_watcher", None)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            watcher = policy.get_child_watcher()
    return None if type(watcher) in _STOCK_CHILD_WATCHERS else watcher
