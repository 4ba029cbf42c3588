"""The command: a child per module, two at a time, then the tables."""

from __future__ import annotations

import argparse
import concurrent.futures
import fnmatch
import importlib.util
import json
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import expectations, verdict
from conformance.routing import LOOPS
from conformance.verdict import ModuleRun, Outcome, Verdict

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SUITE = "test.test_asyncio"
# Between faulthandler's limit and the driver's own kill.
GRACE = 15.0
# Import of a module, and the time after its last test.
IDLE_LIMIT = 120.0
# A module is started anew after each hang or crash; past this many the
# loop is broken beyond what a list of tests can tell.
MAX_RESTARTS = 40


@dataclass
class Options:
    loop: str
    suite: str
    limit: float
    modes: frozenset[str]
    only: list[str] | None = None


class Child:
    """One process for one module; leaves when the module is through."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.log = (folder / "output").open("w+b")
        read_end, write_end = os.pipe()
        config = {**config, "events": write_end}
        self.buffer = b""
        self.events = read_end
        self.process = subprocess.Popen(
            [sys.executable, "-W", "default", "-bb", "-u",
             str(HERE / "child.py"), json.dumps(config)],
            pass_fds=[write_end], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT,
            cwd=folder / "cwd", env=child_environment(folder),
            start_new_session=True,
        )
        os.close(write_end)

    def next_event(self, timeout: float) -> dict[str, Any] | None:
        """The next event; None at the end; TimeoutError if none comes."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            gone = self.process.poll() is not None
            slice_ = 0 if gone else 1
            ready, _, _ = select.select([self.events], [], [], slice_)
            if not ready and gone:
                return None  # only what a test forked holds the pipe open
            if not ready and time.monotonic() > deadline:
                raise TimeoutError
            if not ready:
                continue
            data = os.read(self.events, 65536)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def finish(self) -> int:
        """Kill what is left of the process group; the exit status."""
        try:
            status = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(self.events)
        killed = self.process.wait()
        return killed if status is None else status

    def kill(self) -> None:
        self.process.kill()

    def output(self, size: int = 6000) -> str:
        end = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, end - size))
        return self.log.read().decode(errors="replace")


