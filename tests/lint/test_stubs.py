"""The stubs say what the extension has, and checkers make sense of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("stubtest-allow.txt")

# A user's program. What it gets wrong on purpose is marked, and a mark that
# hides no error is an error itself.
PROGRAM = """
import asyncio
import contextvars
from typing import Any, assert_type

import asyncloop

loop = asyncloop.new_event_loop()
as_asyncio: asyncio.AbstractEventLoop = asyncloop.Loop()


def two(a: int, b: str) -> None: ...
async def answer() -> int: return 42


assert_type(loop, asyncloop.Loop)
assert_type(loop.call_soon(two, 1, "b"), asyncio.Handle)
assert_type(loop.call_soon(answer, context=contextvars.Context()),
            asyncio.Handle)
assert_type(loop.call_later(0.1, callback=answer), asyncio.TimerHandle)
assert_type(loop.create_task(answer(), name="x"), asyncio.Task[int])
assert_type(loop.run_until_complete(answer()), int)
assert_type(loop.run_in_executor(None, len, "x"), asyncio.Future[int])
assert_type(loop.metrics().loop_latency.p99, float)
assert_type(loop.metrics().as_dict(), dict[str, Any])
assert_type(asyncloop.run(answer()), int)
assert_type(loop._thread_id, int | None)
loop.add_reader(0, two, 1, "b")
loop.add_signal_handler(2, two, 1, "b")
loop._stopping = False
with asyncio.Runner(loop_factory=asyncloop.new_event_loop) as runner:
    assert_type(runner.run(answer()), int)


async def connect() -> None:
    pair = await loop.create_connection(asyncio.Protocol, "localhost", 80)
    assert_type(pair, tuple[asyncio.Transport, asyncio.Protocol])
    server = await loop.create_server(asyncio.Protocol, port=0)
    assert_type(server, asyncio.Server)
    await loop.create_server(asyncio.Protocol)  # type: ignore[call-overload]


class Own(asyncloop.Loop):
    def time(self) -> float:
        return super().time() + 1


Own().stop()
loop.call_soon(two, 1)  # type: ignore[arg-type]
loop.call_later(0.1, two, 1, 2)  # type: ignore[arg-type]
loop.call_soon_threadsafe(two, "a", "b")  # type: ignore[arg-type]
loop.add_signal_handler(2, two)  # type: ignore[arg-type]
loop.create_task(two)  # type: ignore[arg-type]
asyncloop.Loop(1)  # type: ignore[call-arg]
loop._ready = []  # type: ignore[misc]
loop.metrics().iterations = 3  # type: ignore[misc]
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mypy keeps its cache where it is told, not in the checkout."""
    return tmp_path_factory.mktemp("mypy-cache")


@pytest.fixture
def package() -> Path:
    """The folder that the asyncloop under test lies in."""
    import asyncloop

    return Path(asyncloop.__file__).parent.parent


def mypy(tool: str, *args: str | Path, path: Path, cache: Path, cwd: Path):
    env = dict(
        os.environ, PYTHONPATH=str(path), MYPYPATH=str(path),
        MYPY_CACHE_DIR=str(cache),
    )
    return subprocess.run(
        [sys.executable, "-P", "-m", tool, *args],
        capture_output=True, text=True, env=env, cwd=cwd,
    )


def test_stubs_agree_with_the_package(
    root: Path, package: Path, cache: Path, tmp_path: Path
) -> None:
    done = mypy(
        "mypy.stubtest", "asyncloop",
        "--mypy-config-file", root / "pyproject.toml",
        "--allowlist", ALLOWED,
        path=package, cache=cache, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_package_is_typed(
    root: Path, package: Path, cache: Path, tmp_path: Path
) -> None:
    done = mypy(
        "mypy", "--config-file", root / "pyproject.toml", "-p", "asyncloop",
        path=package, cache=cache, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_gets_good_types(
    package: Path, cache: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")
    done = mypy(
        "mypy", "--strict", program, path=package, cache=cache, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stub_that_lies_is_seen(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "lies.py").write_text("def f(a): pass\n", "utf-8")
    (tmp_path / "lies.pyi").write_text(
        "def f(b: int) -> None: ...\n", "utf-8"
    )
    done = mypy(
        "mypy.stubtest", "lies", path=tmp_path, cache=cache, cwd=tmp_path
    )
    assert done.returncode != 0 and "lies.f" in done.stdout


def test_every_disagreement_that_is_allowed_has_a_reason() -> None:
    for block in ALLOWED.read_text("utf-8").strip().split("\n\n"):
        assert block.startswith("# "), block
