"""Every behaviour test runs on asyncloop and on stock asyncio.

A test asks for `loop`, `new_loop`, `kind` or `child` and is then made once per
loop, with the loop's name as its id.  `@pytest.mark.native_only(reason=...)`
keeps it on asyncloop; the reason is mandatory.  After each test nothing may
be left behind: no descriptor, no thread, no unclosed loop, and in a debug
build of the extension no handle or pin (see support/leakcheck.py).
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator

import pytest

# Appended, never put first: a debug build given by PYTHONPATH must win over
# the package that lies next to this folder.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from support import hang, leakcheck, loops  # noqa: E402
from support.child import Child  # noqa: E402

# A test that hangs fails after this many seconds.
HANG_SECONDS = 40

# The folders whose tests are this suite; the others bring their own rules.
BEHAVIOUR = {
    "api", "crash", "datagrams", "executors", "futures", "handles", "leaks",
    "loop", "metrics", "process", "regressions", "servers", "signals", "sockets",
    "streams", "threads", "tls", "transports", "watch",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loops", default="asyncloop,asyncio",
        help="loops to run the behaviour tests on, separated by commas",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "native_only(reason): runs on asyncloop only; says why",
    )


def chosen(config: pytest.Config) -> list[str]:
    return [n for n in config.getoption("--loops").split(",") if n]


def native_mark(item) -> pytest.Mark | None:
    """The test's native_only mark, after a look at its reason."""
    mark = next(item.iter_markers("native_only"), None)
    if mark is not None and not mark.kwargs.get("reason"):
        raise pytest.UsageError(
            f"{item.nodeid}: native_only needs reason='...'"
        )
    return mark


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" not in metafunc.fixturenames:
        return
    names = chosen(metafunc.config)
    if native_mark(metafunc.definition) is not None:
        # With none chosen the test is made all the same, and deselected.
        names = [n for n in names if n in loops.NATIVE] or loops.NATIVE[:1]
    metafunc.parametrize("kind", names, scope="function")


def in_suite(item: pytest.Item) -> bool:
    here = os.path.dirname(os.path.abspath(__file__))
    parts = os.path.relpath(str(item.path), here).split(os.sep)
    return len(parts) > 1 and parts[0] in BEHAVIOUR


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    native = any(name in loops.NATIVE for name in chosen(config))
    kept, dropped = [], []
    for item in items:
        mark = native_mark(item)
        both = "kind" in getattr(item, "fixturenames", ())
        if in_suite(item) and not both and mark is None:
            raise pytest.UsageError(
                f"{item.nodeid}: must run on both loops (take loop, "
                "new_loop, kind or child) or be marked native_only"
            )
        wanted = native or mark is None
        (kept if wanted else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or not session.items:
        return
    for name in chosen(session.config):
        # libuv opens a pipe with the first loop and keeps it for the process.
        loops.new(name).close()
    # What is alive now lives as long as the run: keep the collector of the
    # leak check away from it, or each test would pay for all of it.
    gc.collect()
    gc.freeze()


def skip_what_asyncio_lacks(item) -> None:
    if (
        item.get_closest_marker("needs_is_reading")
        and item.callspec.params["kind"] == "asyncio"
        and not loops.HAS_IS_READING
    ):
        pytest.skip("this patch release's asyncio has no is_reading")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    skip_what_asyncio_lacks(item)
    if in_suite(item):
        item.stash[leakcheck.KEY] = leakcheck.Snapshot()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not in_suite(item):
        return (yield)
    try:
        with hang.limit(HANG_SECONDS):
            return (yield)
    except BaseException:
        # The traceback keeps the test's objects alive: nothing to check.
        item.stash[leakcheck.KEY] = None
        raise


# First, so that what follows the yield comes last: the records of pytest's
# own log hold the frames of the test.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item, nextitem):
    result = yield
    before = item.stash.get(leakcheck.KEY, None)
    if before is not None:
        # The fixtures are torn down, but the item still refers to them.
        item.funcargs.clear()
        before.check()
    return result


@pytest.fixture
def new_loop(kind: str) -> Iterator[Callable]:
    """Makes loops of this kind and closes them when the test is over."""
    made = []

    def make():
        made.append(loops.new(kind))
        return made[-1]

    yield make
    for loop in made:
        if not loop.is_closed():
            loop.close()


@pytest.fixture
def loop(new_loop: Callable):
    return new_loop()


@pytest.fixture
def child(kind: str) -> Child:
    """Runs a program in a fresh interpreter, on this kind of loop."""
    return Child(kind)
