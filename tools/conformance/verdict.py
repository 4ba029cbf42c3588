"""What happened to each test of a module, against what was expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from conformance.expectations import (
    FAILS,
    NOT_APPLICABLE,
    UNSTABLE,
    Expectations,
)

# What a child says of a test, and what the driver says for it.
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
HUNG, CRASHED, LOST = "hung", "crashed", "lost"

COLUMNS = (
    "tests",
    "run",
    "passed",
    "expected failures",
    "skipped",
    "not applicable",
    "unexpected",
    "on our loop",
)


@dataclass
class Outcome:
    test: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    runs: int = 0  # how often the loop under test was run
    foreign: int = 0  # how often another loop was

    @property
    def bad(self) -> bool:
        return self.outcome not in (PASSED, SKIPPED)


@dataclass
class ModuleRun:
    """All that the children of one module reported."""

    module: str
    tests: list[str] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    not_applicable: set[str] = field(default_factory=set)
    skipped: str | None = None  # why the whole module was
    broken: list[str] = field(default_factory=list)  # failures of no test
    narrowed: bool = False  # only some of its tests were asked for
    turns: int = 0
    seconds: float = 0.0

    @property
    def runs(self) -> int:
        return sum(outcome.runs for outcome in self.outcomes.values())

    @property
    def foreign(self) -> int:
        return sum(outcome.foreign for outcome in self.outcomes.values())


@dataclass
class Verdict:
    """`problems` are what makes the run fail; `notes` only tell."""

    module: str
    counts: dict[str, int]
    problems: list[tuple[str, str]]
    notes: list[str]
    listed: list[dict[str, str]]  # every test that is not passed, with cause


def _unexpected(outcome: Outcome, status: str | None) -> str | None:
    """The kind of surprise, or None."""
    if status == FAILS and outcome.outcome == PASSED:
        return "unexpected pass"
    if status is None and outcome.bad:
        return outcome.outcome
    if status is None and outcome.foreign and not outcome.runs:
        return "ran another loop, never the one under test"
    return None


def _row(test: str, outcome: str, cause: str) -> dict[str, str]:
    return {"test": test, "outcome": outcome, "cause": cause}


def _vacuity(run: ModuleRun, expected: Expectations) -> str | None:
    """A module that never ran the loop under test proves nothing."""
    ran = [o for o in run.outcomes.values() if o.outcome != SKIPPED]
    listed = run.module in expected.no_loop
    if ran and run.runs == 0 and not listed:
        return "vacuous: no test ran the loop under test"
    if listed and run.runs:
        return f"listed as running no loop, but ran it {run.runs} times"
    return None


def judge(run: ModuleRun, expected: Expectations) -> Verdict:
    counts = dict.fromkeys(COLUMNS, 0)
    verdict = Verdict(run.module, counts, [], [], [])
    if run.skipped is not None:
        verdict.notes.append(f"module skipped: {run.skipped}")
        verdict.listed.append(_row(run.module, SKIPPED, run.skipped))
    for text in run.broken:
        verdict.problems.append((run.module, text))
    counts["tests"] = len(run.tests)
    for test in run.tests:
        _judge_test(test, run, expected, verdict)
    vacuous = _vacuity(run, expected)
    if vacuous is not None:
        verdict.problems.append((run.module, vacuous))
    if run.tests and not run.narrowed:
        for pattern in expected.unused(run.module):
            verdict.notes.append(f"expectation matches no test: {pattern}")
    counts["unexpected"] = len(verdict.problems)
    return verdict


def _judge_test(
    test: str, run: ModuleRun, expected: Expectations, verdict: Verdict
) -> None:
    counts = verdict.counts
    entry = expected.find(test)
    if test in run.not_applicable and entry is not None:
        counts["not applicable"] += 1
        verdict.listed.append(_row(test, NOT_APPLICABLE, entry.cause))
        return
    outcome = run.outcomes[test]
    if outcome.outcome == SKIPPED:
        counts["skipped"] += 1
        verdict.listed.append(_row(test, SKIPPED, outcome.detail))
        return
    counts["run"] += 1
    counts["on our loop"] += bool(outcome.runs)
    surprise = _unexpected(outcome, entry.status if entry else None)
    if surprise is not None:
        text = f"{surprise}\n{outcome.detail}".strip()
        verdict.problems.append((test, text))
    if outcome.outcome == PASSED:
        counts["passed"] += 1
        if entry is not None and entry.status == UNSTABLE:
            verdict.notes.append(f"passed this time: {test}")
    elif entry is not None:
        counts["expected failures"] += 1
        verdict.listed.append(_row(test, outcome.outcome, entry.cause))


def total(verdicts: list[Verdict]) -> dict[str, int]:
    return {
        column: sum(verdict.counts[column] for verdict in verdicts)
        for column in COLUMNS
    }


def as_json(run: ModuleRun, verdict: Verdict) -> dict[str, Any]:
    return {
        "module": run.module,
        "counts": verdict.counts,
        "problems": [
            {"test": test, "what": what} for test, what in verdict.problems
        ],
        "not passed": verdict.listed,
        "notes": verdict.notes,
        "loop runs": run.runs,
        "other loops run": run.foreign,
        "loop turns": run.turns,
        "seconds": round(run.seconds, 1),
        "tests": {
            name: {
                "outcome": outcome.outcome,
                "seconds": outcome.seconds,
                "runs": outcome.runs,
            }
            for name, outcome in sorted(run.outcomes.items())
        },
    }
