"""One sample of a row in which two processes take part.

The measured process and the other one run on cores of their own.  For a
served row the measured one is the server and the other one the load; a row
with a peer is measured as any timed row, with the peer running beside it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import clients
import loops
from registry import Row
from traffic import Load, Wrk, make_certificate

HERE = Path(__file__).resolve().parent
START = 20  # seconds for a server until it listens
LIMIT = 60  # seconds for the load


@dataclass(frozen=True)
class Length:
    """How long a sample is."""

    warm_ms: int
    parts: int
    part_ms: int = 20  # 4 ms would be one tick: see clients/load.c

    def arguments(self) -> list[str]:
        return [
            *("--warm-ms", str(self.warm_ms)),
            *("--parts", str(self.parts)),
            *("--part-ms", str(self.part_ms)),
        ]


USUAL = Length(warm_ms=100, parts=15)
QUICK = Length(warm_ms=50, parts=6)
WRK_SECONDS = 1  # it knows no less


class Failed(Exception):
    """No figure, and why."""


def pinned(command: list[str], core: int) -> list[str]:
    """On this core, and never longer alive than we are."""
    start = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core)]
    return [*start, *command]


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


@contextlib.contextmanager
def running(
    command: list[str], env: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str, IO[str]]]:
    """A process that prints an address first; it is killed in the end."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], START)
            address = process.stdout.readline().strip() if ready else ""
            if not address:
                raise Failed(said(errors) or "the server does not start")
            yield process, address, errors
        finally:
            process.kill()
            process.communicate()


def everything(errors: IO[str]) -> str:
    errors.seek(0)
    return errors.read()


def said(errors: IO[str]) -> str:
    """The last line that went to standard error."""
    return last_line(everything(errors))


def server_command(
    row: Row, name: str, core: int, folder: Path
) -> list[str]:
    if name == loops.LIMIT:
        arguments = [part.format(folder=folder) for part in row.reference]
        program = clients.build("reference", row.is_tls)
        return pinned([program, *arguments], core)
    command = [sys.executable, str(HERE / "child.py"), "--core", str(core)]
    command += ["--serve", str(folder), "--subject", row.subject]
    command += [name, row.name]
    return pinned(command, core)


def sample(
    row: Row,
    name: str,
    length: Length,
    cores: tuple[int, int],
    env: dict[str, str],
) -> dict[str, Any]:
    """The figures of a served row, or {"error": ...}."""
    with tempfile.TemporaryDirectory(prefix="asyncloop-bench-") as place:
        folder = Path(place)
        command = server_command(row, name, cores[0], folder)
        write_files(row, folder)
        try:
            with running(command, env) as (server, address, errors):
                try:
                    found = put_load(
                        row, folder, address, server.pid, length, cores[1]
                    )
                except Failed as error:
                    raise Failed(f"{error} {said(errors)}") from None
                # wrk leaves in the middle of requests, of which servers
                # complain; it has counted the errors before that itself.
                wrong = "Traceback" in everything(errors)
                if isinstance(row.load, Wrk):
                    wrong = False
                if server.poll() is not None or wrong:
                    raise Failed(said(errors) or "the server has ended")
                return found
        except Failed as error:
            return {"error": str(error)}


def write_files(row: Row, folder: Path) -> None:
    if isinstance(row.load, Load):
        row.load.write(folder)
    elif row.is_tls:
        make_certificate(folder)


def put_load(
    row: Row, folder: Path, address: str, pid: int, length: Length, core: int
) -> dict[str, Any]:
    if isinstance(row.load, Wrk):
        return wrk(row.load, address, pid, core)
    assert row.load is not None
    program = clients.build("load", row.is_tls)
    command = [program, row.load.mode, address, str(pid)]
    command += [*row.load.arguments(folder), *length.arguments()]
    found: dict[str, Any] = json.loads(run_other(command, core))
    return figures(found["parts"], row.load) if "parts" in found else found


