"""Every test here runs on both engines of asyncloop, and on asyncio."""

import importlib

import pytest

from support import loops


def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ["native", "pump"], indirect=True)


def pytest_collection_modifyitems(config, items):
    # asyncio has one engine, its own.
    kept, dropped = [], []
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        twice = (
            params.get("engine") == "pump" and params.get("kind") == "asyncio"
        )
        (dropped if twice else kept).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


@pytest.fixture(autouse=True)
def engine(request, kind):
    """Which of the two serves the connections of this test."""
    if kind not in loops.NATIVE:
        yield "asyncio"
        return
    core = importlib.import_module("asyncloop._core")
    core._force_tls_pump(request.param == "pump")
    yield request.param
    core._force_tls_pump(False)
