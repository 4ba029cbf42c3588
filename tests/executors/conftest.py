"""Thread pools of both kinds."""

import concurrent.futures
import gc
import importlib
from collections.abc import Iterator

import pytest


def pool_class(kind: str) -> type[concurrent.futures.ThreadPoolExecutor]:
    """The loop's own kind of pool."""
    if kind == "asyncio":
        return concurrent.futures.ThreadPoolExecutor
    return importlib.import_module(kind).ThreadPoolExecutor


@pytest.fixture
def Pool(kind: str) -> Iterator[type[concurrent.futures.ThreadPoolExecutor]]:
    yield pool_class(kind)
    gc.collect()  # pools that a test left behind let their threads go


@pytest.fixture
def shut(loop):
    """The loop; its default executor is shut down after the test."""
    yield loop
    if not loop.is_closed():
        loop.run_until_complete(loop.shutdown_default_executor())