def run_other(command: list[str], core: int) -> str:
    """What the program on the other core prints."""
    try:
        done = subprocess.run(
            pinned(command, core),
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no result in {LIMIT} s") from None
    if done.returncode:
        raise Failed(last_line(done.stderr) or "the load failed")
    return done.stdout


def figures(parts: list[list[int]], load: Load) -> dict[str, Any]:
    """Of parts of (messages, CPU ns, wall ns); as in child.sample."""
    which = 2 if load.wall else 1
    costs = [part[which] / 1000 / part[0] / load.ops for part in parts]
    rates = [part[0] * load.ops / part[2] * 1e9 for part in parts]
    return {
        "value": min(costs),
        "median": statistics.median(costs),
        "rate": max(rates),
        "busy": statistics.median(part[1] / part[2] for part in parts),
        "parts": len(parts),
        "operations": parts[0][0] * load.ops,
    }


def cpu_seconds(pid: int) -> float:
    """CPU time of another process; it is at rest, so the clock is exact."""
    last = -1.0
    while True:
        # The kernel's encoding of a process's CPU clock: clock_getcpuclockid.
        found = time.clock_gettime((~pid << 3) | 2)
        if found == last:
            return found
        last = found
        time.sleep(0.005)


def wrk(load: Wrk, address: str, pid: int, core: int) -> dict[str, Any]:
    """One run of wrk; a figure over all of it, since it has no parts."""
    check_page(load, address)
    scheme = "https" if load.tls else "http"
    command = ["wrk", "-t1", f"-c{load.connections}"]
    command += [f"-d{WRK_SECONDS}s", f"{scheme}://{address}/"]
    before = cpu_seconds(pid)
    text = run_other(command, core)
    cpu = cpu_seconds(pid) - before
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", text)
    if found is None or re.search(r"Non-2xx|Socket errors", text):
        raise Failed(last_line(text))
    count = int(found[1])
    if count == 0:
        raise Failed("no request was answered")
    wall = float(found[2]) / (1000 if found[3] == "ms" else 1)
    return {
        "value": cpu / count * 1e6,
        "rate": count / wall,
        "busy": cpu / wall,
        "operations": count,
    }


def check_page(load: Wrk, address: str) -> None:
    if load.tls:
        # A certificate of the row's own, which nobody else trusts.
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address, timeout=5, context=ssl._create_unverified_context()
        )
    else:
        connection = http.client.HTTPConnection(address, timeout=5)
    try:
        for _ in range(100):  # also the warm-up
            connection.request("GET", "/")
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or body != load.body:
                raise Failed(f"{response.status} {body[:20]!r}")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"GET: {error!r}") from None
    finally:
        connection.close()


@contextlib.contextmanager
def peer(row: Row, core: int) -> Iterator[list[str]]:
    """The arguments for the child, while the peer of its row runs."""
    if not row.peer:
        yield []
        return
    command = pinned([clients.build("peer"), row.peer], core)
    with running(command) as (_, address, _):
        yield ["--peer", address]


def missing(row: Row) -> str | None:
    """Which of the programs and packages that the row needs is not here."""
    if row.is_tls and not clients.has_openssl():
        return "libssl-dev"
    for name in row.needs:
        if name == "wrk":
            if shutil.which("wrk") is None:
                return name
        else:
            try:
                metadata.version(name)
            except metadata.PackageNotFoundError:
                return name
    return None


def default_cores(core: int | None) -> tuple[int, int]:
    """The measured process's and the other one's."""
    usable = sorted(os.sched_getaffinity(0))
    ours = usable[0] if core is None else core
    others = [other for other in usable if other != ours]
    return ours, others[-1] if others else ours


def profile(
    row: Row, name: str, seconds: float, count: int, core: int | None
) -> None:
    """Be the server here, until the load in another process has ended."""
    if not isinstance(row.load, Load):
        sys.exit(f"{row.name} cannot be profiled in-process")
    ours, other = default_cores(core)
    os.sched_setaffinity(0, {ours})
    loop = loops.new(name)
    with tempfile.TemporaryDirectory(prefix="asyncloop-bench-") as place:
        folder = Path(place)
        row.load.write(folder)
        address = row.function(loop, folder)
        program = clients.build("load", row.is_tls)
        command = [program, row.load.mode, address]
        command += [str(os.getpid()), *row.load.arguments(folder)]
        length = Length(warm_ms=100, parts=max(1, round(seconds * 50)))
        command += length.arguments()
        if count:
            command += ["--count", str(count)]
        load = subprocess.Popen(pinned(command, other))

        def look() -> None:
            if load.poll() is None:
                loop.call_later(0.05, look)
            else:
                loop.stop()

        loop.call_soon(look)
        loop.run_forever()
    print(f"the load ended with status {load.returncode}", file=sys.stderr)
