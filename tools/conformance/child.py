"""One test module in one process: an event, as a line of JSON, per step.

Started by the driver, which passes a JSON object as the only argument and
reads the events from the descriptor named in it.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import sys
import time
import traceback
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# These borrow functions of the real BaseEventLoop to make it refuse.
KEEP_BASE_CLASS = {"test_sendfile"}
DETAIL_LIMIT = 6000  # characters kept of a traceback; the end says most


class Reporter:
    """Events go to the driver at once: the next step may kill us."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)  # not for what the tests start
        self.fd = fd
        self.pid = os.getpid()

    def send(self, event: str, **fields: Any) -> None:
        if os.getpid() != self.pid:
            return  # a child that a test forked has nothing to report
        line = json.dumps({"event": event, **fields}) + "\n"
        os.write(self.fd, line.encode())


def flatten(suite: Any) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


class Result(unittest.TestResult):
    """Reports each test, guards each with the time limit."""

    def __init__(self, reporter: Reporter, canary: Any, limit: float):
        super().__init__()
        self.reporter = reporter
        self.canary = canary
        self.limit = limit
        self.prefix = ""
        self.reset()

    def reset(self) -> None:
        # Also after each test: 3.12.1 stops skipped tests unstarted.
        self.outcome = PASSED
        self.details: list[str] = []
        self.marks = self.canary.marks()
        self.started = time.monotonic()

    def name(self, test: Any) -> str:
        return test.id().removeprefix(self.prefix)

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.reset()
        self.reporter.send("start", test=self.name(test))
        # A thread written in C: it fires even when no Python code can run.
        faulthandler.dump_traceback_later(self.limit, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        runs, foreign = self.canary.marks()
        self.reporter.send(
            "end",
            test=self.name(test),
            outcome=self.outcome,
            detail="\n".join(self.details)[-DETAIL_LIMIT:],
            seconds=round(time.monotonic() - self.started, 3),
            runs=runs - self.marks[0],
            foreign=foreign - self.marks[1],
        )
        # What one test leaves behind must not warn in the midst of another
        # that counts warnings.
        gc.collect()
        self.reset()

    def _fail(self, test: Any, detail: str) -> None:
        if isinstance(test, unittest.TestCase):
            self.outcome = FAILED
            self.details.append(detail)
        else:  # set-up or tear-down of a class or of the module
            self.reporter.send(
                "fixture", test=self.name(test), outcome=FAILED, detail=detail
            )

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._fail(test, "".join(traceback.format_exception(*err)))

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._fail(test, "".join(traceback.format_exception(*err)))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            text = "".join(traceback.format_exception(*err))
            self._fail(test, f"{subtest}\n{text}")

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        if isinstance(test, unittest.TestCase):
            if self.outcome == PASSED:
                self.outcome = SKIPPED
                self.details.append(reason)
        else:
            self.reporter.send(
                "fixture", test=self.name(test), outcome=SKIPPED, detail=reason
            )

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._fail(test, "unexpected success by the suite's own decorator")


def load_module(config: dict[str, Any]) -> list[unittest.TestCase]:
    module = importlib.import_module(f"{config['suite']}.{config['module']}")
    suite = unittest.TestLoader().loadTestsFromModule(module)
    return list(flatten(suite))


def select(
    tests: list[unittest.TestCase], result: Result, config: dict[str, Any]
) -> unittest.TestSuite:
    """The tests to run, under suites that keep class fixtures together."""
    leave_out = set(config["leave_out"])
    only = config["only"]
    suite = unittest.TestSuite()
    for test in tests:
        name = result.name(test)
        if name in leave_out or (only is not None and name not in only):
            continue
        suite.addTest(test)
    return suite


def run(config: dict[str, Any]) -> None:
    from conformance import routing

    reporter = Reporter(config["events"])
    faulthandler.enable()
    canary = routing.install(
        config["loop"],
        virtual_time=config["stock_suite"],
        base_class=config["module"] not in KEEP_BASE_CLASS,
    )
    if "debug-off" in config["modes"]:
        routing.debug_off()
    try:
        tests = load_module(config)
    except unittest.SkipTest as skip:
        reporter.send("module-skipped", reason=str(skip))
        return
    result = Result(reporter, canary, config["limit"])
    result.prefix = f"{config['suite']}."
    reporter.send("tests", tests=[result.name(test) for test in tests])
    if config["list_only"]:
        return
    select(tests, result, config).run(result)
    reporter.send(
        "done", runs=canary.runs, foreign=canary.foreign, turns=canary.turns
    )


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
