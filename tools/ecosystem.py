#!/usr/bin/env python3
"""The software that people run, on asyncloop and on stock asyncio.

    make ecosystem
    make ecosystem ARGS="asyncpg redis --json table.json"
    make ecosystem PYTHON=python3.13 ARGS="aiohttp -- -x -k tls"

Installs the packages and servers that tests/interop/systems.toml names, into
.venv/ecosystem-<X.Y> and as Debian packages, and runs tests/interop. The
servers are started by the tests, in temporary folders and on free loopback
ports, and stopped after them.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
INTEROP = ROOT / "tests" / "interop"
VENV = ROOT / ".venv" / "ecosystem-{}.{}".format(*sys.version_info)
LOG = ROOT / "build" / "ecosystem.log"


def call(*command: str, **env: str) -> None:
    """Run a command of the set-up; its output is shown when it fails."""
    LOG.parent.mkdir(exist_ok=True)
    with open(LOG, "a+b") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        begin = log.tell()
        status = subprocess.call(
            command, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT,
        )
        if status:
            log.seek(begin)
            sys.exit(
                log.read().decode(errors="replace")
                + f"set-up: {' '.join(command)} failed with {status}"
            )


def installed(package: str) -> bool:
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    return shown.stdout == "installed"


def install_servers(packages: list[str]) -> None:
    missing = [name for name in packages if not installed(name)]
    if not missing:
        return
    if os.geteuid():
        sys.exit(
            "set-up: missing servers, and only root can install them:\n"
            f"  apt-get install -y {' '.join(missing)}"
        )
    print("set-up: installing", *missing, flush=True)
    # The run level keeps them from being started as services.
    settings = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    apt = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300")
    call(*apt, "update", **settings)
    call(*apt, "install", "--no-install-recommends", *missing, **settings)


def install_packages(venv: pathlib.Path, packages: list[str]) -> None:
    """Into the environment, unless it was made for these."""
    ready = venv / ".ready"
    wanted = "\n".join([sys.version, *packages])
    have = ready.read_text() if ready.exists() else ""
    if have == wanted:
        return
    print(f"set-up: installing {len(packages)} packages into "
          f"{venv.relative_to(ROOT)}", flush=True)
    if not have.startswith(sys.version):
        call(sys.executable, "-m", "venv", "--clear", str(venv))
    call(
        str(venv / "bin" / "python"), "-m", "pip", "-q",
        "--disable-pip-version-check", "install", "--upgrade", *packages,
    )
    ready.write_text(wanted)


def parse(
    parser: argparse.ArgumentParser,
) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and after "--" those of pytest."""
    ours, more = sys.argv[1:], []
    if "--" in ours:
        place = ours.index("--")
        ours, more = ours[:place], ours[place + 1:]
    return parser.parse_args(ours), more


def main() -> int:
    with open(INTEROP / "systems.toml", "rb") as file:
        table = tomllib.load(file)
    systems = table["systems"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "systems", nargs="*", metavar="system",
        help="which ones to run; all: " + ", ".join(systems),
    )
    parser.add_argument("--json", help="write the table to this file")
    parser.add_argument(
        "--loops", default="asyncloop,asyncio",
        help="also uvloop, for its seconds; it lacks what some tests need",
    )
    parser.add_argument(
        "--set-up", action="store_true", help="only install what is missing"
    )
    options, more = parse(parser)
    for name in options.systems:
        if name not in systems:
            parser.error(f"{name} is none of {', '.join(systems)}")

    chosen = options.systems or list(systems)
    install_servers([
        package for name in chosen
        for server in systems[name].get("servers", ())
        for package in table["debian"][server]
    ])
    # All of them, so that each choice finds the same versions.
    install_packages(VENV, ["pytest>=8.3", *sorted({
        package for system in systems.values()
        for package in system.get("versions", []) + system.get("more", [])
    })])
    if options.set_up:
        return 0
    command = [
        str(VENV / "bin" / "python"), "-P", "-m", "pytest", "--loops",
        options.loops,
        # Their warnings are theirs; what raises in a finalizer may be ours.
        "-W", "default", "-W",
        "error::pytest.PytestUnraisableExceptionWarning",
        *(str(INTEROP / name) for name in chosen if (INTEROP / name).is_dir()),
        *more,
    ]
    if options.json:
        command += ["--json-table", os.path.abspath(options.json)]
    # The plugins under test are not for the tests themselves.
    env = {
        **os.environ, "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.call(command, env=env, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
