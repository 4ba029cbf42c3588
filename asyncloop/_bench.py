"""`python -m asyncloop bench`: this machine's figures in 20 seconds.

Each round takes every loop once, in a fresh interpreter; the figure of a row
is the least of the rounds. CPU time, since others use the machine, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from typing import Any, TextIO

import asyncloop
from asyncloop import _bench_rows, _info

ROUNDS = 3
# An interpreter that starts and ends.
START_SECONDS = 0.2

Table = dict[str, dict[str, float]]


class Progress:
    """A bar that is drawn again, or lines where it could not be."""

    def __init__(self, steps: int, file: TextIO) -> None:
        self.steps, self.done, self.file = steps, 0, file
        self.is_terminal = file.isatty()
        self.shown = 0

    def step(self, doing: str) -> None:
        self.done += 1
        percent = 100 * self.done // self.steps
        if self.is_terminal:
            filled = percent * 30 // 100
            bar = "#" * filled + "." * (30 - filled)
            print(f"\r[{bar}] {percent:3} %  {doing:<12}", end="",
                  file=self.file, flush=True)
        elif percent // 25 > self.shown:
            self.shown = percent // 25
            print(f"{percent} %", file=self.file, flush=True)

    def end(self) -> None:
        if self.is_terminal:
            print("\r" + " " * 56 + "\r", end="", file=self.file, flush=True)


def loops() -> list[str]:
    found = ["asyncio", "asyncloop"]
    module = sys.modules.get("uvloop")
    if not hasattr(module, "__asyncloop__"):
        if importlib.util.find_spec("uvloop") is not None:
            found.insert(1, "uvloop")
    return found


def sample(name: str, seconds: float, progress: Progress) -> dict[str, float]:
    """A round of one loop: microseconds of each row."""
    folder = os.path.dirname(os.path.dirname(asyncloop.__file__))
    inherited = os.environ.get("PYTHONPATH")
    env = {
        key: value for key, value in os.environ.items()
        if key not in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE")
    }
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, inherited)))
    figures: dict[str, float] = {}
    with subprocess.Popen(
        [sys.executable, "-m", _bench_rows.__name__, name, str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        for line in child.stdout:
            title, figures[title] = json.loads(line)
            progress.step(name)
        errors = child.stderr.read()
    if child.returncode != 0:
        raise RuntimeError(f"{name} failed:\n{errors}")
    return figures


def compare(seconds: float, progress_to: TextIO) -> Table:
    """For each row and loop the microseconds of an operation."""
    names = loops()
    starts = ROUNDS * len(names)
    parts = starts * len(_bench_rows.ROWS)
    each = max((seconds - starts * START_SECONDS) / parts, 0.01)
    progress = Progress(parts, progress_to)
    table: Table = {title: {} for title in _bench_rows.ROWS}
    for turn in range(ROUNDS):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            for title, value in sample(name, each, progress).items():
                least = table[title].get(name, value)
                table[title][name] = min(least, value)
    progress.end()
    return {
        title: {name: values[name] for name in names}
        for title, values in table.items()
    }


def show(table: Table) -> None:
    names = list(next(iter(table.values())))
    others = [name for name in names if name != "asyncloop"]
    heads = "".join(f"{name:>11}" for name in names)
    heads += "".join(f"{'vs ' + name:>12}" for name in others)
    print(f"{'microseconds of CPU per operation':<34}{heads}")
    for title, values in table.items():
        line = "".join(f"{values[name]:11.2f}" for name in names)
        for name in others:
            line += f"{values[name] / values['asyncloop']:11.2f}x"
        print(f"{title:<34}{line}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m asyncloop bench",
        description="Compare the event loops that are installed here.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--seconds", type=float, default=20, help="how long, about (20)"
    )
    options = parser.parse_args(arguments)
    try:
        table = compare(options.seconds, sys.stderr)
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        result: dict[str, Any] = {
            "unit": "microseconds of CPU per operation",
            "rounds": ROUNDS,
            "info": _info.report(),
            "rows": table,
        }
        print(json.dumps(result, indent=1))
    else:
        print(f"asyncloop {asyncloop.__version__}, libuv "
              f"{asyncloop.libuv_version()}, Python {sys.version.split()[0]}")
        show(table)
    return 0
