"""From samples to medians, ratios, and goals met or missed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

import loops
from registry import Goal, Row

# Samples of one row: loop -> one figure a round; a failed sample is None.
Values = dict[str, list[float | None]]


def good(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def median(values: Values, loop: str) -> float | None:
    """The median over the rounds, or None when no sample succeeded."""
    found = good(values.get(loop, []))
    return statistics.median(found) if found else None


def spread(values: Values, loop: str) -> float:
    """Half of the distance from least to most, as part of the median."""
    found = good(values[loop])
    middle = statistics.median(found)
    return (max(found) - min(found)) / 2 / abs(middle) if middle else 0.0


def ratio(values: Values, loop: str, to: str) -> float | None:
    """How much better ``loop`` is than ``to``: the median over rounds.

    Samples of one round ran one after the other, so what disturbs the
    machine for longer than that disturbs both and cancels out.
    """
    pairs = zip(values.get(loop, []), values.get(to, []), strict=False)
    found = [theirs / own for own, theirs in pairs if own and theirs]
    return statistics.median(found) if found else None


def best_rival(values: Values) -> str | None:
    """The rival with the least median."""
    found = {}
    for rival in loops.RIVALS:
        middle = median(values, rival)
        if middle is not None:
            found[rival] = middle
    return min(found, key=found.__getitem__) if found else None


def judge(goal: Goal, values: Values) -> dict[str, Any]:
    """What asyncloop reached of one goal, and whether that is enough.

    ``met`` is None where the goal could not be judged.
    """
    against: str | None = goal.against
    if goal.against == "value":
        reached = median(values, loops.OURS)
        met = None if reached is None else reached <= goal.bound
    else:
        if goal.against == "best rival":
            against = best_rival(values)
        reached = ratio(values, loops.OURS, against) if against else None
        met = None if reached is None else reached >= goal.bound
    return {
        "goal": str(goal),
        "against": against,
        "reached": reached,
        "met": met,
    }


def summary(row: Row, samples: dict[str, list[Any]]) -> dict[str, Any]:
    """Everything that is derived from the raw samples of one row."""
    values = series(samples, "value")
    table = {
        name: line(row, samples, values, name)
        for name in samples
        if median(values, name) is not None
    }
    # Lateness may be negative, so neither ratios nor a best one exist there.
    best = best_rival(values) if row.ratios else None
    return {
        "loops": table,
        "best rival": best,
        "asyncloop to best": ratio(values, loops.OURS, best) if best else None,
        "goals": [judge(goal, values) for goal in row.goals],
    }


def line(
    row: Row, samples: dict[str, list[Any]], values: Values, name: str
) -> dict[str, Any]:
    """One loop's cell."""
    cell: dict[str, Any] = {
        "median": median(values, name),
        "spread": spread(values, name),
        "to uvloop": ratio(values, name, loops.REFERENCE)
        if row.ratios
        else None,
    }
    extra = ("wall",) if row.threads else row.figures
    for figure in extra:
        cell[figure] = median(series(samples, figure), name)
    return cell


def series(samples: dict[str, list[Any]], figure: str) -> Values:
    return {
        name: [entry.get(figure) for entry in entries]
        for name, entries in samples.items()
    }


def number(value: float) -> str:
    """Three digits or more, no exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def render(
    rows: dict[str, Row], done: dict[str, dict[str, Any]], names: list[str]
) -> str:
    """The whole report, in Markdown."""
    parts = ["## Figures", ""]
    parts += figures_table(rows, done, names)
    extra = extra_table(rows, done, names)
    if extra:
        parts += ["", "## Beside them", "", *extra]
    if loops.OURS in names:
        parts += ["", "## Goals", "", *goals_table(rows, done)]
    failures = failures_list(rows, done, names)
    if failures:
        parts += ["", "## Failures", "", *failures]
    return "\n".join(parts)


def figures_table(
    rows: dict[str, Row], done: dict[str, dict[str, Any]], names: list[str]
) -> list[str]:
    lines = [["row", "unit", *names]]
    for name, result in done.items():
        row = rows[name]
        cells = [figure_cell(row, result["summary"], loop) for loop in names]
        lines.append([row.title, row.unit, *cells])
    return align(lines)


def figure_cell(row: Row, result: dict[str, Any], loop: str) -> str:
    cell = result["loops"].get(loop)
    if cell is None:
        return no_figure(row, loop)
    text = f"{number(cell['median'])} ±{cell['spread']:.0%}"
    if cell["to uvloop"] is not None:
        text += f" ({cell['to uvloop']:.2f})"
    return text


def no_figure(row: Row, loop: str) -> str:
    return "fails" if row.runs_on(loop) else "-"


def extra_table(
    rows: dict[str, Row], done: dict[str, dict[str, Any]], names: list[str]
) -> list[str]:
    """Wall time, p99 and the like: medians only."""
    lines = [["row", "figure", *names]]
    for name, result in done.items():
        row = rows[name]
        wall = ("wall",) if row.threads else row.figures
        for figure in wall:
            cells = []
            for loop in names:
                cell = result["summary"]["loops"].get(loop)
                value = cell[figure] if cell else None
                cells.append(
                    no_figure(row, loop) if value is None else number(value)
                )
            lines.append([row.title, figure, *cells])
    return align(lines) if len(lines) > 1 else []


def goals_table(
    rows: dict[str, Row], done: dict[str, dict[str, Any]]
) -> list[str]:
    lines = [["row", "best rival", "ratio to it", "goal", "reached", ""]]
    for name, result in done.items():
        found = result["summary"]
        to_best = found["asyncloop to best"]
        for goal in found["goals"]:
            lines.append(
                [
                    rows[name].title,
                    found["best rival"] or "",
                    "" if to_best is None else f"{to_best:.2f}",
                    goal["goal"],
                    ""
                    if goal["reached"] is None
                    else f"{goal['reached']:.2f}",
                    {True: "met", False: "MISSED", None: "not judged"}[
                        goal["met"]
                    ],
                ]
            )
    return align(lines)


def failures_list(
    rows: dict[str, Row], done: dict[str, dict[str, Any]], names: list[str]
) -> list[str]:
    """How often each loop failed a row, and what it said last."""
    found = []
    for name, result in done.items():
        for loop in names:
            samples = result["samples"].get(loop, [])
            errors = [entry for entry in samples if "error" in entry]
            if errors:
                found.append(
                    f"- {rows[name].title}, {loop}: {len(errors)} of "
                    f"{len(samples)}: {errors[-1]['error'][:100]}"
                )
    return found


def align(lines: list[list[str]]) -> list[str]:
    """A Markdown table whose source is readable as well."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return [
        "| "
        + " | ".join(
            cell.ljust(width)
            for cell, width in zip(cells, widths, strict=True)
        )
        + " |"
        for cells in lines
    ]
