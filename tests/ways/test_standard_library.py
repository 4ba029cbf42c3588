"""The ways in that need nothing but the standard library, as the documents
show them: docs/command-line.md, README.md."""

import sys

import pytest

from support.loops import PY312, PY314, PY316

MAIN = """
import asyncio
import asyncloop

async def main():
    await asyncio.sleep(0)
    print(type(asyncio.get_running_loop()).__module__)

"""
QUIET = ("-W", "error")

needs_policies = pytest.mark.skipif(
    PY316, reason="policies are gone in Python 3.16"
)


def run(python, line: str, *options: str) -> str:
    python.write("program.py", MAIN + line + "\n")
    return python.succeed(*options, "program.py")


@pytest.mark.skipif(not PY312, reason="run's loop_factory is new in 3.12")
def test_loop_factory_of_run(python) -> None:
    line = "asyncio.run(main(), loop_factory=asyncloop.new_event_loop)"
    assert run(python, line, *QUIET) == "asyncloop\n"


def test_loop_factory_of_a_runner(python) -> None:
    line = """
with asyncio.Runner(loop_factory=asyncloop.new_event_loop) as runner:
    runner.run(main())
"""
    assert run(python, line, *QUIET) == "asyncloop\n"


def test_the_class_is_a_loop_factory(python) -> None:
    line = """
with asyncio.Runner(loop_factory=asyncloop.Loop) as runner:
    runner.run(main())
"""
    assert run(python, line, *QUIET) == "asyncloop\n"


def test_asyncloops_own_run(python) -> None:
    assert run(python, "asyncloop.run(main())", *QUIET) == "asyncloop\n"


@needs_policies
def test_a_policy(python) -> None:
    line = """
asyncio.set_event_loop_policy(asyncloop.EventLoopPolicy())
asyncio.run(main())
"""
    options = ("-W", "ignore::DeprecationWarning") if PY314 else QUIET
    assert run(python, line, *options) == "asyncloop\n"


@needs_policies
def test_install(python) -> None:
    line = "asyncloop.install()\nasyncio.run(main())"
    options = ("-W", "ignore::DeprecationWarning") if PY314 else QUIET
    assert run(python, line, *options) == "asyncloop\n"


def test_patch(python) -> None:
    line = "asyncloop.patch()\nasyncio.run(main())"
    assert run(python, line, *QUIET) == "asyncloop\n"


def test_a_loop_by_hand(python) -> None:
    line = """
loop = asyncloop.new_event_loop()
try:
    loop.run_until_complete(main())
finally:
    loop.close()
"""
    assert run(python, line, *QUIET) == "asyncloop\n"


def test_a_subclass_is_a_factory_too(python) -> None:
    line = """
class Mine(asyncloop.Loop):
    pass

with asyncio.Runner(loop_factory=Mine) as runner:
    runner.run(main())
"""
    assert run(python, line, *QUIET) == "__main__\n"


UNAWARE = """
import asyncio, subprocess, sys

async def main():
    print(type(asyncio.get_running_loop()).__module__, flush=True)

asyncio.run(main())
if sys.argv[1:]:
    subprocess.run([sys.executable, __file__], check=True)
"""


def test_sitecustomize_reaches_programs_that_programs_start(python) -> None:
    site = python.write(
        "site/sitecustomize.py", "import asyncloop\n\nasyncloop.patch()\n"
    )
    python.write("program.py", UNAWARE)
    path = python.environment()["PYTHONPATH"]
    python.env["PYTHONPATH"] = f"{site.parent}:{path}"
    out = python.succeed("-W", "error", "program.py", "again")
    assert out == "asyncloop\nasyncloop\n"


def test_programs_that_programs_start_are_on_asyncio_otherwise(
    python,
) -> None:
    python.write("program.py", UNAWARE)
    out = python.succeed("-m", "asyncloop", "run", "program.py", "again")
    assert out == "asyncloop\nasyncio.unix_events\n"


@pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="IsolatedAsyncioTestCase.loop_factory is new in 3.13",
)
def test_a_test_case_names_its_factory(python) -> None:
    python.write("test_it.py", """
import asyncio, unittest, asyncloop

class Test(unittest.IsolatedAsyncioTestCase):
    loop_factory = asyncloop.Loop

    async def test_it(self):
        self.assertIsInstance(asyncio.get_running_loop(), asyncloop.Loop)
""")
    done = python.run("-W", "error", "-m", "unittest", "-q", "test_it")
    assert done.returncode == 0 and "Ran 1 test" in done.stderr


def test_unittest_runs_unchanged_under_run(python) -> None:
    python.write("test_it.py", """
import asyncio, unittest

class Test(unittest.IsolatedAsyncioTestCase):
    async def test_it(self):
        loop = asyncio.get_running_loop()
        self.assertEqual(type(loop).__module__, "asyncloop")
""")
    done = python.run(
        "-m", "asyncloop", "run", "-m", "unittest", "-q", "test_it"
    )
    assert done.returncode == 0 and "Ran 1 test" in done.stderr, done
