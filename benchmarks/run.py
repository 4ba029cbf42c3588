"""Measure asyncloop beside asyncio and every rival at hand.

Each sample runs in a process of its own, pinned to one core.  A round takes
every row once on every loop, one loop after the other; the order of the loops
turns with each round.  The first round warms the machine and is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import child
import loops
import registry
import report

HERE = Path(__file__).resolve().parent
ROUNDS = 7
TIME_LIMIT = 120  # seconds for one sample
KEPT = "16777216"  # bytes that glibc keeps at the top of the heap
# Asked for by nobody, but inherited: they would change what is measured.
UNWANTED = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONMALLOC")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=ROUNDS, help="counted rounds (7)")
    add("--rows", help="names, separated by commas; see --list")
    add("--loops", help="names, separated by commas")
    add("--json", type=Path, metavar="FILE", help="write raw values here")
    add("--core", type=int, help="core to pin to (the last one)")
    add("--quick", action="store_true", help="3 rounds of short samples")
    add("--kept", action="store_true", help="MALLOC_TOP_PAD_ in children")
    add("--install", action="store_true", help="first install the rivals")
    add("--list", action="store_true", help="print the rows and leave")
    add("--profile", nargs=2, metavar=("ROW", "LOOP"), help="run in-process")
    add("--seconds", type=float, default=5.0, help="length of --profile")
    add("--count", type=int, default=0, help="repetitions of --profile")
    return parser.parse_args()


def pick(wanted: str | None, known: list[str], what: str) -> list[str]:
    """The names asked for, in our order; all of them by default."""
    if wanted is None:
        return known
    names = wanted.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(
            f"no such {what}: {', '.join(unknown)}; "
            f"there are: {', '.join(known)}"
        )
    return [name for name in known if name in names]


def install() -> None:
    """Put each rival into this virtual environment, or say why not."""
    if sys.prefix == sys.base_prefix:
        sys.exit("--install works in a virtual environment only")
    for rival in loops.RIVALS:
        # Wheels only: a build from source needs that rival's tool chain.
        command = [sys.executable, "-m", "pip", "install", "--quiet"]
        command += ["--upgrade", "--only-binary=:all:", rival]
        found = subprocess.run(command, capture_output=True, text=True)
        state = "installed" if found.returncode == 0 else "not available"
        note(f"{rival}: {state}")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def environment(kept: bool) -> dict[str, str]:
    """The children's environment: asyncloop found, no debug modes."""
    env = {key: value for key, value in os.environ.items()}
    for name in UNWANTED:
        env.pop(name, None)
    # Last, so that an installed or specially built asyncloop wins.
    path = [env.get("PYTHONPATH"), str(HERE.parent)]
    env["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    if kept:
        env["MALLOC_TOP_PAD_"] = KEPT
    return env


def run_child(
    arguments: list[str], core: int, env: dict[str, str]
) -> dict[str, Any]:
    """The child's JSON, or {"error": ...}."""
    command = [sys.executable, str(HERE / "child.py"), "--core", str(core)]
    try:
        done = subprocess.run(
            command + arguments,
            env=env,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no result in {TIME_LIMIT} s"}
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        return {"error": last or f"exit status {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def find_loops(
    names: list[str], core: int, env: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Describe each loop; print what is here and what is not."""
    found = {}
    for name in names:
        facts = run_child(["--describe", name], core, env)
        if "error" in facts:
            note(f"{name}: absent ({facts['error']})")
            continue
        found[name] = facts
        note(f"{name}: {facts['version']}")
    return found


def machine() -> dict[str, Any]:
    """What a reader needs to compare; nothing that names the machine."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    configured = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "python": platform.python_version(),
        "build": "free-threaded"
        if sysconfig.get_config_var("Py_GIL_DISABLED")
        else "GIL",
        "optimized": "--enable-optimizations" in configured,
        "compiler": platform.python_compiler(),
        "system": f"{platform.system()} {platform.machine()}",
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "cpu": model,
        "cores": os.cpu_count(),
        "memory GiB": round(memory / 2**30, 1),
    }


def measure(
    rows: list[str],
    names: list[str],
    rounds: int,
    seconds: float,
    core: int,
    env: dict[str, str],
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Samples by row and loop, without those of the warm-up round."""
    samples: dict[str, dict[str, list[dict[str, Any]]]] = {
        row: {name: [] for name in names} for row in rows
    }
    for number in range(rounds + 1):
        start = time.monotonic()
        shift = number % len(names)
        for row in rows:
            for name in names[shift:] + names[:shift]:
                arguments = ["--seconds", str(seconds), name, row]
                result = run_child(arguments, core, env)
                if "error" in result:
                    note(f"{row} on {name}: {result['error']}")
                if number:
                    samples[row][name].append(result)
        what = f"round {number}" if number else "warm-up"
        note(f"{what} of {rounds}: {time.monotonic() - start:.0f} s")
    return samples


def profile(options: argparse.Namespace, rows: list[str], core: int) -> None:
    """Run one row here, under whatever profiler started us."""
    (row,) = pick(options.profile[0], rows, "row")
    (name,) = pick(options.profile[1], list(loops.ALL), "loop")
    sys.path.append(str(HERE.parent))
    child.pin(core)
    found = registry.load()[row]
    done = child.profile(found, name, options.seconds, options.count)
    note(f"{done} operations of {row} on {name}")


def heading(found: dict[str, dict[str, Any]], facts: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {loop['version']}" for name, loop in found.items()
    )
    return "\n".join(
        [
            f"CPython {facts['python']} ({facts['build']}), {facts['cpu']}",
            versions,
            "Less is better; in brackets the ratio to uvloop, above 1 is "
            "better.",
            "Goals hold on CPython 3.14; elsewhere they are only reported.",
        ]
    )


def main() -> int:
    options = parse()
    rows = registry.load()
    core = options.core
    if core is None:
        core = max(os.sched_getaffinity(0))
    if options.list:
        for name, row in rows.items():
            print(f"{name:20} {row.title}")
        return 0
    if options.profile:
        profile(options, list(rows), core)
        return 0
    if options.install:
        install()
    chosen = pick(options.rows, list(rows), "row")
    names = pick(options.loops, list(loops.ALL), "loop")
    env = environment(options.kept)
    found = find_loops(names, core, env)
    if not found:
        sys.exit("none of the loops can be run")
    rounds = min(options.rounds, 3) if options.quick else options.rounds
    seconds = child.SAMPLE / (3 if options.quick else 1)
    samples = measure(chosen, list(found), rounds, seconds, core, env)
    done = {
        row: {
            "title": rows[row].title,
            "unit": rows[row].unit,
            "samples": samples[row],
            "summary": report.summary(rows[row], samples[row]),
        }
        for row in chosen
    }
    facts = machine()
    print(heading(found, facts))
    print()
    print(report.render(rows, done, list(found)))
    if options.json:
        whole = {
            "format": 1,
            "machine": facts,
            "loops": found,
            "rounds": rounds,
            "kept": options.kept,
            "core": core,
            "rows": done,
        }
        text = json.dumps(whole, indent=1) + "\n"
        options.json.write_text(text, encoding="utf-8")
    return exit_status(names, found, samples)


def exit_status(
    names: list[str],
    found: dict[str, dict[str, Any]],
    samples: dict[str, dict[str, list[dict[str, Any]]]],
) -> int:
    """1 when asyncloop was asked for and is absent or failed a sample.

    A missed goal is reported, not an error; a rival's failure neither.
    """
    if loops.OURS not in names:
        return 0
    ours = [
        entry
        for row in samples.values()
        for entry in row.get(loops.OURS, [])
    ]
    failed = any("error" in entry for entry in ours)
    return int(loops.OURS not in found or failed)


if __name__ == "__main__":
    sys.exit(main())
