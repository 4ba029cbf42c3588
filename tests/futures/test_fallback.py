"""With native tasks switched off, asyncio's own steps do the same.

A part of this folder runs once more in a child with ASYNCLOOP_NATIVE_TASKS=0;
and the counter of native steps says that each run tests what it is to test.
"""

import os
import re
import subprocess
import sys

import pytest

from support.child import search_path

HERE = os.path.dirname(os.path.abspath(__file__))
SWITCH = "ASYNCLOOP_NATIVE_TASKS"
FILES = [
    "test_awaiting.py", "test_callbacks.py", "test_cancel.py",
    "test_combinators.py", "test_coroutine_kinds.py", "test_identity.py",
    "test_mixing.py", "test_registry.py", "test_reports.py",
]

STEPS = """
import asyncloop
async def main():
    async def child():
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.create_task(child())
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    await future
loop = new_loop()
loop.run_until_complete(main())
loop.close()
print(asyncloop.build_info()["tasks"], asyncloop._core._native_steps())
"""

PLUGIN = """
def pytest_sessionfinish(session):
    from asyncloop import _core, build_info
    print("\\nTASKS", build_info()["tasks"], "STEPS", _core._native_steps())
"""

pytestmark = pytest.mark.native_only(
    reason="stock asyncio has one kind of task only"
)


@pytest.mark.parametrize("value, tasks", [
    ("1", "native"), ("0", "asyncio"),
])
def test_the_switch(child, value, tasks):
    found, steps = child.succeed(STEPS, **{SWITCH: value}).split()
    assert found == tasks
    # Every step of eleven tasks, or none.
    assert int(steps) >= 30 if tasks == "native" else int(steps) == 0


@pytest.mark.parametrize("value, tasks", [
    ("1", "native"), ("0", "asyncio"),
])
def test_debug_mode_finishes_them_too(child, value, tasks):
    """asyncio makes and steps the tasks then."""
    out = child.succeed(
        STEPS.replace("new_loop()\n", "new_loop()\nloop.set_debug(True)\n"),
        **{SWITCH: value},
    )
    assert out.split()[0] == tasks


@pytest.mark.parametrize("value, tasks", [
    ("1", "native"), ("0", "asyncio"),
])
def test_the_suite_in_both_ways(kind, tmp_path, value, tasks):
    (tmp_path / "count_steps.py").write_text(PLUGIN)
    path = [p for p in search_path(kind).split(os.pathsep)
            if p != os.path.dirname(HERE)]
    environment = dict(
        os.environ, **{SWITCH: value},
        PYTHONPATH=os.pathsep.join([*path, str(tmp_path)]),
    )
    # Debug mode is asyncio's own way as well: nothing to count.
    for name in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "count_steps",
         "-p", "no:cacheprovider", "--loops", kind, *FILES],
        cwd=HERE, env=environment, text=True, timeout=120,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"TASKS (\w+) STEPS (\d+)", done.stdout)
    assert found is not None, done.stdout
    assert found[1] == tasks
    assert int(found[2]) > 10_000 if tasks == "native" else found[2] == "0"
