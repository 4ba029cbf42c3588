"""gunicorn, granian and daphne: start, serve, reload, stop gracefully."""

import signal
import time

import httpx
import pytest
from interop.kit.daemons import Daemon, free_port

APP = "interop.asgi.app:app"

WORKER = """\
from uvicorn_worker import UvicornWorker

class Worker(UvicornWorker):
    CONFIG_KWARGS = {{"loop": "{loop}", "http": "auto"}}
"""

GRANIAN = """\
import sys
from granian import Granian, loops
from support import loops as kinds

KIND, PORT, WORKERS = sys.argv[1:4]

@loops.register("auto")
def build_loop():
    return kinds.new(KIND)

if __name__ == "__main__":
    Granian(
        "interop.asgi.app:app", address="127.0.0.1", port=int(PORT),
        interface="asgi", workers=int(WORKERS), loop="auto",
        reload="reload" in sys.argv, reload_paths=None,
    ).serve()
"""


def get(port: int, path: str):
    answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30)
    answer.raise_for_status()
    return answer.json()


def workers_of(port: int, kind: str, count: int) -> set[int]:
    """The processes that answer; each has to be on the loop."""
    pids: set[int] = set()
    end = time.monotonic() + 30
    while len(pids) < count and time.monotonic() < end:
        answer = get(port, "/loop")
        assert answer["loop"] == kind
        pids.add(answer["pid"])
    return pids


def finishes_a_request(daemon: Daemon, port: int, signum: int) -> None:
    """A request that is under way when the signal comes is answered."""
    with httpx.Client(timeout=30) as client:
        with client.stream("GET", f"http://127.0.0.1:{port}/slow") as answer:
            daemon.process.send_signal(signum)
            assert answer.read() == b"done"
    assert daemon.process.wait(30) == 0, daemon.output()
    assert daemon.output().count("application stopped") == (
        daemon.output().count("application started")
    )


def gunicorn(programs, *options: str, **kwargs) -> tuple[Daemon, int]:
    port = free_port()
    daemon = programs.start(
        "-m", "gunicorn", APP, "-b", f"127.0.0.1:{port}", *options,
        port=port, **kwargs,
    )
    daemon.says("application started")
    return daemon, port


@pytest.fixture
def uvicorn_worker(programs):
    loop = programs.factory()
    programs.write("worker.py", WORKER.format(loop=loop))
    return gunicorn(programs, "-k", "worker.Worker", "-w", "2")


def test_gunicorn_with_uvicorn_workers(uvicorn_worker, kind):
    daemon, port = uvicorn_worker
    daemon.says("application started", 2)
    assert len(workers_of(port, kind, 2)) == 2
    for number in range(50):
        assert get(port, f"/def/{number}") == {"number": number}
    daemon.stop(signal.SIGTERM)
    assert daemon.output().count("application stopped") == 2


def test_gunicorn_replaces_its_workers(uvicorn_worker, kind):
    daemon, port = uvicorn_worker
    daemon.says("application started", 2)
    before = workers_of(port, kind, 2)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("application started", 4)
    daemon.says("application stopped", 2)
    after = workers_of(port, kind, 2)
    assert len(after) == 2
    assert not before & after
    daemon.stop(signal.SIGTERM)


def test_gunicorn_finishes_requests(uvicorn_worker):
    finishes_a_request(*uvicorn_worker, signal.SIGTERM)


def test_gunicorn_reloads_on_a_signal(programs, kind):
    source = (
        "from interop.asgi.app import app\n"
        "@app.get('/version')\ndef version(): return VERSION\n"
    )
    programs.write("changed.py", source + "VERSION = 1\n")
    programs.write("worker.py", WORKER.format(loop=programs.factory()))
    port = free_port()
    daemon = programs.start(
        "-m", "gunicorn", "changed:app", "-b", f"127.0.0.1:{port}", "-k",
        "worker.Worker", port=port,
    )
    daemon.says("application started")
    assert get(port, "/version") == 1
    programs.write("changed.py", source + "VERSION = 20\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("application started", 2)
    daemon.says("application stopped")
    assert get(port, "/version") == 20
    assert get(port, "/loop")["loop"] == kind
    daemon.stop(signal.SIGTERM)


def test_gunicorn_s_own_asgi_worker(programs, kind):
    """It knows asyncio and uvloop only: new_event_loop is made ours."""
    daemon, port = gunicorn(
        programs, "-k", "asgi", "--asgi-loop", "asyncio", site=True
    )
    assert get(port, "/loop")["loop"] == kind
    assert get(port, "/def/5") == {"number": 5}
    assert get(port, "/state") == {"answer": 42}
    daemon.stop(signal.SIGTERM)
    assert "application stopped" in daemon.output()


def granian(programs, *options: str, workers: int = 1):
    port = free_port()
    daemon = programs.start(
        str(programs.write("server.py", GRANIAN)), programs.kind, str(port),
        str(workers), *options, port=port,
    )
    daemon.says("application started", workers)
    return daemon, port


def test_granian_serves(programs, kind):
    daemon, port = granian(programs)
    assert get(port, "/loop")["loop"] == kind
    for number in range(100):
        assert get(port, f"/async/{number}") == {"number": number}
        assert get(port, f"/def/{number}") == {"number": number}
    answer = httpx.post(
        f"http://127.0.0.1:{port}/length", content=b"x" * 2_000_000
    )
    assert answer.json() == {"length": 2_000_000}
    lines = httpx.get(f"http://127.0.0.1:{port}/stream/1000").text.split()
    assert len(lines) == 1000
    daemon.stop(signal.SIGTERM)
    assert "application stopped" in daemon.output()


def test_granian_with_several_workers(programs, kind):
    daemon, port = granian(programs, workers=2)
    assert len(workers_of(port, kind, 2)) == 2
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("application started", 4)
    assert get(port, "/loop")["loop"] == kind
    daemon.stop(signal.SIGTERM)
    assert "Traceback" not in daemon.output()


def test_granian_takes_the_loop_that_nobody_asked_for(programs, kind):
    port = free_port()
    daemon = programs.start(
        "-m", "granian", "--interface", "asgi", "--loop", "asyncio",
        "--host", "127.0.0.1", "--port", str(port), APP, port=port,
        site=True,
    )
    daemon.says("application started")
    assert get(port, "/loop")["loop"] == kind
    daemon.stop(signal.SIGTERM)


def test_daphne_serves(programs, run, kind):
    """Twisted's reactor on our loop, which it makes when imported."""
    import websockets

    port = free_port()
    daemon = programs.start(
        "-m", "daphne", "-b", "127.0.0.1", "-p", str(port),
        "interop.servers.plain:app", port=port, site=True,
    )
    assert get(port, "/") == {"loop": kind, "length": 0}
    answer = httpx.post(
        f"http://127.0.0.1:{port}/", content=b"x" * 1_000_000
    )
    assert answer.json()["length"] == 1_000_000

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{port}/") as socket:
            await socket.send("hello")
            return await socket.recv()

    assert run(talk()) == "HELLO"
    daemon.stop(signal.SIGINT)
    assert "Traceback" not in daemon.output()