def python_path() -> str:
    """The caller's path first: it may name a build of its own."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([given, str(ROOT)] if given else [str(ROOT)])


def child_environment(folder: Path) -> dict[str, str]:
    env = dict(os.environ)
    for name in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONWARNINGS"):
        env.pop(name, None)  # the tests set what they need
    env["PYTHONPATH"] = python_path()
    env["TMPDIR"] = str(folder / "tmp")
    return env


class ModuleRunner:
    """Runs one module to its end, in as many processes as that takes."""

    def __init__(
        self, module: str, options: Options, expected: Any
    ) -> None:
        self.options = options
        self.expected = expected
        self.run = ModuleRun(module)
        self.listing = False
        self.restart = False
        self.fixtures: list[dict[str, str]] = []

    def chosen(self, test: str) -> bool:
        patterns = self.options.only
        return patterns is None or any(
            fnmatch.fnmatchcase(test, pattern) for pattern in patterns
        )

    def config(self) -> dict[str, Any]:
        run = self.run
        return {
            "suite": self.options.suite,
            "module": run.module,
            "loop": self.options.loop,
            "limit": self.options.limit,
            "modes": sorted(self.options.modes),
            "stock_suite": self.options.suite == SUITE,
            "leave_out": sorted(run.not_applicable | set(run.outcomes)),
            "only": None if self.listing else run.tests,
            "list_only": self.listing,
        }

    def execute(self) -> ModuleRun:
        started = time.monotonic()
        # The tests first: what does not apply must not be started.
        self.listing = True
        self.one_process()
        self.listing = False
        if self.run.tests:
            self.narrow()
            for _ in range(MAX_RESTARTS):
                self.restart = False
                self.one_process()
                if not self.restart:
                    break
            self.settle()
        self.run.seconds = time.monotonic() - started
        return self.run

    def narrow(self) -> None:
        run = self.run
        run.narrowed = self.options.only is not None
        run.tests = list(filter(self.chosen, run.tests))
        run.not_applicable = self.expected.not_applicable(run.tests)

    def one_process(self) -> None:
        with tempfile.TemporaryDirectory(
            prefix="conformance-", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            (folder / "cwd").mkdir()
            (folder / "tmp").mkdir()
            child = Child(self.config(), folder)
            try:
                self.follow(child)
            finally:
                child.log.close()

    def follow(self, child: Child) -> None:
        current: str | None = None
        done = timed_out = False
        while not done:
            limit = self.options.limit + GRACE if current else IDLE_LIMIT
            try:
                event = child.next_event(limit)
            except TimeoutError:
                child.kill()
                timed_out = True
                break
            if event is None:
                break
            current = self.handle(event, current)
            done = event["event"] in ("done", "module-skipped") or (
                self.listing and event["event"] == "tests"
            )
        status = child.finish()
        self.conclude(child, current, done, timed_out, status)

    def handle(self, event: dict[str, Any], current: str | None) -> str | None:
        """Note the event; the name of the test that is running now."""
        kind = event["event"]
        fields = {k: v for k, v in event.items() if k != "event"}
        if kind == "tests":
            if not self.run.tests:
                self.run.tests = fields["tests"]
        elif kind == "module-skipped":
            self.run.skipped = fields["reason"]
        elif kind == "start":
            return fields["test"]
        elif kind == "end":
            outcome = Outcome(**fields)
            self.run.outcomes[outcome.test] = outcome
            return None
        elif kind == "fixture":
            self.fixtures.append(fields)
        elif kind == "done":
            self.run.turns += fields["turns"]
        return current

    def conclude(
        self,
        child: Child,
        current: str | None,
        done: bool,
        timed_out: bool,
        status: int,
    ) -> None:
        """Say what the end of the process means."""
        output = child.output()
        if current is not None:
            hung = timed_out or "Timeout (" in output
            limit = f"no end within {self.options.limit:g} s"
            what = limit if hung else f"exit status {status}"
            self.run.outcomes[current] = Outcome(
                current,
                verdict.HUNG if hung else verdict.CRASHED,
                f"{what}\n{output}",
            )
            self.restart = True
        elif not done:
            self.run.broken.append(
                f"the process ended early, status {status}\n{output}"
            )
        elif status != 0 and not self.listing:
            self.run.broken.append(
                f"exit status {status} after the last test\n{output}"
            )

    def settle(self) -> None:
        """A test without an outcome is one that a fixture took away."""
        run = self.run
        for fixture in self.fixtures:
            if fixture["outcome"] == verdict.FAILED:
                run.broken.append(f"{fixture['test']}\n{fixture['detail']}")
        for test in run.tests:
            if test in run.outcomes or test in run.not_applicable:
                continue
            reason = self.fixture_skip(test)
            if reason is not None:
                outcome = Outcome(test, verdict.SKIPPED, reason)
            else:
                outcome = Outcome(test, verdict.LOST, self.why_lost())
            run.outcomes[test] = outcome

    def why_lost(self) -> str:
        if self.restart:
            return f"not run: given up after {MAX_RESTARTS} restarts"
        return "not run: a fixture or the process failed before it"

    def fixture_skip(self, test: str) -> str | None:
        """setUpClass or setUpModule raised SkipTest: its reason."""
        class_name = test.rsplit(".", 1)[0]
        for fixture in self.fixtures:
            if fixture["outcome"] != verdict.SKIPPED:
                continue
            where = fixture["test"].partition("(")[2].rstrip(")")
            if where.endswith((class_name, f".{self.run.module}")):
                return fixture["detail"]
        return None


def find_modules(suite: str) -> list[str]:
    spec = importlib.util.find_spec(suite)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            f"conformance: this Python has no package {suite} "
            "(on Debian: apt install libpython3.X-testsuite)"
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    return sorted(path.stem for path in folder.glob("test_*.py"))


def choose_modules(wanted: str | None, found: list[str]) -> list[str]:
    if wanted is None:
        return found
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise SystemExit(f"conformance: no such module: {', '.join(unknown)}")
    return names


def check_loop(loop: str) -> str:
    """Import the loop in a process of its own; what it is, in a line."""
    script = {
        "asyncio": "print('asyncio')",
        "uvloop": "import uvloop; print('uvloop', uvloop.__version__)",
        "asyncloop": "import asyncloop as a;"
        " print('asyncloop', a.__version__, 'libuv', a.libuv_version())",
    }[loop]
    env = {**os.environ, "PYTHONPATH": python_path()}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(
            f"conformance: {loop} does not import:\n{done.stderr}"
        )
    return done.stdout.strip()


def print_table(verdicts: list[Verdict]) -> None:
    columns = verdict.COLUMNS
    width = max(len(v.module) for v in verdicts)
    print()
    print("  ".join(["module".ljust(width), *columns]))
    rows = [(v.module, v.counts) for v in verdicts]
    rows.append(("total", verdict.total(verdicts)))
    for name, counts in rows:
        cells = [str(counts[c]).rjust(len(c)) for c in columns]
        print("  ".join([name.ljust(width), *cells]))


def print_grouped(verdicts: list[Verdict], *, verbose: bool) -> None:
    """Tests that are not passed, by cause."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in verdicts:
        for row in one.listed:
            key = row["outcome"], row["cause"]
            groups.setdefault(key, []).append(row["test"])
    if groups:
        print("\nnot passed, by cause:")
    for (outcome, cause), tests in sorted(groups.items()):
        print(f"  {len(tests):4} {outcome}: {cause}")
        if verbose:
            for test in tests:
                print(f"         {test}")


