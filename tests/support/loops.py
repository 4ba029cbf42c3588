"""The loops that tests run on, by name."""

import asyncio
import importlib
import sys
from asyncio import selector_events
from collections.abc import Callable

# Loops that are ours; `native_only` tests run on these.
NATIVE = ("asyncloop",)

#: The features of asyncio that some tests depend on.
PY312 = sys.version_info >= (3, 12)
PY313 = sys.version_info >= (3, 13)
PY314 = sys.version_info >= (3, 14)
PY315 = sys.version_info >= (3, 15)
PY316 = sys.version_info >= (3, 16)
# The first patch releases of 3.11 have transports without is_reading (it
# raises NotImplementedError), which forget a pause in connection_made.
HAS_IS_READING = "is_reading" in vars(selector_events._SelectorTransport)


def loop_class(kind: str) -> type:
    """The class that `new` makes an instance of, for subclasses of it."""
    if kind == "asyncio":
        # Not asyncio.new_event_loop, which would ask an installed policy.
        return asyncio.SelectorEventLoop
    return importlib.import_module(kind).Loop


def new(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    return importlib.import_module(kind).new_event_loop()


def collect_errors(loop: asyncio.AbstractEventLoop) -> list[dict]:
    """The contexts that the loop reports from now on."""
    contexts: list[dict] = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    return contexts


def run_turns(loop: asyncio.AbstractEventLoop, turns: int = 1) -> None:
    """Run what is ready now, `turns` times over."""
    for _ in range(turns):
        loop.call_soon(loop.stop)
        loop.run_forever()


def run_until(
    loop: asyncio.AbstractEventLoop,
    test: Callable[[], bool],
    limit: float = 10,
) -> None:
    """Run the loop until `test()` is true; fail after `limit` seconds."""

    async def wait() -> None:
        end = loop.time() + limit
        while not test():
            assert loop.time() < end, "the condition did not come true"
            await asyncio.sleep(0.001)

    loop.run_until_complete(wait())
