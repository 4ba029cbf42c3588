"""Quart by itself and under hypercorn, HTTP/1.1 and HTTP/2."""

import asyncio
import signal

import httpx
import pytest
import websockets
from interop.kit.daemons import free_port
from support import tls

SERVE = """\
import asyncio, sys
import hypercorn.asyncio, hypercorn.config
from interop.quart.app import app
from support import loops

kind, port, cert, key = sys.argv[1:]
config = hypercorn.config.Config()
config.bind = [f"127.0.0.1:{port}"]
if cert:
    config.certfile, config.keyfile = cert, key

async def main():
    await hypercorn.asyncio.serve(app, config)

with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
    runner.run(main())
"""


class Hypercorn:
    def __init__(self, programs, cert: str = "", key: str = "") -> None:
        self.port = free_port()
        scheme = "https" if cert else "http"
        self.url = f"{scheme}://localhost:{self.port}"
        self.daemon = programs.start(
            str(programs.write("serve.py", SERVE)), programs.kind,
            str(self.port), cert, key, port=self.port,
        )
        self.daemon.says("application started")

    def ends(self) -> None:
        assert self.daemon.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert "application stopped" in self.daemon.output()


@pytest.fixture
def server(programs):
    made = Hypercorn(programs)
    yield made
    made.ends()


def test_http(server, kind):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.get("/loop").json() == {"loop": kind, "version": "1.1"}
        answer = client.post("/length", content=b"x" * 3_000_000)
        assert answer.json() == {"length": 3_000_000}
        assert client.get("/sync/5").json() == {"number": 5}
        lines = client.get("/stream/1000").text.split()
        assert [int(line) for line in lines] == list(range(1000))


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


def test_http_2(programs, run, kind, tmp_path):
    """A hundred streams on one connection, chosen by ALPN."""
    server = Hypercorn(programs, *tls.write_files(str(tmp_path)))

    async def main():
        async with httpx.AsyncClient(
            base_url=server.url, http1=False, http2=True, timeout=60,
            verify=tls.client_context(),
        ) as client:
            first = await client.get("/loop")
            answers = await asyncio.gather(*(
                client.get(f"/sync/{number}") for number in range(100)
            ))
            upload = await client.post("/length", content=b"x" * 500_000)
            lines = await client.get("/stream/1000")
        return (
            first.http_version, first.json(),
            [answer.json()["number"] for answer in answers],
            upload.json()["length"], len(lines.text.split()),
        )

    assert run(main()) == (
        "HTTP/2", {"loop": kind, "version": "2"}, list(range(100)), 500_000,
        1000,
    )
    server.ends()


def test_hypercorn_from_its_command(programs, kind):
    """It has no option for us: new_event_loop is made ours."""
    port = free_port()
    daemon = programs.start(
        "-m", "hypercorn", "interop.quart.app:app", "--bind",
        f"127.0.0.1:{port}", "--workers", "2", port=port, site=True,
    )
    daemon.says("application started", 2)
    answer = httpx.get(f"http://127.0.0.1:{port}/loop").json()
    assert answer["loop"] == kind
    daemon.stop(signal.SIGTERM)
    assert daemon.output().count("application stopped") == 2


def test_quart_takes_a_loop(programs, kind):
    program = programs.write("run.py", """\
import sys
from interop.quart.app import app
from support import loops

app.run(
    "127.0.0.1", int(sys.argv[2]), loop=loops.new(sys.argv[1]),
    use_reloader=False,
)
""")
    port = free_port()
    daemon = programs.start(str(program), kind, str(port), port=port)
    answer = httpx.get(f"http://127.0.0.1:{port}/loop").json()
    assert answer["loop"] == kind
    daemon.stop(signal.SIGINT)
    assert "application stopped" in daemon.output()


def test_the_test_client(run, kind):
    from interop.quart.app import app

    async def main():
        client = app.test_client()
        answer = await (await client.get("/loop")).get_json()
        async with client.websocket("/websocket") as socket:
            await socket.send("hello")
            return answer["loop"], await socket.receive()

    assert run(main()) == (kind, "HELLO")
