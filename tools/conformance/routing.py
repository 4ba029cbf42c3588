"""Put the loop under test in the places where asyncio keeps its own.

CPython's tests make their loops through `asyncio.new_event_loop`, through
`asyncio.Runner` and through the class names `SelectorEventLoop`,
`EventLoop` and `BaseEventLoop`. After `install` each of these makes the
loop under test. Nothing is put between the tests and the loop but two thin
wrappers, on `run_forever` and `run_until_complete`, which feed the canary.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import sys
import unittest
import warnings
from asyncio import base_events, events, unix_events
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UTILS = "test.test_asyncio.utils"
LOOPS = ("asyncloop", "asyncio", "uvloop")


@dataclass
class Canary:
    """What ran: `runs` of the loop under test, `foreign` of any other."""

    runs: int = 0
    foreign: int = 0
    turns: int = 0  # iterations, by the loop's own metrics where it has them

    def marks(self) -> tuple[int, int]:
        return self.runs, self.foreign


def loop_class(name: str) -> type:
    """The class of a loop that takes the place of asyncio's."""
    if name == "uvloop":
        import uvloop

        # The suite's clean-up reads this one private name of every loop.
        names = {"_default_executor": None}
        return type("Loop", (uvloop.Loop,), names)
    import asyncloop

    return asyncloop.Loop


def _iterations(loop: Any) -> int:
    metrics = getattr(loop, "metrics", None)
    if metrics is None or loop.is_closed():
        return 0
    return metrics().iterations


