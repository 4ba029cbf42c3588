"""Random task programs: the same trace as on stock asyncio.

A few hundred here; tools/differential.py runs as many as one wants, shows
the first one that differs, and shrinks it.
"""

import contextlib
import logging
import os
import sys

import pytest

TOOLS = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))), "tools",
)
PORTIONS = range(0, 1000, 100)


@pytest.fixture(scope="module")
def programs():
    # Appended: nothing there may hide an installed package.
    sys.path.append(TOOLS)
    try:
        import differential
    finally:
        sys.path.remove(TOOLS)
    logging.disable(logging.CRITICAL)
    yield differential
    logging.disable(logging.NOTSET)
    differential.close()


@pytest.fixture
def foreign(programs):
    """The loop of foreign futures lives for one test."""
    with contextlib.closing(programs):
        yield


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("first", PORTIONS)
def test_random_programs(kind, programs, foreign, first):
    for seed in range(first, first + 100):
        program = programs.generate(seed)
        if programs.differs(program, kind):
            program = programs.shrink(program, kind)
            pytest.fail(f"seed {seed}\n{programs.show(program, kind)}")


def test_a_seed_gives_one_program(kind, programs):
    assert programs.generate(7) == programs.generate(7)
    assert programs.generate(7) != programs.generate(8)


def test_every_operation_is_used(kind, programs):
    text = repr([programs.generate(seed) for seed in range(300)])
    names = [*programs.SIMPLE, *programs.NESTED, *programs.MAKERS]
    assert [name for name in names if repr(name) not in text] == []
    for name in [*programs.SIMPLE, *programs.NESTED]:
        assert hasattr(programs.Machine, f"do_{name}")


def test_a_difference_is_seen_and_shrunk(kind, programs, foreign, monkeypatch):
    """With an operation that is not the same on the two runs."""
    plain = programs.new_loop

    def marked(name):
        loop = plain("asyncio")
        loop.marked = name == "other"
        return loop

    async def unequal(self):
        return self.loop.marked

    monkeypatch.setattr(programs.Machine, "do_log", unequal)
    monkeypatch.setattr(programs, "new_loop", marked)

    program = (
        ("spawn", 0, (("sleep0", True), ("log", True)), "create_task"),
        ("sleep0", True),
        ("cancel", 1, None, True),
    )
    assert programs.differs(program, "other")
    small = programs.shrink(program, "other")
    assert small == (("spawn", 0, (("log", True),), "create_task"),)
    assert "asyncio:" in programs.show(small, "other")
