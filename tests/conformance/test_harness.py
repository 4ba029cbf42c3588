"""The referee's own rules, on tiny suites that break one of them each.

These run on stock asyncio: what is under test is the harness.
"""

import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "conformance.py"

pytestmark = pytest.mark.conformance

PASSING = """
    import asyncio
    import unittest

    class T(unittest.IsolatedAsyncioTestCase):
        async def test_sleep(self):
            await asyncio.sleep(0)
"""


@dataclass
class Done:
    """The outcome of one run of the tool."""

    status: int
    output: str
    report: dict

    def module(self, name: str) -> dict:
        return next(m for m in self.report["modules"] if m["module"] == name)

    def problems(self, name: str) -> dict[str, str]:
        found = self.module(name)["problems"]
        return {problem["test"]: problem["what"] for problem in found}


class FakeSuite:
    """A package of test modules and an expectations file for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "fakesuite"
        self.package.mkdir()
        (self.package / "__init__.py").touch()
        self.expectations = folder / "expectations.toml"
        self.expectations.write_text("")

    def add(self, module: str, source: str) -> None:
        path = self.package / f"{module}.py"
        path.write_text(textwrap.dedent(source))

    def expect(self, **entry: object) -> None:
        self._append("expect", entry)

    def no_loop(self, module: str) -> None:
        self._append("no_loop", {"module": module, "cause": "it says so"})

    def _append(self, table: str, entry: dict[str, object]) -> None:
        # JSON's strings and lists of strings are TOML's as well
        lines = [f"{key} = {json.dumps(v)}" for key, v in entry.items()]
        with self.expectations.open("a") as file:
            file.write("\n".join([f"[[{table}]]", *lines, ""]))

    def run(self, *arguments: str) -> Done:
        report = self.folder / "report.json"
        command = [
            sys.executable, str(TOOL), "--loop", "asyncio",
            "--suite", "fakesuite", "--test-timeout", "2",
            "--expectations", str(self.expectations),
            "--report", str(report), *arguments,
        ]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={"PYTHONPATH": str(self.folder), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=100,
        )
        output = done.stdout + done.stderr
        assert report.exists(), output
        return Done(done.returncode, output, json.loads(report.read_text()))


@pytest.fixture
def suite(tmp_path: Path) -> FakeSuite:
    return FakeSuite(tmp_path)


def test_passing_suite_passes(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING)
    done = suite.run()
    assert done.status == 0, done.output
    counts = done.module("test_good")["counts"]
    assert counts["passed"] == counts["run"] == counts["on our loop"] == 1
    assert counts["unexpected"] == 0


def test_unexpected_failure_fails_the_run(suite: FakeSuite) -> None:
    suite.add("test_bad", PASSING + "            assert 1 == 2\n")
    done = suite.run()
    assert done.status == 1
    what = done.problems("test_bad")["test_bad.T.test_sleep"]
    assert what.startswith("failed")
    assert "AssertionError" in what


def test_expected_failure_is_counted_with_its_cause(suite: FakeSuite) -> None:
    suite.add("test_bad", PASSING + "            assert 1 == 2\n")
    suite.expect(status="fails", loops=["asyncio"], cause="one is not two",
                 tests=["test_bad.*"])
    done = suite.run()
    assert done.status == 0, done.output
    module = done.module("test_bad")
    assert module["counts"]["expected failures"] == 1
    assert module["not passed"][0]["cause"] == "one is not two"


def test_failed_subtest_fails_its_test(suite: FakeSuite) -> None:
    suite.add("test_bad", PASSING + """
            with self.subTest(part=1):
                self.fail("in part")
    """)
    done = suite.run()
    what = done.problems("test_bad")["test_bad.T.test_sleep"]
    assert "part=1" in what


def test_unexpected_pass_fails_the_run(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING)
    suite.expect(status="fails", loops=["asyncio"], cause="no longer true",
                 tests=["test_good.T.test_sleep"])
    done = suite.run()
    assert done.status == 1
    what = done.problems("test_good")["test_good.T.test_sleep"]
    assert what.startswith("unexpected pass")


def test_vacuous_module_fails_the_run(suite: FakeSuite) -> None:
    suite.add("test_idle", """
        import unittest

        class T(unittest.TestCase):
            def test_nothing(self):
                self.assertTrue(True)
    """)
    done = suite.run()
    assert done.status == 1
    assert done.problems("test_idle")["test_idle"].startswith("vacuous")
    suite.no_loop("test_idle")
    assert suite.run().status == 0


def test_module_listed_as_idle_may_not_run_the_loop(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING)
    suite.no_loop("test_good")
    done = suite.run()
    assert done.status == 1
    assert "listed as running no loop" in done.output


def test_hang_is_named_and_the_rest_runs(suite: FakeSuite) -> None:
    suite.add("test_slow", PASSING + """
        async def test_a_hangs(self):
            await asyncio.Event().wait()

        async def test_b_blocks(self):
            import threading
            threading.Lock().acquire() and threading.Event().wait()
    """)
    done = suite.run()
    assert done.status == 1
    problems = done.problems("test_slow")
    assert sorted(problems) == [
        "test_slow.T.test_a_hangs", "test_slow.T.test_b_blocks",
    ]
    assert all(what.startswith("hung") for what in problems.values())
    assert "no end within 2 s" in problems["test_slow.T.test_a_hangs"]
    assert done.module("test_slow")["counts"]["passed"] == 1


def test_crash_is_named_and_the_rest_runs(suite: FakeSuite) -> None:
    suite.add("test_crash", PASSING + """
        async def test_a_dies(self):
            import os, signal
            os.kill(os.getpid(), signal.SIGSEGV)
    """)
    done = suite.run()
    assert done.status == 1
    problems = done.problems("test_crash")
    assert list(problems) == ["test_crash.T.test_a_dies"]
    assert problems["test_crash.T.test_a_dies"].startswith("crashed")
    assert done.module("test_crash")["counts"]["passed"] == 1


def test_crash_at_exit_fails_the_run(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING + """
    import atexit, os
    atexit.register(os._exit, 3)
    """)
    done = suite.run()
    assert done.status == 1
    assert "exit status 3" in done.problems("test_good")["test_good"]


def test_class_fixture_that_fails_is_reported(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING + """
    class U(T):
        @classmethod
        def setUpClass(cls):
            raise OSError("no room")
    """)
    done = suite.run()
    assert done.status == 1
    problems = done.problems("test_good")
    assert "no room" in problems["test_good"]
    assert problems["test_good.U.test_sleep"].startswith("lost")


def test_skips_are_listed_with_their_reason(suite: FakeSuite) -> None:
    suite.add("test_skip", PASSING + """
        @unittest.skip("one reason")
        async def test_one(self):
            pass

    class U(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            raise unittest.SkipTest("another reason")

        def test_two(self):
            pass
    """)
    suite.add("test_gone", """
        import unittest
        raise unittest.SkipTest("support files are missing")
    """)
    done = suite.run()
    assert done.status == 0, done.output
    module = done.module("test_skip")
    assert module["counts"]["skipped"] == 2
    causes = [row["cause"] for row in module["not passed"]]
    assert causes == ["one reason", "another reason"]
    assert "support files are missing" in done.output


def test_not_applicable_tests_do_not_run(suite: FakeSuite) -> None:
    suite.add("test_bad", PASSING + """
        def test_stock_only(self):
            raise SystemExit("it ran")
    """)
    suite.expect(status="not-applicable", loops=["asyncio"],
                 cause="tests another thing",
                 tests=["test_bad.*.test_stock*"])
    done = suite.run()
    assert done.status == 0, done.output
    assert done.module("test_bad")["counts"]["not applicable"] == 1


def test_expectations_for_other_loops_do_not_apply(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING)
    suite.expect(status="fails", cause="asyncloop differs",
                 tests=["test_good.*"])
    assert suite.run().status == 0


@pytest.mark.parametrize(
    ("python", "status"), [(">=3.11", 1), (">=3.11, <3.11", 0), ("<3.11", 0)]
)
def test_version_conditions(
    suite: FakeSuite, python: str, status: int
) -> None:
    suite.add("test_good", PASSING)
    suite.expect(status="fails", loops=["asyncio"], python=python,
                 cause="once", tests=["test_good.*"])
    assert suite.run().status == status


def test_debug_off_reaches_isolated_tests(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING + """
            self.assertFalse(asyncio.get_running_loop().get_debug())
    """)
    assert suite.run().status == 1
    assert suite.run("--debug-off").status == 0


def test_selected_tests_run_alone(suite: FakeSuite) -> None:
    suite.add("test_good", PASSING + """
        async def test_other(self):
            self.fail("not chosen")
    """)
    suite.add("test_more", "raise ValueError('not chosen')")
    done = suite.run("--tests", "test_good.T.test_sleep")
    assert done.status == 0, done.output
    assert done.module("test_good")["counts"]["tests"] == 1


def test_import_error_of_a_module_fails_the_run(suite: FakeSuite) -> None:
    suite.add("test_broken", "raise ValueError('no such thing')")
    done = suite.run()
    assert done.status == 1
    assert "no such thing" in done.problems("test_broken")["test_broken"]
