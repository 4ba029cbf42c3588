#!/usr/bin/env python3
"""The measured figures of the README, from benchmarks/results.

    make chart

Writes docs/chart.svg and the table between the two marks in README.md. A row
that is in several files of results is taken from the one with the most loops
and rounds. After a new run only this has to be repeated; tests/docs checks
that it was.
"""

import json
import re
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CHART = ROOT / "docs" / "chart.svg"
README = ROOT / "README.md"
MARKS = "<!-- measured figures: begin -->", "<!-- measured figures: end -->"

# What stands in the README, and in what words.
ROWS = {
    "call_soon": "call_soon",
    "threadsafe_threads": "call_soon_threadsafe, from 4 threads",
    "timer_cancel": "call_later and cancel",
    "reader_toggled": "add_reader around each wait",
    "sleep0": "sleep(0)",
    "create_task": "create_task and await",
    "gather": "gather of 1 000",
    "queue": "an item through a Queue",
    "executor_single": "run_in_executor",
    "resolve_literal": "getaddrinfo of an address",
    "spawn": "a child process",
    "echo_1k": "echo 1 KiB, Protocol",
    "echo_64k": "echo 64 KiB, Protocol",
    "two_writes": "two writes for each message",
    "echo_sock": "echo 1 KiB, sock_recv",
    "udp_echo": "UDP echo",
    "accept": "accept, answer, close",
    "streams_1k": "streams, echo 1 KiB",
    "streams_readline": "streams, readline",
    "tls_echo_1k": "TLS, echo 1 KiB",
    "tls_handshake": "TLS, a connection",
    "uvicorn": "uvicorn, a request",
    "aiohttp_server": "aiohttp's server, a request",
}
# A column that a run did not measure stays empty.
COLUMNS = ("asyncio", "best rival", "asyncloop")

LEFT, WIDTH, LINE, BAR = 250, 760, 30, 9
COLOURS = {"asyncio": "#9aa5b1", "best rival": "#5b8def",
           "asyncloop": "#e4572e"}


def ratios(folder: Path = RESULTS) -> dict[str, dict[str, float | str]]:
    """For each row what the columns are, as ratios to uvloop's CPU time."""
    best: dict[str, tuple[tuple[int, int], dict]] = {}
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text("utf-8"))
        for name, row in data["rows"].items():
            loops = row["summary"]["loops"]
            rank = len(loops), data["rounds"]
            if name in ROWS and "asyncloop" in loops and "uvloop" in loops:
                best[name] = max(
                    best.get(name, ((0, 0), {})), (rank, row["summary"]),
                    key=lambda found: found[0],
                )
    found = {}
    for name in ROWS:
        if name not in best:
            continue
        summary = best[name][1]
        values = {
            loop: figures["to uvloop"]
            for loop, figures in summary["loops"].items()
            if figures.get("to uvloop")
        }
        rival = max(
            (loop for loop in ("rloop", "rsloop", "zuvloop")
             if loop in values),
            key=values.__getitem__, default=None,
        )
        found[name] = {
            "asyncio": values.get("asyncio"),
            "best rival": values.get(rival), "rival": rival,
            "asyncloop": values["asyncloop"],
        }
    return found


def table(found: dict) -> str:
    lines = ["| | asyncio | uvloop | best rival | asyncloop |",
             "|---|--:|--:|--:|--:|"]
    for name, values in found.items():
        cells = [ROWS[name], "", "1", "", ""]
        if values["asyncio"]:
            cells[1] = f"{values['asyncio']:.2f}"
        if values["rival"]:
            cells[3] = f"{values['best rival']:.2f} {values['rival']}"
        cells[4] = f"{values['asyncloop']:.2f}"
        if values["asyncloop"] > max(1, values["best rival"] or 0):
            cells[4] = f"**{cells[4]}**"
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    return re.sub(r"\|  (?=\|)", "| ", "\n".join(lines))


def scale(value: float) -> float:
    """Pixels; from 8 on a bar is cut and its figure tells."""
    return min(value, 8) / 8 * (WIDTH - LEFT - 60)


def chart(found: dict) -> str:
    height = 60 + LINE * len(found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}"'
        f' height="{height}" font-family="sans-serif" font-size="12">',
        "<title>Operations per CPU time, uvloop = 1</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="20" font-size="14" fill="#222222">Operations per'
        " CPU time, uvloop = 1; longer is faster, cut at 8</text>",
    ]
    for number, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + 140 * number
        parts.append(f'<rect x="{x}" y="30" width="10" height="10"'
                     f' fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="39" fill="#222222">{name}'
                     "</text>")
    top = 52
    for number, (name, values) in enumerate(found.items()):
        y = top + LINE * number
        parts.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end"'
                     f' fill="#222222">{escape(ROWS[name])}</text>')
        for place, column in enumerate(COLUMNS):
            value = values[column]
            if not value:
                continue
            at = y + place * BAR
            parts.append(
                f'<rect x="{LEFT}" y="{at}" width="{scale(value):.1f}"'
                f' height="{BAR - 1}" fill="{COLOURS[column]}"/>'
            )
            parts.append(
                f'<text x="{LEFT + scale(value) + 3:.1f}" y="{at + 8}"'
                f' font-size="9" fill="#444444">{value:.2f}</text>'
            )
    one = LEFT + scale(1)
    parts.append(f'<line x1="{one:.1f}" x2="{one:.1f}" y1="{top - 4}"'
                 f' y2="{height - 6}" stroke="#222222"'
                 ' stroke-dasharray="3 3"/>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def readme(found: dict, text: str) -> str:
    """The text with the table between the marks, behind its first
    paragraphs, which are written by hand."""
    before, rest = text.split(MARKS[0])
    middle, after = rest.split(MARKS[1])
    head = re.split(r"^\|", middle, maxsplit=1, flags=re.MULTILINE)[0]
    return (f"{before}{MARKS[0]}{head.rstrip()}\n\n{table(found)}\n"
            f"{MARKS[1]}{after}")


def main() -> int:
    found = ratios()
    CHART.write_text(chart(found), "utf-8")
    README.write_text(readme(found, README.read_text("utf-8")), "utf-8")
    print(f"{len(found)} rows into {CHART.relative_to(ROOT)} and"
          f" {README.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
