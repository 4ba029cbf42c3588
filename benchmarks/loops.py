"""The loops: how each is made, and which version of it is here."""

from __future__ import annotations

import asyncio
import importlib
from importlib import metadata
from typing import Any, cast

OURS = "asyncloop"
REFERENCE = "uvloop"
RIVALS = ("uvloop", "rloop", "rsloop", "zuvloop")
ALL = ("asyncio", *RIVALS, OURS)
LIMIT = "C"  # no loop: clients/reference.c, where a row has it


def new(name: str) -> asyncio.AbstractEventLoop:
    """A new loop, made by the factory that its package offers."""
    if name == "asyncio":
        return asyncio.new_event_loop()
    # Imported only where it is used: some rivals patch asyncio at import.
    module = importlib.import_module(name)
    return cast(asyncio.AbstractEventLoop, module.new_event_loop())


def describe(name: str) -> dict[str, Any]:
    """Version and build; raises when the loop cannot run a coroutine."""
    loop = new(name)
    try:
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
    if name == OURS:
        return _describe_ours()
    if name == "asyncio":
        return {"version": "standard library", "type": type(loop).__name__}
    return {"version": metadata.version(name)}


def _describe_ours() -> dict[str, Any]:
    module = importlib.import_module(OURS)
    build = {
        key: value
        for key, value in module.build_info().items()
        if "/" not in str(value)  # paths stay on the machine
    }
    return {
        "version": module.__version__,
        "libuv": module.libuv_version(),
        "build": build,
    }