def print_problems(verdicts: list[Verdict]) -> None:
    for one in verdicts:
        for note in one.notes:
            print(f"note: {one.module}: {note}")
    for one in verdicts:
        for test, what in one.problems:
            print(f"\n=== {test}: {what}")


def write_report(
    path: str, head: dict[str, Any], runs: list[ModuleRun],
    verdicts: list[Verdict],
) -> None:
    modules = [
        verdict.as_json(run, one)
        for run, one in zip(runs, verdicts, strict=True)
    ]
    report = {**head, "total": verdict.total(verdicts), "modules": modules}
    Path(path).write_text(json.dumps(report, indent=1) + "\n")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance.py",
        description="Run CPython's own asyncio tests on asyncloop.",
    )
    add = parser.add_argument
    add("--modules", metavar="a,b", help="only these test modules")
    add("--tests", metavar="a,b",
        help="only these tests: full names or patterns")
    add("--report", metavar="FILE", help="write the results as JSON")
    add("--loop", choices=LOOPS, default="asyncloop")
    add("--debug-off", action="store_true",
        help="run IsolatedAsyncioTestCase without debug mode")
    add("--jobs", type=int, default=2, help="modules at a time (default 2)")
    add("--test-timeout", type=float, default=120.0, metavar="SECONDS",
        help="limit of one test (default 120)")
    add("--expectations", type=Path, metavar="FILE",
        default=HERE / "expectations.toml")
    add("--suite", default=SUITE, metavar="PACKAGE",
        help=f"package of test modules (default {SUITE})")
    add("--verbose", "-v", action="store_true",
        help="name every test that is not passed")
    return parser.parse_args(argv)


def announce(runner: ModuleRunner) -> ModuleRun:
    run = runner.execute()
    bad = sum(outcome.bad for outcome in run.outcomes.values())
    state = "skipped" if run.skipped else f"{len(run.outcomes)} tests"
    if bad or run.broken:
        state += f", {bad + len(run.broken)} not passed"
    print(f"{run.module}: {state}, {run.seconds:.0f} s", flush=True)
    return run


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    modes = frozenset(["debug-off"] if args.debug_off else [])
    context = expectations.Context(args.loop, modes=modes)
    tests = args.tests.split(",") if args.tests else None
    options = Options(args.loop, args.suite, args.test_timeout, modes, tests)
    wanted = args.modules
    if tests and wanted is None:
        wanted = ",".join(sorted({test.split(".")[0] for test in tests}))
    modules = choose_modules(wanted, find_modules(args.suite))
    subject = check_loop(args.loop)
    print(f"{subject} on CPython {platform.python_version()}, {args.suite}")
    expected = expectations.load(args.expectations, context)
    runners = [ModuleRunner(name, options, expected) for name in modules]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = list(pool.map(announce, runners))
    verdicts = [verdict.judge(run, expected) for run in runs]
    print_grouped(verdicts, verbose=args.verbose)
    print_problems(verdicts)
    print_table(verdicts)
    head = {"subject": subject, "python": platform.python_version(),
            "modes": sorted(modes)}
    if args.report:
        write_report(args.report, head, runs, verdicts)
    failed = sum(len(one.problems) for one in verdicts)
    print(f"\nconformance: {f'{failed} problems' if failed else 'passed'}")
    return 1 if failed else 0
