"""The loops: how each is made, and which version of it is here."""

from __future__ import annotations

import asyncio
import importlib
import os
from importlib import metadata
from typing import Any, cast

OURS = "asyncloop"
REFERENCE = "uvloop"
RIVALS = ("uvloop", "rloop", "rsloop", "zuvloop")
ALL = ("asyncio", *RIVALS, OURS)
LIMIT = "C"  # no loop: clients/reference.c, where a row has it
# asyncloop with asyncio's own steps, for comparison; only when asked for.
FALLBACK = "asyncloop-fallback"
KNOWN = (*ALL, FALLBACK)
SWITCH = "ASYNCLOOP_NATIVE_TASKS"


def new(name: str) -> asyncio.AbstractEventLoop:
    """A new loop, made by the factory that its package offers."""
    if name == "asyncio":
        return asyncio.new_event_loop()
    if name in (OURS, FALLBACK):
        # Read at import, and each sample has a process of its own.
        os.environ[SWITCH] = "0" if name == FALLBACK else "1"
    # Imported only where it is used: some rivals patch asyncio at import.
    module = importlib.import_module(OURS if name == FALLBACK else name)
    return cast(asyncio.AbstractEventLoop, module.new_event_loop())


def describe(name: str) -> dict[str, Any]:
    """Version and build; raises when the loop cannot run a coroutine."""
    loop = new(name)
    try:
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
    if name in (OURS, FALLBACK):
        return _describe_ours(name)
    if name == "asyncio":
        return {"version": "standard library", "type": type(loop).__name__}
    return {"version": metadata.version(name)}


def _describe_ours(name: str) -> dict[str, Any]:
    module = importlib.import_module(OURS)
    if name == FALLBACK and module.build_info()["tasks"] != "asyncio":
        raise RuntimeError("the fall-back was asked for and is not on")
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
