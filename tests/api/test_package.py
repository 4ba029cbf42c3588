"""The package's own names: run, policy, install, versions."""

import asyncio
import re
import sys

import pytest

from support.loops import PY312, PY314, PY316

pytestmark = pytest.mark.native_only(
    reason="these names are asyncloop's own"
)

if PY316:
    POLICIES = "policies are gone in Python 3.16"
else:
    POLICIES = ""


@pytest.fixture
def asyncloop():
    import asyncloop
    return asyncloop


@pytest.fixture
def policy():
    """Puts back the policy that was set before."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = asyncio.events._event_loop_policy
        yield
        asyncio.events._event_loop_policy = before


async def running():
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


def test_new_event_loop_gives_a_loop(asyncloop):
    loop = asyncloop.new_event_loop()
    assert type(loop) is asyncloop.Loop
    loop.close()


def test_run_runs_on_our_loop_and_closes_it(asyncloop):
    loop = asyncloop.run(running())
    assert type(loop) is asyncloop.Loop
    assert loop.is_closed()


def test_run_passes_results_and_exceptions_on(asyncloop):
    async def fail():
        raise LookupError("mine")

    assert asyncloop.run(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError, match="mine"):
        asyncloop.run(fail())


def test_run_takes_another_factory(asyncloop):
    class Mine(asyncloop.Loop):
        pass

    assert type(asyncloop.run(running(), loop_factory=Mine)) is Mine


@pytest.mark.parametrize("debug", [True, False])
def test_run_takes_a_debug_flag(asyncloop, debug):
    async def main():
        return asyncio.get_running_loop().get_debug()

    assert asyncloop.run(main(), debug=debug) is debug


def test_run_refuses_what_is_no_coroutine(asyncloop):
    with pytest.raises((TypeError, ValueError)):
        asyncloop.run(5)


def test_run_cannot_be_nested(asyncloop):
    async def main():
        coroutine = running()
        try:
            with pytest.raises(
                RuntimeError,
                match="cannot be called from a running event loop",
            ):
                asyncloop.run(coroutine)
        finally:
            coroutine.close()
        return "refused"

    assert asyncloop.run(main()) == "refused"


def test_run_shuts_generators_and_executor_down(asyncloop):
    closed = []

    async def numbers():
        try:
            yield 1
        finally:
            closed.append("generator")

    async def main():
        main.generator = numbers()
        await main.generator.__anext__()
        await asyncio.to_thread(closed.append, "thread")

    asyncloop.run(main())
    assert closed == ["thread", "generator"]


def test_run_takes_its_options_by_keyword_only(asyncloop):
    coroutine = running()
    with pytest.raises(TypeError):
        asyncloop.run(coroutine, asyncloop.new_event_loop)
    coroutine.close()


@pytest.mark.skipif(not PY312, reason="run's loop_factory is new in 3.12")
def test_asyncios_run_takes_our_factory(asyncloop):
    loop = asyncio.run(running(), loop_factory=asyncloop.new_event_loop)
    assert type(loop) is asyncloop.Loop


def test_a_runner_takes_our_factory(asyncloop):
    with asyncio.Runner(loop_factory=asyncloop.new_event_loop) as runner:
        assert type(runner.run(running())) is asyncloop.Loop


@pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="IsolatedAsyncioTestCase.loop_factory is new in 3.13",
)
def test_an_asyncio_test_case_takes_our_factory(asyncloop):
    import unittest

    seen = []

    class Case(unittest.IsolatedAsyncioTestCase):
        loop_factory = asyncloop.Loop

        async def test_it(self):
            seen.append(type(asyncio.get_running_loop()))

    result = Case("test_it").run()
    assert result.wasSuccessful() and seen == [asyncloop.Loop]


@pytest.mark.skipif(bool(POLICIES), reason=POLICIES or "they exist")
def test_the_policy_makes_our_loops(asyncloop, policy):
    asyncio.set_event_loop_policy(asyncloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    assert type(loop) is asyncloop.Loop
    loop.close()


@pytest.mark.skipif(bool(POLICIES), reason=POLICIES or "they exist")
def test_the_policy_serves_asyncios_run(asyncloop, policy):
    asyncio.set_event_loop_policy(asyncloop.EventLoopPolicy())
    assert type(asyncio.run(running())) is asyncloop.Loop


@pytest.mark.skipif(bool(POLICIES), reason=POLICIES or "they exist")
def test_the_policy_is_built_on_asyncios_own_base(asyncloop, policy):
    events = asyncio.events
    base = getattr(events, "_BaseDefaultEventLoopPolicy", None) or (
        events.BaseDefaultEventLoopPolicy
    )
    assert issubclass(asyncloop.EventLoopPolicy, base)
    made = asyncloop.EventLoopPolicy()
    loop = made.new_event_loop()
    made.set_event_loop(loop)
    assert made.get_event_loop() is loop
    made.set_event_loop(None)
    loop.close()


@pytest.mark.skipif(bool(POLICIES), reason=POLICIES or "they exist")
def test_the_policys_current_loop_is_per_thread(asyncloop, policy):
    import threading

    raised = []
    made = asyncloop.EventLoopPolicy()
    loop = made.new_event_loop()
    made.set_event_loop(loop)

    def work():
        try:
            made.get_event_loop()
        except RuntimeError as error:
            raised.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    made.set_event_loop(None)
    loop.close()
    assert len(raised) == 1 and "no current event loop" in raised[0]


@pytest.mark.skipif(bool(POLICIES), reason=POLICIES or "they exist")
def test_install_sets_the_policy(asyncloop, policy):
    asyncloop.install()
    loop = asyncio.new_event_loop()
    assert type(loop) is asyncloop.Loop
    loop.close()


@pytest.mark.skipif(
    not PY314 or PY316, reason="policies are deprecated in 3.14 and 3.15"
)
def test_install_warns_that_policies_are_deprecated(asyncloop):
    before = asyncio.events._event_loop_policy
    try:
        with pytest.warns(DeprecationWarning):
            asyncloop.install()
    finally:
        asyncio.events._event_loop_policy = before


@pytest.mark.skipif(
    not PY314 or PY316, reason="policies are deprecated in 3.14 and 3.15"
)
def test_setting_the_policy_warns_as_asyncio_does(asyncloop):
    import warnings

    before = asyncio.events._event_loop_policy
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            asyncio.set_event_loop_policy(asyncloop.EventLoopPolicy())
    finally:
        asyncio.events._event_loop_policy = before
    assert {w.category for w in seen} == {DeprecationWarning}


@pytest.mark.skipif(not PY316, reason="policies exist until 3.15")
@pytest.mark.parametrize("name", ["EventLoopPolicy", "install"])
def test_there_is_no_policy_when_asyncio_has_none(asyncloop, name):
    with pytest.raises(AttributeError):
        getattr(asyncloop, name)


def test_importing_the_package_touches_no_policy(child):
    out = child.succeed("""
        import warnings
        warnings.simplefilter("error")
        import asyncloop
        print(asyncio.events.__dict__.get("_event_loop_policy"))
        print("asyncloop._policy" in sys.modules)
    """)
    assert out == "None\nFalse\n"


def test_a_name_that_is_not_there_is_an_attribute_error(asyncloop):
    with pytest.raises(AttributeError, match="no_such_name"):
        asyncloop.no_such_name


def test_the_public_names_are_all_there(asyncloop):
    for name in ("Loop", "new_event_loop", "run", "__version__",
                 "libuv_version", "build_info"):
        assert name in dir(asyncloop) and hasattr(asyncloop, name)


def test_the_version_is_one(asyncloop):
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", asyncloop.__version__)


def test_the_libuv_version_is_that_of_the_loaded_library(asyncloop):
    major, minor, patch = map(int, asyncloop.libuv_version().split("."))
    assert (major, minor) >= (1, 44) and patch >= 0


def test_build_info_is_a_dictionary_for_bug_reports(asyncloop):
    info = asyncloop.build_info()
    assert isinstance(info, dict)
    assert info["version"] == asyncloop.__version__
    assert info["libuv"] == asyncloop.libuv_version()
    assert isinstance(info["debug"], bool)


def test_the_modules_name_on_the_class_is_the_packages(asyncloop):
    assert asyncloop.Loop.__module__ == "asyncloop"
    assert asyncloop.Loop.__qualname__ == "Loop"


def test_the_package_can_be_imported_again_in_a_fresh_interpreter(child):
    out = child.succeed("""
        import asyncloop, importlib
        importlib.reload(asyncloop)
        print(asyncloop.run(asyncio.sleep(0, "reloaded")))
    """)
    assert out == "reloaded\n"
