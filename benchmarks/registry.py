"""The rows: what is measured, in which unit, and what is asked of it.

A timed row is a function ``row(loop, n)`` that does its work ``n`` times; the
harness chooses ``n`` and reads the clocks.  A measured row is a function
``row(loop)`` that returns its figures itself.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Loop = asyncio.AbstractEventLoop
Against = Literal["best rival", "uvloop", "asyncio", "value"]

SUBJECTS = ("scheduling", "timers", "tasks", "memory")
ROWS: dict[str, Row] = {}


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
    threads: bool = False  # show wall time too
    figures: tuple[str, ...] = field(default=())  # shown beside "value"


def timed(
    title: str, *goals: Goal, ops: int = 1, threads: bool = False
) -> Callable[[Callable[[Loop, int], None]], Callable[[Loop, int], None]]:
    """Register ``row(loop, n)``: ``n`` repetitions of ``ops`` operations."""

    def register(
        function: Callable[[Loop, int], None],
    ) -> Callable[[Loop, int], None]:
        name = function.__name__
        ROWS[name] = Row(
            name, title, "ns CPU/op", function, goals, ops, threads
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
) -> None:
    """Register ``row(loop)``, which returns ``{"value": ..., ...}``."""
    ROWS[name] = Row(name, title, unit, function, goals, figures=figures)


def load() -> dict[str, Row]:
    """Import every subject and return the rows in the table's order."""
    for subject in SUBJECTS:
        importlib.import_module(f"bench_{subject}")
    return ROWS
