#!/usr/bin/env python3
"""The test suites of other projects, on asyncloop and on stock asyncio.

    make upstream
    make upstream ARGS="anyio asyncpg"
    make upstream ARGS="anyio -- -k test_tls"

Each suite is taken from the project's source distribution and runs against
its wheel, first on stock asyncio and then on asyncloop, which is put in by a
sitecustomize that replaces asyncio.new_event_loop. Only the tests that end
differently are printed. Those that a second run of both does not confirm
are called unsteady, and those whose reason stands in upstream.toml expected;
neither counts.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import pathlib
import platform
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree

import ecosystem

ROOT = ecosystem.ROOT
TESTS = ROOT / "tests"
SITE = TESTS / "interop" / "kit" / "site"
BUILD = ROOT / "build" / "upstream"
VENV = ROOT / ".venv" / "upstream-{}.{}".format(*sys.version_info)
PYTHON = str(VENV / "bin" / "python")
KINDS = ("asyncio", "asyncloop")
# Of one test, and of a suite.
TEST_SECONDS, SUITE_SECONDS = 60, 1500
UNRAISABLE = "pytest.PytestUnraisableExceptionWarning"


def version_of(package: str) -> str:
    return subprocess.run(
        [PYTHON, "-c", "import importlib.metadata as m, sys\n"
         "print(m.version(sys.argv[1]))", package],
        check=True, text=True, stdout=subprocess.PIPE,
    ).stdout.strip()


def unpack(name: str, suite: dict) -> pathlib.Path:
    """The tests of the installed version, without the code under test."""
    version = version_of(name)
    folder = BUILD / f"{name}-{version}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=BUILD) as work:
            ecosystem.call(
                PYTHON, "-m", "pip", "-q", "download", "--no-deps",
                "--no-binary", name, "-d", work, f"{name}=={version}",
            )
            [archive] = pathlib.Path(work).glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(work, filter="data")
            [source] = (one for one in pathlib.Path(work).iterdir()
                        if one.is_dir())
            made = pathlib.Path(work) / "made"
            made.mkdir()
            for part in {"tests", *suite["keep"]}:
                if (source / part).exists():
                    (source / part).rename(made / part)
            if not suite["keep"]:
                # Or pytest takes the settings of this checkout.
                (made / "pytest.ini").write_text("[pytest]\n")
            made.rename(folder)
    return folder


def outcomes(report: pathlib.Path) -> dict[str, str]:
    """How each test ended: passed, failed, skipped; and why it failed."""
    ended = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        how = "passed"
        for child in case:
            if child.tag in ("failure", "error"):
                lines = (child.get("message") or "").splitlines() or [""]
                how = f"failed: {lines[0][:160]}"
            elif child.tag == "skipped" and how == "passed":
                how = "skipped"
        ended[name] = how
    return ended


def run(
    name: str, suite: dict, folder: pathlib.Path, kind: str, port: int,
    more: list[str],
) -> dict[str, str]:
    report = BUILD / f"{name}-{kind}.xml"
    report.unlink(missing_ok=True)
    env = {
        **os.environ, "INTEROP_LOOP": kind,
        "PYTHONPATH": os.pathsep.join([str(SITE), str(ROOT)]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **{key: value.format(port=port)
           for key, value in suite.get("variables", {}).items()},
    }
    options = [one.format(port=port) for one in suite.get("options", ())]
    command = [
        PYTHON, "-P", "-m", "pytest", *suite["tests"], "-q", "-o", "addopts=",
        "-p", "no:cacheprovider", "-p", "loop_seen", "-p", "pytest_timeout",
        f"--timeout={TEST_SECONDS}", "--tb=short", f"--junit-xml={report}",
        "-o", "junit_family=xunit1",
        # What a collection finds is blamed on the test that it happens in.
        "-W", f"default::{UNRAISABLE}",
        *suite["arguments"], *options, *more,
    ]
    log = BUILD / f"{name}-{kind}.log"
    with open(log, "wb") as output:
        try:
            subprocess.run(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT,
                timeout=SUITE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"{name} on {kind} does not end; see {log}")
    text = log.read_text("utf-8", "replace")
    if not report.exists() or "loops made: 0\n" in text:
        sys.exit(f"{text[-3000:]}\n{name} on {kind} proved nothing; see {log}")
    return outcomes(report)


def kind_of(how: str) -> str:
    return how.partition(":")[0]


def differences(results: dict[str, dict[str, str]]) -> set[str]:
    one, two = (results[kind] for kind in KINDS)
    return {
        test for test in one.keys() | two.keys()
        if kind_of(one.get(test, "missing")) != (
            kind_of(two.get(test, "missing")))
    }


@contextlib.contextmanager
def server(name: str | None):
    """The port of the server that the suite wants, while it runs."""
    if name is None:
        yield 0
        return
    sys.path.append(str(TESTS))
    from interop.kit import servers

    with tempfile.TemporaryDirectory() as folder:
        running = servers.SERVERS[name](pathlib.Path(folder))
        try:
            yield running.port
        finally:
            running.stop()


def compare(name: str, suite: dict, more: list[str]) -> dict:
    folder = unpack(name, suite)
    with server(suite.get("server")) as port:
        results = {
            kind: run(name, suite, folder, kind, port, more)
            for kind in KINDS
        }
        differing = differences(results)
        unsteady: set[str] = set()
        if differing:
            again = {
                kind: run(name, suite, folder, kind, port, more)
                for kind in KINDS
            }
            unsteady = differing - differences(again)
    return {
        "suite": name, "version": version_of(name),
        "python": platform.python_version(),
        "counts": {
            kind: {
                how: sum(kind_of(one) == how for one in ended.values())
                for how in ("passed", "failed", "skipped")
            } for kind, ended in results.items()
        },
        "differences": {
            test: {kind: results[kind].get(test, "missing") for kind in KINDS}
            for test in sorted(differing - unsteady)
        },
        "unsteady": sorted(unsteady),
        "expected": {
            test: reason for test in sorted(differing - unsteady)
            for pattern, reason in suite.get("expected", {}).items()
            if fnmatch.fnmatchcase(test, pattern)
        },
    }


def show(result: dict) -> None:
    print(f"{result['suite']} {result['version']}, "
          f"Python {result['python']}")
    for kind, counts in result["counts"].items():
        print(f"  {kind:10}", ", ".join(
            f"{count} {how}" for how, count in counts.items()
        ))
    for test, ends in result["differences"].items():
        print(f"  {test}")
        for kind, how in ends.items():
            print(f"    {kind:10} {how}")
        if test in result["expected"]:
            print(f"    expected: {result['expected'][test]}")
    if result["unsteady"]:
        print(f"  unsteady: {', '.join(result['unsteady'])}")
    print(f"  {len(result['differences'])} differences, "
          f"{len(result['expected'])} of them expected", flush=True)


def main() -> int:
    with open(pathlib.Path(__file__).with_suffix(".toml"), "rb") as file:
        suites = tomllib.load(file)
    with open(ecosystem.INTEROP / "systems.toml", "rb") as file:
        debian = tomllib.load(file)["debian"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("suites", nargs="*", help=", ".join(suites))
    parser.add_argument("--json", help="write the results to this file")
    options, more = ecosystem.parse(parser)
    chosen = options.suites or list(suites)
    for name in chosen:
        if name not in suites:
            parser.error(f"{name} is none of {', '.join(suites)}")

    BUILD.mkdir(parents=True, exist_ok=True)
    ecosystem.install_servers([
        package for name in chosen if "server" in suites[name]
        for package in debian[suites[name]["server"]]
    ])
    ecosystem.install_packages(VENV, [
        "pytest>=8.3", "pytest-timeout", *sorted({
            package for suite in suites.values()
            for package in suite["packages"]
        }),
    ])
    results = []
    for name in chosen:
        results.append(compare(name, suites[name], more))
        show(results[-1])
    if options.json:
        pathlib.Path(options.json).write_text(
            json.dumps(results, indent=1) + "\n"
        )
    return any(
        result["differences"].keys() - result["expected"].keys()
        for result in results
    )


if __name__ == "__main__":
    sys.exit(main())
