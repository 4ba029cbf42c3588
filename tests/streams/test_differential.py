"""Random scripts on asyncio's reader and on ours: the same traces.

A few thousand here; tools/differential_streams.py runs as many as one wants,
and ASYNCLOOP_STREAM_SCRIPTS sets how many this test runs.
"""

import contextlib
import os
import sys

import pytest

TOOLS = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))), "tools",
)
COUNT = int(os.environ.get("ASYNCLOOP_STREAM_SCRIPTS", "4000"))
PORTIONS = 8

pytestmark = pytest.mark.native_only(reason="compares asyncloop with asyncio")


@pytest.fixture(scope="module")
def module():
    # Appended: nothing there may hide an installed package.
    sys.path.append(TOOLS)
    try:
        import differential_streams
    finally:
        sys.path.remove(TOOLS)
    return differential_streams


@pytest.fixture
def scripts(module):
    with contextlib.closing(module):
        yield module


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_random_scripts(kind, scripts, portion):
    for seed in range(portion, COUNT, PORTIONS):
        script = scripts.generate(seed)
        if scripts.differs(script):
            script = scripts.shrink(script)
            pytest.fail(f"seed {seed}\n{scripts.show(script)}")


def test_a_seed_gives_one_script(kind, scripts):
    assert scripts.generate(7) == scripts.generate(7)
    assert scripts.generate(7) != scripts.generate(8)


def test_every_step_is_used(kind, scripts):
    text = repr([scripts.generate(seed) for seed in range(3000)])
    assert [name for name in scripts.STEPS if repr(name) not in text] == []
