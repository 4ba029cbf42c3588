"""patch(): every loop that nobody names is ours, without a policy."""

import pytest

from support.loops import PY313, PY316

pytestmark = pytest.mark.native_only(reason="patch is asyncloop's own")

BEGIN = """
import warnings
warnings.simplefilter("error")
import asyncloop
def whose(loop):
    loop.close()
    return type(loop).__module__.split(".")[0]
async def running():
    return asyncio.get_running_loop()
asyncloop.patch()
"""


@pytest.fixture
def patched(child):
    def run(program: str) -> str:
        import textwrap

        return child.succeed(BEGIN + textwrap.dedent(program))

    return run


@pytest.mark.parametrize(
    "expression",
    [
        "asyncio.run(running())",
        "asyncio.new_event_loop()",
        "asyncio.events.new_event_loop()",
    ],
)
def test_each_way_to_a_loop_gives_ours(patched, expression):
    assert patched(f"print(whose({expression}))") == "asyncloop\n"


def test_a_runner_without_a_factory_has_ours(patched):
    out = patched("""
        with asyncio.Runner() as runner:
            print(type(runner.get_loop()).__module__)
    """)
    assert out == "asyncloop\n"


@pytest.mark.skipif(
    PY316, reason="without policies there is no loop that makes itself"
)
def test_get_event_loop_makes_ours_where_asyncio_makes_one(patched):
    out = patched("""
        warnings.simplefilter("ignore")
        try:
            print(whose(asyncio.get_event_loop()))
        except RuntimeError:
            asyncio.set_event_loop(asyncio.new_event_loop())
            print(whose(asyncio.get_event_loop()))
    """)
    assert out == "asyncloop\n"


@pytest.mark.skipif(not PY313, reason="asyncio.EventLoop is new in 3.13")
def test_the_best_loop_of_the_platform_is_ours(patched):
    assert patched("print(asyncio.EventLoop is asyncloop.Loop)") == "True\n"


def test_the_loops_that_have_names_stay(patched):
    out = patched("print(whose(asyncio.SelectorEventLoop()))")
    assert out == "asyncio\n"


def test_an_asyncio_test_case_gets_ours(patched):
    out = patched("""
        import unittest
        class Case(unittest.IsolatedAsyncioTestCase):
            async def test(self):
                print(type(asyncio.get_running_loop()).__module__)
        assert Case("test").run().wasSuccessful()
    """)
    assert out == "asyncloop\n"


@pytest.mark.skipif(PY316, reason="policies are gone in Python 3.16")
def test_no_policy_is_set(patched):
    assert patched("print(asyncio.events._event_loop_policy)") == "None\n"


@pytest.mark.skipif(PY316, reason="policies are gone in Python 3.16")
def test_a_policy_of_the_program_is_obeyed(patched):
    out = patched("""
        warnings.simplefilter("ignore")
        base = type(asyncio.get_event_loop_policy())
        class Policy(base):
            _loop_factory = asyncio.SelectorEventLoop
        asyncio.set_event_loop_policy(Policy())
        print(whose(asyncio.new_event_loop()))
        asyncio.set_event_loop_policy(None)
        print(whose(asyncio.new_event_loop()))
    """)
    assert out == "asyncio\nasyncloop\n"


def test_twice_is_once(patched):
    out = patched("""
        from multiprocessing import spawn
        before = spawn.get_preparation_data
        asyncloop.patch()
        print(spawn.get_preparation_data is before)
        print(whose(asyncio.new_event_loop()))
    """)
    assert out == "True\nasyncloop\n"
