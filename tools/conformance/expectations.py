"""The expectations file: which tests are not passed, and why.

Each entry names tests by pattern, says what is expected of them, gives the
cause, and may be limited to Python versions, loops and modes.
"""

from __future__ import annotations

import fnmatch
import operator
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

FAILS = "fails"  # it runs and must fail: a pass is reported
UNSTABLE = "unstable"  # it runs; either outcome is accepted
NOT_APPLICABLE = "not-applicable"  # it does not run
STATUSES = (FAILS, UNSTABLE, NOT_APPLICABLE)
KEYS = {"status", "tests", "cause", "python", "loops", "modes"}

_OPERATORS: dict[str, Callable[..., bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_TERM = re.compile(r"(>=|<=|==|>|<)\s*(\d+(?:\.\d+)*)")


class ExpectationError(Exception):
    """The expectations file is wrong."""


def version_holds(condition: str, version: tuple[int, ...]) -> bool:
    """Does `version` meet a condition such as ">=3.12, <3.14"?"""
    for term in filter(None, map(str.strip, condition.split(","))):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ExpectationError(f"not a version condition: {term!r}")
        wanted = tuple(map(int, match[2].split(".")))
        # "==3.12" and "<=3.12" mean every 3.12.x
        if not _OPERATORS[match[1]](version[: len(wanted)], wanted):
            return False
    return True


@dataclass(frozen=True)
class Context:
    """What a run is: the conditions of the entries are held against it."""

    loop: str
    version: tuple[int, ...] = tuple(sys.version_info[:3])
    modes: frozenset[str] = frozenset()


@dataclass
class Expectation:
    status: str
    patterns: list[str]
    cause: str
    python: str = ""
    loops: list[str] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    matched: set[str] = field(default_factory=set)

    def applies(self, context: Context) -> bool:
        """Without `loops` an entry is for every loop but asyncio's own."""
        if self.loops:
            if context.loop not in self.loops:
                return False
        elif context.loop == "asyncio":
            return False
        if not all(self._mode_holds(mode, context) for mode in self.modes):
            return False
        return version_holds(self.python, context.version)

    @staticmethod
    def _mode_holds(mode: str, context: Context) -> bool:
        if mode.startswith("!"):
            return mode[1:] not in context.modes
        return mode in context.modes

    def covers(self, test: str) -> bool:
        for pattern in self.patterns:
            if fnmatch.fnmatchcase(test, pattern):
                self.matched.add(pattern)
                return True
        return False

    def unused(self, module: str) -> list[str]:
        """Patterns for `module` that matched none of its tests."""
        return [
            pattern
            for pattern in self.patterns
            if pattern not in self.matched
            and pattern.split(".", 1)[0] == module
        ]


@dataclass
class Expectations:
    entries: list[Expectation]
    no_loop: dict[str, str]  # module -> why it runs no loop

    def find(self, test: str) -> Expectation | None:
        """The first entry that covers `test`."""
        for entry in self.entries:
            if entry.covers(test):
                return entry
        return None

    def not_applicable(self, tests: list[str]) -> set[str]:
        found = ((test, self.find(test)) for test in tests)
        return {
            test
            for test, entry in found
            if entry is not None and entry.status == NOT_APPLICABLE
        }

    def unused(self, module: str) -> list[str]:
        return [p for entry in self.entries for p in entry.unused(module)]


def _parse_entry(raw: dict) -> Expectation:
    unknown = set(raw) - KEYS
    if unknown:
        raise ExpectationError(f"unknown keys {sorted(unknown)} in {raw}")
    if raw.get("status") not in STATUSES:
        raise ExpectationError(f"status must be one of {STATUSES}: {raw}")
    if not raw.get("tests") or not raw.get("cause", "").strip():
        raise ExpectationError(f"an entry needs tests and a cause: {raw}")
    python = raw.get("python", "")
    version_holds(python, (0,))  # a malformed condition fails at once
    return Expectation(
        status=raw["status"],
        patterns=list(raw["tests"]),
        cause=" ".join(raw["cause"].split()),
        python=python,
        loops=list(raw.get("loops", [])),
        modes=list(raw.get("modes", [])),
    )


def _parse_no_loop(raw: dict) -> tuple[str, str, str]:
    if not raw.get("module") or not raw.get("cause", "").strip():
        raise ExpectationError(f"no_loop needs module and cause: {raw}")
    cause = " ".join(raw["cause"].split())
    return raw["module"], cause, raw.get("python", "")


def load(path: Path | None, context: Context) -> Expectations:
    """Read the file; keep only the entries that apply to `context`."""
    if path is None:
        return Expectations([], {})
    with path.open("rb") as file:
        data = tomllib.load(file)
    entries = [_parse_entry(raw) for raw in data.get("expect", [])]
    no_loop = {
        module: cause
        for module, cause, python in map(
            _parse_no_loop, data.get("no_loop", [])
        )
        if version_holds(python, context.version)
    }
    applying = [entry for entry in entries if entry.applies(context)]
    return Expectations(applying, no_loop)
