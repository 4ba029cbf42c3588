"""Sanic: its own server, its worker manager, its websockets."""

import asyncio
import signal
import time

import httpx
import pytest
import websockets
from interop.kit.daemons import free_port

BIG = b"x" * 3_000_000


class Server:
    """`sanic` with so many workers; its loop is asyncio.new_event_loop()."""

    def __init__(self, programs, *options: str) -> None:
        self.port = free_port()
        self.daemon = programs.start(
            "-m", "sanic", "interop.sanic.app:app", "--host", "127.0.0.1",
            "--port", str(self.port), "--no-motd", *options, port=self.port,
            site=True, SANIC_USE_UVLOOP="false",
        )
        self.daemon.says("worker started")
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=30
        )


@pytest.fixture
def server(programs):
    made = Server(programs, "--single-process")
    yield made
    made.client.close()
    made.daemon.stop(signal.SIGINT)
    assert "worker stopped" in made.daemon.output()


def test_it_runs_on_the_loop(server, kind):
    assert server.client.get("/loop").json()["loop"] == kind


def test_bodies(server):
    answer = server.client.post("/length", content=BIG)
    assert answer.json() == {"length": len(BIG)}
    lines = server.client.get("/stream/2000").text.split()
    assert [int(line) for line in lines] == list(range(2000))
    assert server.client.get("/missing").status_code == 404


def test_websockets(server, run):
    async def talk(number):
        url = f"ws://127.0.0.1:{server.port}/websocket"
        async with websockets.connect(url) as socket:
            for step in range(10):
                await socket.send(f"text {number} {step}")
                assert await socket.recv() == f"TEXT {number} {step}"

    async def main():
        await asyncio.gather(*(talk(number) for number in range(20)))

    run(main())


def test_several_workers(programs, kind):
    server = Server(programs, "--workers", "2")
    server.daemon.says("worker started", 2)
    pids = set()
    end = time.monotonic() + 30
    while len(pids) < 2 and time.monotonic() < end:
        # A connection of its own, or one worker would answer them all.
        answer = httpx.get(f"http://127.0.0.1:{server.port}/loop").json()
        assert answer["loop"] == kind
        pids.add(answer["pid"])
    assert len(pids) == 2
    server.daemon.says("Worker ready", 2)
    # Sanic's manager looks each 0.1 s whether they are ready, and one that is
    # told to end before it has seen it never ends, on any loop.
    time.sleep(1)
    server.daemon.stop(signal.SIGTERM)
    assert server.daemon.output().count("worker stopped") == 2


def test_a_server_in_a_loop_of_our_own(kind, programs):
    programs.write("own.py", """\
import asyncio, sys
import httpx
from interop.kit.programs import module_of
from interop.sanic.app import app
from support import loops

async def main(port):
    server = await app.create_server(
        host="127.0.0.1", port=port, return_asyncio_server=True
    )
    await server.startup()
    await server.before_start()
    await server.after_start()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/loop")
    await server.before_stop()
    await server.close()
    await server.after_stop()
    print("answer", answer.json()["loop"])

with asyncio.Runner(loop_factory=lambda: loops.new(sys.argv[1])) as runner:
    runner.run(main(int(sys.argv[2])))
""")
    done = programs.run("own.py", kind, str(free_port()))
    assert f"answer {kind}" in done.stdout
