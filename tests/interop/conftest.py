"""Tests with the packages that people run; see `make ecosystem`.

Each is made once per loop by ../conftest.py.  A folder is a system of
systems.toml, and the table at the end has a row for each.
"""

import asyncio
import pathlib

import pytest
from interop.kit import report, servers
from interop.kit.programs import Programs, module_of
from support import hang, loops

HERE = pathlib.Path(__file__).parent
HANG_SECONDS = 150


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--json-table", help="write the table to this file too")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(report.Table(config), "interop-table")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        if "kind" not in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid}: must run on both loops")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not item.path.is_relative_to(HERE):
        return (yield)
    with hang.limit(HANG_SECONDS):
        return (yield)


@pytest.fixture
def run(kind: str):
    """Runs a coroutine as asyncio.run does; nothing may be reported."""

    def run(main):
        reported: list[dict] = []

        async def checked():
            loop = asyncio.get_running_loop()
            assert module_of(loop) == kind
            loop.set_exception_handler(lambda _, what: reported.append(what))
            return await main

        def factory():
            return loops.new(kind)

        with asyncio.Runner(loop_factory=factory) as runner:
            result = runner.run(checked())
        assert reported == []
        return result

    return run


@pytest.fixture
def programs(kind: str, tmp_path: pathlib.Path):
    started = Programs(kind, tmp_path)
    yield started
    started.stop()


def server(name: str):
    # Its name is not that of a client's module.
    @pytest.fixture(scope="session", name=f"{name}_server")
    def start(request: pytest.FixtureRequest, tmp_path_factory):
        made = servers.SERVERS[name](tmp_path_factory.mktemp(name))
        table = request.config.pluginmanager.get_plugin("interop-table")
        table.servers[name] = made.version()
        yield made
        made.stop()

    return start



for one in servers.SERVERS:
    globals()[f"{one}_server"] = server(one)
