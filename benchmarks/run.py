"""Measure asyncloop beside asyncio and every rival at hand.

Each sample runs in a process of its own, pinned to one core; where a second
process takes part, it has another core.  A round takes
every row once on every loop, one loop after the other; the order of the loops
turns with each round.  The first round warms the machine and is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import child
import clients
import loops
import network
import registry
import report

HERE = Path(__file__).resolve().parent
ROUNDS = 7
TIME_LIMIT = 120  # seconds for one sample
# What some rows need beside the loops.
PACKAGES = ("uvicorn", "httptools", "aiohttp", "websockets")
KEPT = "16777216"  # bytes that glibc keeps at the top of the heap
# Asked for by nobody, but inherited: they would change what is measured.
UNWANTED = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONMALLOC")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=ROUNDS, help="counted rounds (7)")
    add("--rows", help="names of rows or subjects; see --list")
    add(
        "--loops",
        help=f"names, separated by commas; also {loops.FALLBACK}",
    )
    add("--json", type=Path, metavar="FILE", help="write raw values here")
    add("--core", type=int, help="core of the measured process")
    add("--quick", action="store_true", help="3 rounds of short samples")
    heap = parser.add_mutually_exclusive_group()
    heap.add_argument(
        "--kept", action="store_true", help="MALLOC_TOP_PAD_ in children"
    )
    heap.add_argument(
        "--both", action="store_true", help="each row plain and kept"
    )
    add("--install", action="store_true", help="first install the rivals")
    add("--list", action="store_true", help="print the rows and leave")
    add("--profile", nargs=2, metavar=("ROW", "LOOP"), help="run in-process")
    add("--seconds", type=float, default=5.0, help="length of --profile")
    add("--count", type=int, default=0, help="repetitions of --profile")
    return parser.parse_args()


def pick(
    wanted: str | None,
    known: list[str],
    what: str,
    groups: dict[str, list[str]] | None = None,
) -> list[str]:
    """The names asked for, in our order; all of them by default."""
    if wanted is None:
        return known
    names = []
    for name in wanted.split(","):
        names += (groups or {}).get(name, [name])
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
    for name in (*loops.RIVALS, *PACKAGES):
        # Wheels only: a build from source needs that rival's tool chain.
        command = [sys.executable, "-m", "pip", "install", "--quiet"]
        command += ["--upgrade", "--only-binary=:all:", name]
        found = subprocess.run(command, capture_output=True, text=True)
        state = "installed" if found.returncode == 0 else "not available"
        note(f"{name}: {state}")
    install_wrk()


def install_wrk() -> None:
    """The load of the HTTP rows, a package of Debian's."""
    if shutil.which("wrk"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        note("wrk: not here; on Debian, as root: apt-get install wrk")
        return
    note("wrk: installing the Debian package")
    command = ["apt-get", "-qq", "-y", "install", "--no-install-recommends"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        [*command, "wrk"], env=env, capture_output=True, text=True
    )
    note("wrk: " + ("not available" if done.returncode else "installed"))


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
        if name == loops.LIMIT:
            clients.build("reference")
            found[name] = {"version": clients.version_of_libuv()}
            continue
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


def busy_seconds() -> tuple[float, float]:
    """CPU seconds so far: of the whole machine, of what we started."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]  # idle and waiting for the disk
    machine_wide = (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
    times = os.times()
    return machine_wide, sum(times[:4])


def share_of_others(before: tuple[float, float], start: float) -> float:
    """Which part of the machine's CPU time went to anybody but us."""
    after = busy_seconds()
    others = (after[0] - before[0]) - (after[1] - before[1])
    return others / (time.monotonic() - start) / (os.cpu_count() or 1)


def variants(
    rows: dict[str, registry.Row], chosen: list[str], options: Any
) -> dict[str, registry.Row]:
    """The lines of the table: a row may stand there plain and kept."""
    lines = {}
    for name in chosen:
        lacks = network.missing(rows[name])
        if lacks:
            note(f"{name}: left out, {lacks} is not here (see --install)")
            continue
        if not options.kept:
            lines[name] = rows[name]
        if options.kept or options.both:
            key = f"{name}, kept" if options.both else name
            lines[key] = rows[name].with_heap_kept()
    return lines


def take(row: registry.Row, name: str, options: Any) -> dict[str, Any]:
    """One sample, or {"error": ...}."""
    env = environment(row.kept)
    if row.load is not None:
        length = network.QUICK if options.quick else network.USUAL
        cores = network.default_cores(options.core)
        return network.sample(row, name, length, cores, env)
    seconds = child.SAMPLE / (3 if options.quick else 1)
    arguments = ["--seconds", str(seconds), "--subject", row.subject]
    arguments += [name, row.name]
    if not row.peer:
        return run_child(arguments, only_core(options), env)
    ours, other = network.default_cores(options.core)
    try:
        with network.peer(row, other) as more:
            return run_child(more + arguments, ours, env)
    except network.Failed as error:
        return {"error": str(error)}


def hopeless(samples: list[dict[str, Any]], name: str) -> bool:
    """A rival that has failed each time is not waited for any longer."""
    failed = all("error" in entry for entry in samples)
    return failed and len(samples) > 1 and name != loops.OURS


def measure(
    lines: dict[str, registry.Row], names: list[str], options: Any
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Samples by line and loop, without those of the warm-up round."""
    samples: dict[str, dict[str, list[dict[str, Any]]]] = {
        key: {name: [] for name in names if row.runs_on(name)}
        for key, row in lines.items()
    }
    # A look has no warm-up round: it is a third of its time.
    first = 1 if options.quick else 0
    for number in range(first, options.rounds + 1):
        start = time.monotonic()
        shift = number % len(names)
        for key, row in lines.items():
            for name in names[shift:] + names[:shift]:
                taken = samples[key].get(name)
                if taken is None:
                    continue
                if hopeless(taken, name):
                    taken.append(taken[-1])
                    continue
                result = take(row, name, options)
                if "error" in result:
                    note(f"{key} on {name}: {result['error']}")
                taken.append(result)
        what = f"round {number}" if number else "warm-up"
        spent = time.monotonic() - start
        note(f"{what} of {options.rounds}: {spent:.0f} s")
    if not first:
        for row_samples in samples.values():
            for taken in row_samples.values():
                del taken[0]
    return samples


def only_core(options: Any) -> int:
    """The core of a sample that needs one only."""
    if options.core is not None:
        return int(options.core)
    return max(os.sched_getaffinity(0))


def profile(options: argparse.Namespace, rows: list[str]) -> None:
    """Run one row here, under whatever profiler started us."""
    (row,) = pick(options.profile[0], rows, "row")
    (name,) = pick(options.profile[1], list(loops.KNOWN), "loop")
    sys.path.append(str(HERE.parent))
    found = registry.load()[row]
    if found.load is not None:
        network.profile(
            found, name, options.seconds, options.count, options.core
        )
        return
    core, other = only_core(options), -1
    if found.peer:
        core, other = network.default_cores(options.core)
    with network.peer(found, other) as more:
        child.pin(core)
        child.set_peer(more[1] if more else None)
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
            f"Others had {facts['used by others']:.0%} of the machine's CPU "
            "time meanwhile; it should be nearly nothing.",
            "Less is better; in brackets the ratio to uvloop, above 1 is "
            "better.",
            "Goals hold on CPython 3.14; elsewhere they are only reported.",
        ]
    )


def main() -> int:
    options = parse()
    # So that the processes that it started end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rows = registry.load()
    if options.install:
        install()
    if options.list:
        for name, row in rows.items():
            print(f"{name:20} {row.subject:12} {row.title}")
        return 0
    if options.profile:
        profile(options, list(rows))
        return 0
    if options.quick:
        options.rounds = min(options.rounds, 3)
    chosen = pick(options.rows, list(rows), "row", subjects(rows))
    lines = variants(rows, chosen, options)
    known = list(loops.ALL)
    if any(row.reference for row in lines.values()):
        known.append(loops.LIMIT)
    wanted = options.loops or ",".join(known)
    names = pick(wanted, [*known, loops.FALLBACK], "loop")
    found = find_loops(names, only_core(options), environment(options.kept))
    if not found:
        sys.exit("none of the loops can be run")
    before, start = busy_seconds(), time.monotonic()
    samples = measure(lines, list(found), options)
    others = share_of_others(before, start)
    done = {
        key: {
            "title": row.title,
            "unit": row.unit,
            "kept": row.kept,
            "samples": samples[key],
            "summary": report.summary(row, samples[key]),
        }
        for key, row in lines.items()
    }
    facts = {**machine(), "used by others": round(others, 2)}
    print(heading(found, facts))
    print()
    print(report.render(lines, done, list(found)))
    if options.json:
        save(options, facts, found, done)
    return exit_status(names, found, samples)


def subjects(rows: dict[str, registry.Row]) -> dict[str, list[str]]:
    """The rows of each subject, where the name is not a row's own."""
    groups: dict[str, list[str]] = {}
    for name, row in rows.items():
        groups.setdefault(row.subject, []).append(name)
    return {name: group for name, group in groups.items() if name not in rows}


def save(
    options: argparse.Namespace,
    facts: dict[str, Any],
    found: dict[str, dict[str, Any]],
    done: dict[str, dict[str, Any]],
) -> None:
    whole = {
        "format": 1,
        "machine": facts,
        "loops": found,
        "rounds": options.rounds,
        "cores": {
            "alone": only_core(options),
            "with another": network.default_cores(options.core),
        },
        "rows": done,
    }
    text = json.dumps(whole, indent=1) + "\n"
    options.json.write_text(text, encoding="utf-8")


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