def _count_calls(canary: Canary, cls: type, under_test: type) -> None:
    """Wrap the two methods that run a loop of class `cls`."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(self, under_test):
                canary.foreign += 1
                return original(self, *args, **kwargs)
            canary.runs += 1
            before = _iterations(self)
            try:
                return original(self, *args, **kwargs)
            finally:
                canary.turns += _iterations(self) - before

        return counted

    for name in ("run_forever", "run_until_complete"):
        setattr(cls, name, wrap(getattr(cls, name)))


def _selector_class(loop: type) -> type:
    """A stand-in for asyncio.SelectorEventLoop that makes `loop`.

    It is a class, not a function, because the tests subclass it, use it in
    isinstance and store it in class bodies. Called by its own name it gives
    an exact `loop`; the selector that a test brings is closed, as nobody
    will use it.
    """

    class Meta(type(loop)):
        def __call__(cls, selector: Any = None) -> Any:
            if selector is not None:
                selector.close()
            if cls is stand_in:
                return loop()
            return super().__call__()

        def __instancecheck__(cls, instance: object) -> bool:
            if cls is stand_in:
                return isinstance(instance, loop)
            return super().__instancecheck__(instance)

    stand_in = Meta("SelectorEventLoop", (loop,), {"__slots__": ()})
    return stand_in


def _route_names(loop: type) -> None:
    stand_in = _selector_class(loop)
    for module in (asyncio, unix_events):
        module.SelectorEventLoop = stand_in
        if hasattr(module, "EventLoop"):  # 3.13
            module.EventLoop = stand_in
    unix_events._UnixDefaultEventLoopPolicy._loop_factory = loop


def _route_policy() -> None:
    """asyncloop's policy takes the place of the default one.

    The modules that hold the name differ: asyncio and unix_events until
    3.13, the private name of unix_events and of the suite's helpers after.
    """
    import asyncloop

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncloop.EventLoopPolicy
    for module in (asyncio, unix_events, sys.modules.get(UTILS)):
        for name in ("DefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
            if module is not None and name in vars(module):
                setattr(module, name, policy)


def _route_base_class(loop: type) -> None:
    """`BaseEventLoop()` makes our loop from here on.

    The suite's helpers derive a loop with stubbed I/O from the real class:
    they are imported first, so that they keep it. The tests that call
    `_run_once()` only want a turn; those that mock it are expected to fail.
    """
    asyncio.BaseEventLoop = loop
    base_events.BaseEventLoop = loop

    def run_once(self: Any) -> None:
        self.call_soon(self.stop)
        self.run_forever()

    if not hasattr(loop, "_run_once"):
        loop._run_once = run_once


class _LoggerBridge:
    """Let a test that replaces `asyncio.base_events.logger` see our log.

    The loop under test writes to the same logger object by another road.
    While a test has put a mock in the place of the stock module's name,
    what the loop logs goes to that mock.
    """

    METHODS = ("debug", "info", "warning", "error", "exception", "log")

    def __init__(self) -> None:
        self.logger: logging.Logger = base_events.logger

    def install(self) -> None:
        for name in self.METHODS:
            # On the instance: other loggers are not concerned. Tests that
            # patch a method of the logger itself still replace these.
            setattr(self.logger, name, self._bridged(name))

    def _bridged(self, name: str) -> Callable[..., None]:
        original = getattr(self.logger, name)

        @functools.wraps(original)
        def log(*args: Any, **kwargs: Any) -> None:
            current = base_events.logger
            if current is self.logger:
                kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
                original(*args, **kwargs)
            else:
                getattr(current, name)(*args, **kwargs)

        return log


def _route_subprocesses(name: str) -> None:
    """Scripts that the tests run with `python -c` get the same loop."""
    from test.support import script_helper

    # Most of those children ignore PYTHONPATH.
    package = Path(importlib.import_module(name).__file__).parent.parent
    path = [str(Path(__file__).parent.parent), str(package)]
    prefix = (
        f"import sys; sys.path[:0] = {path!r}; "
        f"from conformance import routing; "
        f"routing.install({name!r}, scripts=False); "
        f"del sys.path[:2]\n"
    )
    original = script_helper.assert_python_ok

    @functools.wraps(original)
    def routed(*args: str, **env_vars: Any) -> Any:
        arguments = list(args)
        if "-c" in arguments:
            arguments[arguments.index("-c") + 1] = (
                prefix + arguments[arguments.index("-c") + 1]
            )
        return original(*arguments, **env_vars)

    script_helper.assert_python_ok = routed


def debug_off() -> None:
    """IsolatedAsyncioTestCase asks for debug mode; do not give it.

    Its runner is lazy: the loop is made later, with this setting.
    """
    original = unittest.IsolatedAsyncioTestCase._setupAsyncioRunner

    def setup(self: Any) -> None:
        original(self)
        self._asyncioRunner._debug = False

    unittest.IsolatedAsyncioTestCase._setupAsyncioRunner = setup


def _route_virtual_time(loop: type) -> None:
    """`new_test_loop` of the suite's TestCase makes our virtual loop."""
    from test.test_asyncio import utils

    from conformance.virtual import virtual_loop_class

    virtual = virtual_loop_class(loop)

    def new_test_loop(self: Any, gen: Any = None) -> Any:
        made = virtual(gen)
        self.set_event_loop(made)
        return made

    utils.TestCase.new_test_loop = new_test_loop


def install(
    name: str,
    *,
    virtual_time: bool = False,
    base_class: bool = True,
    scripts: bool = True,
) -> Canary:
    """Route everything to the loop called `name`; return its canary."""
    canary = Canary()
    if name == "asyncio":
        # every stock loop counts, the suite's stubbed ones included
        base = base_events.BaseEventLoop
        _count_calls(canary, base, base)
        return canary
    loop = loop_class(name)
    _count_calls(canary, loop, loop)
    _count_calls(canary, base_events.BaseEventLoop, loop)
    _LoggerBridge().install()
    if scripts:
        # for its side effect: it derives from the real BaseEventLoop
        importlib.import_module(UTILS)
        _route_subprocesses(name)
        if virtual_time:
            _route_virtual_time(loop)
    _route_names(loop)
    if name == "asyncloop":
        _route_policy()
    if base_class:
        _route_base_class(loop)
    # What was cached before us would still make stock loops.
    events._event_loop_policy = None
    return canary
