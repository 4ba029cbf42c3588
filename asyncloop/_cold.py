"""The methods of Loop that are not C.

Two kinds. Signal handlers are ours: rare and mostly rules, so Python. The
rest is the standard library's own code, borrowed function by function from
asyncio's Unix loop and running over our call_soon and add_reader: exact on
each version of Python, and replaced by C subsystem by subsystem. Whatever
the C type defines comes first in the method resolution order.
"""

from __future__ import annotations

import asyncio
import errno
import operator
import os
import selectors
import signal
import sys
import types
import warnings
import weakref
from asyncio import base_events, events, selector_events, unix_events
from asyncio.log import logger
from collections.abc import Callable

from asyncloop._compat import ASYNCIO_RESETS_AFTER_FORK
from asyncloop._connect import ConnectMethods
from asyncloop._serve import ServeMethods
from asyncloop._subprocess import ProcessMethods
from asyncloop._tls import TLSMethods

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from asyncloop import _core

# The scheduler's own parts, which make no sense on another core.
_NOT_BORROWED = frozenset(
    {
        "__init__",
        "__del__",
        "__init_subclass__",
        "_run_once",
        "_run_forever_setup",
        "_run_forever_cleanup",
        "_process_events",
        "_make_self_pipe",
        "_close_self_pipe",
        "_read_from_self",
        "_process_self_data",
        "_call_soon",
        "close",
    }
)

# Which loops have a handler for a signal: the process's disposition is put
# back when the last of them lets go.
_signal_owners: dict[int, "weakref.WeakSet[Any]"] = {}


def _on_signal(number: int, frame: types.FrameType | None) -> None:
    """Python's half of a signal that a loop handles: the C half has already
    written its number to the loop's pipe."""


def _after_fork_in_child() -> None:
    """What asyncio does from 3.12 on: the parent's loop does not hear the
    child's signals."""
    try:
        signal.set_wakeup_fd(-1)
    except ValueError:
        pass  # not the main thread


if not ASYNCIO_RESETS_AFTER_FORK:
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _restore_disposition(number: int) -> None:
    default: Any = (
        signal.default_int_handler
        if number == signal.SIGINT
        else signal.SIG_DFL
    )
    try:
        signal.signal(number, default)
    except OSError as exc:
        if exc.errno == errno.EINVAL:
            raise RuntimeError(f"sig {number} cannot be caught") from exc
        raise


class _SignalMethods:
    """add_signal_handler and what belongs to it."""

    __slots__ = ()

    def add_signal_handler(
        self: "_core.Loop",
        sig: int,
        callback: Callable[..., Any],
        *args: Any,
    ) -> None:
        """Call back in a turn of the loop when the signal arrives."""
        self._check_callback(callback, "add_signal_handler")
        self._check_signal(sig)
        self._check_closed()
        try:
            # Fails outside the main thread of the main interpreter.
            signal.set_wakeup_fd(self._signal_wakeup_fd())
        except (ValueError, OSError) as exc:
            raise RuntimeError(str(exc)) from exc
        handle = events.Handle(callback, args, self, None)
        previous = self._signal_handlers.get(sig)
        self._signal_handlers[sig] = handle
        try:
            signal.signal(sig, _on_signal)
            # System calls that the signal interrupts start again.
            signal.siginterrupt(sig, False)
        except OSError as exc:
            if previous is None:
                del self._signal_handlers[sig]
                self._release_wakeup_fd()
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught") from exc
            raise
        _signal_owners.setdefault(sig, weakref.WeakSet()).add(self)

    def remove_signal_handler(self: "_core.Loop", sig: int) -> bool:
        """Forget the handler; was there one?"""
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        owners = _signal_owners.get(sig)
        if owners is not None:
            owners.discard(self)
        if not owners:
            _restore_disposition(sig)
        self._release_wakeup_fd()
        return True

    def _release_wakeup_fd(self: "_core.Loop") -> None:
        # A running loop keeps it, for Ctrl-C; leaving run_forever puts the
        # earlier one back. And somebody else's is not ours to take away.
        if self._signal_handlers or self.is_running():
            return
        try:
            current = signal.set_wakeup_fd(-1)
            if current != self._signal_wakeup_fd():
                signal.set_wakeup_fd(current)
        except (ValueError, OSError) as exc:
            logger.info("set_wakeup_fd(-1) failed: %s", exc)

    def _handle_signal(self: "_core.Loop", sig: int) -> None:
        """Called by C for each signal number read from the pipe."""
        handle = self._signal_handlers.get(sig)
        if handle is None:
            return
        if handle.cancelled():
            self.remove_signal_handler(sig)
        else:
            self._add_callback_signalsafe(handle)

    def _forget_signal_handlers(self: "_core.Loop") -> None:
        """Called by close()."""
        if not self._signal_handlers:
            return
        if sys.is_finalizing():
            warnings.warn(
                f"Closing the loop {self!r} on interpreter shutdown stage, "
                "skipping signal handlers removal",
                ResourceWarning,
                source=self,
            )
            self._signal_handlers.clear()
            return
        for sig in list(self._signal_handlers):
            self.remove_signal_handler(sig)


