"""The rows: what is measured, in which unit, and what is asked of it.

A timed row is a function ``row(loop, n)`` that does its work ``n`` times; the
harness chooses ``n`` and reads the clocks.  A measured row is a function
``row(loop)`` that returns its figures itself.  A served row is a function
``row(loop, folder)`` that starts a server and returns its address; another
process puts the load on it and reads the clocks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import loops
from traffic import Load, Wrk

Loop = asyncio.AbstractEventLoop
Against = Literal["best rival", "uvloop", "asyncio", "C", "value"]

SUBJECTS = (
    "scheduling",
    "timers",
    "tasks",
    "executors",
    "resolver",
    "process",
    "network",
    "streams",
    "web",
    "tls",
    "memory",
    "start",
)
ROWS: dict[str, Row] = {}

# What a row keeps from one repetition to the next, and what ends that.
KEPT: list[Any] = []
AT_END: list[Callable[[Loop], None]] = []


@dataclass(frozen=True)
class Goal:
    """What asyncloop has to reach.

    Against a loop the bound is a least ratio (above 1 is better for
    asyncloop); against "value" it is the most that the figure may be.
    """

    against: Against
    bound: float

    def __str__(self) -> str:
        if self.against == "value":
            return f"value <= {self.bound:g}"
        return f"ratio to {self.against} >= {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    unit: str
    function: Callable[..., Any]
    goals: tuple[Goal, ...] = ()
    ops: int = 0  # operations in one repetition; 0: the row measures itself
    threads: bool = False  # others take part: show wall time too
    figures: tuple[str, ...] = field(default=())  # shown beside "value"
    ratios: bool = True  # False where the figure may be negative
    without: tuple[str, ...] = ()  # loops that the row makes no sense for
    load: Load | Wrk | None = None  # of a served row
    peer: str = ""  # what a timed row talks to: a mode of clients/peer.c
    reference: tuple[str, ...] = ()  # arguments of clients/reference.c
    needs: tuple[str, ...] = ()  # distributions beside the loops
    goals_kept: tuple[Goal, ...] | None = None  # where they are others
    kept: bool = False  # this line is measured with the heap kept

    @property
    def subject(self) -> str:
        """Of bench_<subject>.py, where the row is defined."""
        function = getattr(self.function, "func", self.function)
        return str(function.__module__).removeprefix("bench_")

    @property
    def is_tls(self) -> bool:
        return self.load is not None and self.load.tls

    def runs_on(self, loop: str) -> bool:
        if loop == loops.LIMIT:
            return bool(self.reference)
        return loop not in self.without

    def with_heap_kept(self) -> Row:
        """The same row, measured with the C heap kept."""
        goals = self.goals if self.goals_kept is None else self.goals_kept
        title = f"{self.title}; heap kept"
        return dataclasses.replace(self, title=title, goals=goals, kept=True)


def timed(
    title: str,
    *goals: Goal,
    ops: int = 1,
    threads: bool = False,
    peer: str = "",
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[[Loop, int], None]], Callable[[Loop, int], None]]:
    """Register ``row(loop, n)``: ``n`` repetitions of ``ops`` operations."""

    def register(
        function: Callable[[Loop, int], None],
    ) -> Callable[[Loop, int], None]:
        name = function.__name__
        ROWS[name] = Row(
            name,
            title,
            "ns CPU/op",
            function,
            goals,
            ops,
            threads or bool(peer),
            peer=peer,
            needs=needs,
        )
        return function

    return register


def measured(
    name: str,
    title: str,
    unit: str,
    function: Callable[[Loop], dict[str, float]],
    *goals: Goal,
    figures: tuple[str, ...] = (),
    ratios: bool = True,
    without: tuple[str, ...] = (),
) -> None:
    """Register ``row(loop)``, which returns ``{"value": ..., ...}``."""
    ROWS[name] = Row(
        name,
        title,
        unit,
        function,
        goals,
        figures=figures,
        ratios=ratios,
        without=without,
    )


def served(
    title: str,
    *goals: Goal,
    load: Load | Wrk,
    kept: tuple[Goal, ...] | None = None,
    reference: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[[Loop, Path], str]], Callable[[Loop, Path], str]]:
    """Register ``row(loop, folder)``: a server, and the load it is under."""

    def register(
        function: Callable[[Loop, Path], str],
    ) -> Callable[[Loop, Path], str]:
        name = function.__name__
        ROWS[name] = Row(
            name,
            title,
            load.unit,
            function,
            goals,
            figures=load.figures,
            load=load,
            reference=reference,
            needs=needs,
            goals_kept=kept,
        )
        return function

    return register


def load(*subjects: str) -> dict[str, Row]:
    """Import the subjects, or all, and return rows in the table's order."""
    for subject in subjects or SUBJECTS:
        importlib.import_module(f"bench_{subject}")
    return ROWS


def peer() -> tuple[str, int]:
    """Where the peer of this row listens; the harness has started it."""
    return PEER[0]


PEER: list[tuple[str, int]] = []