class _ResolverMethods:
    """What of the resolver is no C."""

    __slots__ = ()

    def set_resolver_threads(self: Any, count: int) -> None:
        """How many threads of this loop may look up names at once."""
        from asyncloop._resolver import Resolver

        self._check_closed()
        count = operator.index(count)
        if count < 1:
            raise ValueError("count must be greater than 0")
        if self._resolver is None:
            self._resolver = Resolver()
        self._resolver.set_limit(count)


def _borrowed() -> dict[str, types.FunctionType]:
    names: dict[str, types.FunctionType] = {}
    for cls in (
        base_events.BaseEventLoop,
        selector_events.BaseSelectorEventLoop,
        unix_events._UnixSelectorEventLoop,
    ):
        for name, value in vars(cls).items():
            if _can_be_borrowed(name, value):
                names[name] = value
    return names


def _can_be_borrowed(name: str, value: object) -> bool:
    return (
        isinstance(value, types.FunctionType)
        and name not in _NOT_BORROWED
        # super() works on instances of its own class only: the one such
        # method, _stop_serving, is below.
        and "__class__" not in value.__code__.co_freevars
    )


def _unlink_socket(path: str, inode: int) -> None:
    """Remove a listening socket's file, if it still is that socket's."""
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        logger.error(
            "Unable to clean up listening UNIX socket %r: %r", path, exc
        )


def _make_child_watcher(self: Any) -> Any:
    """3.14 keeps the watcher of child processes on the loop."""
    name = (
        "_PidfdChildWatcher"
        if unix_events.can_use_pidfd()  # type: ignore[attr-defined]
        else "_ThreadedChildWatcher"
    )
    watcher = getattr(unix_events, name)()
    self.__dict__["_watcher"] = watcher
    return watcher


class _SelectorView:
    """`loop._selector`, as far as asyncio's own transports look at it."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        events = self._loop._watched_events(fileobj)
        if not events:
            raise KeyError(f"{fileobj!r} is not registered")
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        return selectors.SelectorKey(fileobj, fd, events, None)


def _make_selector_view(loop: Any) -> _SelectorView | None:
    return None if loop.is_closed() else _SelectorView(loop)


class _LazyAttribute:
    """Calls `make` for an attribute that the instance does not have."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self.make(instance)


def beside_tasks() -> None:
    """Called before and after the loop waits, when a profiler is on: one that
    follows contexts sees code of no task there and counts no work."""


if TYPE_CHECKING:

    class ColdMethods(_SignalMethods, _ResolverMethods):
        pass

else:
    _namespace = dict(_borrowed(), __slots__=(), __module__=__name__)
    _namespace["__doc__"] = "asyncio's methods that Loop borrows."
    _StandardMethods = type("StandardMethods", (), _namespace)

    class ColdMethods(
        _SignalMethods,
        _ResolverMethods,
        ConnectMethods,
        ServeMethods,
        ProcessMethods,
        TLSMethods,
        _StandardMethods,
    ):
        """What Loop has beside its C type."""

        __slots__ = ()

        _watcher = _LazyAttribute(_make_child_watcher)
        _selector = _LazyAttribute(_make_selector_view)

        async def _sendfile_native(self, transp, file, offset, count):
            """Send a file over a transport's own socket.

            The transport has sent all that was written before, takes no more
            writes meanwhile, and lends us its descriptor.
            """
            resume = transp.is_reading()
            transp.pause_reading()
            try:
                await transp._make_empty_waiter()
                return await self.sock_sendfile(
                    transp._sock, file, offset, count, fallback=False
                )
            finally:
                transp._reset_empty_waiter()
                if resume:
                    transp.resume_reading()

        def _stop_serving(self, sock):
            """Stop listening; 3.13 and later remove a Unix socket's file."""
            inode = self._unix_server_sockets.pop(sock, None)
            path = None if inode is None else sock.getsockname()
            self._stop_listening(sock)
            sock.close()
            if path is not None:
                _unlink_socket(path, inode)


def borrowed_methods() -> list[str]:
    """The public methods that still are the standard library's code."""
    from asyncloop import _core

    native = vars(_core.LoopCore)
    return sorted(
        name
        for name in _borrowed()
        if not name.startswith("_")
        and name not in native
        and name not in vars(_SignalMethods)
        and name not in vars(ServeMethods)
        and name not in vars(ConnectMethods)
        and name not in vars(TLSMethods)
        and hasattr(asyncio.AbstractEventLoop, name)
    )
