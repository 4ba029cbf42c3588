"""FastAPI under uvicorn, started as people start it."""

import asyncio
import signal
import time

import httpx
import pytest
import websockets
from interop.kit.daemons import Daemon, free_port
from support import tls

APP = "interop.asgi.app:app"


class Uvicorn:
    """uvicorn on this kind of loop; its options are the arguments."""

    def __init__(self, programs, *options: str, app: str = APP) -> None:
        self.port = free_port()
        self.secure = "--ssl-certfile" in options
        scheme = "https" if self.secure else "http"
        self.url = f"{scheme}://localhost:{self.port}"
        self.daemon: Daemon = programs.start(
            "-m", "uvicorn", app, "--host", "127.0.0.1", "--port",
            str(self.port), "--loop", programs.factory(), *options,
            port=self.port,
        )
        self.daemon.says("application started")

    def client(self) -> httpx.Client:
        verify = tls.client_context() if self.secure else False
        return httpx.Client(base_url=self.url, timeout=30, verify=verify)

    def get(self, path: str):
        with self.client() as client:
            return client.get(path).json()

    def ends(self) -> None:
        """Ask it to stop; it must do so cleanly."""
        self.daemon.stop(signal.SIGINT)
        assert "application stopped" in self.daemon.output()
        assert "Traceback" not in self.daemon.output()


@pytest.fixture(params=["httptools", "h11"])
def server(request, programs):
    running = Uvicorn(programs, "--http", request.param)
    yield running
    running.ends()


def test_it_runs_on_the_loop(server, kind):
    assert server.get("/loop")["loop"] == kind


def test_both_kinds_of_endpoints(server):
    with server.client() as client:
        for number in range(100):
            for path in ("async", "def"):
                answer = client.get(f"/{path}/{number}")
                assert answer.json() == {"number": number}


def test_a_def_endpoint_runs_in_pooled_threads(server):
    """500 calls one after another need no 500 threads.

    anyio starts a new one for each call when it can't find the root task.
    """
    with server.client() as client:
        for number in range(500):
            client.get(f"/def/{number}").raise_for_status()
        counts = client.get("/threads").json()
    assert counts["seen"] <= 40
    assert counts["alive"] <= 45


def test_def_endpoints_at_once(server, run):
    async def main():
        async with httpx.AsyncClient(
            base_url=server.url, timeout=60,
            limits=httpx.Limits(max_connections=50),
        ) as client:
            answers = await asyncio.gather(*(
                client.get(f"/def/{number}") for number in range(300)
            ))
        return [answer.json()["number"] for answer in answers]

    assert run(main()) == list(range(300))
    assert server.get("/threads")["seen"] <= 40


def test_the_lifespan_has_its_state(server):
    assert server.get("/state") == {"answer": 42}


def test_an_upload_is_streamed(server):
    def body():
        for _ in range(50):
            yield b"x" * 100_000

    with server.client() as client:
        answer = client.post("/length", content=body())
    assert answer.json() == {"length": 5_000_000}


def test_an_answer_is_streamed(server):
    with server.client() as client:
        with client.stream("GET", "/stream/5000") as answer:
            lines = [int(line) for line in answer.iter_lines()]
    assert lines == list(range(5000))


def test_an_error_is_answered(programs):
    running = Uvicorn(programs)
    # uvicorn closes the connection of a request that failed.
    with running.client() as client:
        assert client.get("/fail").status_code == 500
    assert running.get("/async/1") == {"number": 1}
    running.daemon.stop(signal.SIGINT)
    assert "ZeroDivisionError" in running.daemon.output()


@pytest.mark.parametrize("protocol", ["websockets-sansio", "wsproto"])
def test_websockets(programs, run, protocol):
    async def talk(url, number):
        async with websockets.connect(url) as socket:
            for step in range(10):
                await socket.send(f"text {number} {step}")
                assert await socket.recv() == f"TEXT {number} {step}"

    async def main(url):
        await asyncio.gather(*(talk(url, number) for number in range(30)))

    running = Uvicorn(programs, "--ws", protocol)
    run(main(f"ws://127.0.0.1:{running.port}/websocket"))
    running.daemon.says("websocket closed", 30)
    running.ends()


def test_tls(programs, tmp_path):
    cert, key = tls.write_files(str(tmp_path))
    running = Uvicorn(
        programs, "--ssl-certfile", cert, "--ssl-keyfile", key
    )
    with running.client() as client:
        assert client.get("/peer").json()["scheme"] == "https"
        answer = client.post("/length", content=b"x" * 3_000_000)
        assert answer.json() == {"length": 3_000_000}
    running.ends()


def test_a_request_is_finished_before_the_end(programs):
    running = Uvicorn(programs)
    with running.client() as client:
        with client.stream("GET", "/slow") as answer:
            running.daemon.process.send_signal(signal.SIGTERM)
            assert answer.read() == b"done"
    running.daemon.process.wait(30)
    assert "application stopped" in running.daemon.output()


def test_several_workers(programs, kind):
    running = Uvicorn(programs, "--workers", "3")
    running.daemon.says("application started", 3)
    pids = set()
    end = time.monotonic() + 30
    while len(pids) < 2 and time.monotonic() < end:
        answer = running.get("/loop")
        assert answer["loop"] == kind
        pids.add(answer["pid"])
    assert len(pids) >= 2
    running.daemon.stop(signal.SIGTERM)
    assert running.daemon.output().count("application stopped") == 3


def test_reload(programs, tmp_path, kind):
    source = (
        "from interop.asgi.app import app\n"
        "@app.get('/version')\ndef version(): return VERSION\n"
    )
    programs.write("reloaded.py", source + "VERSION = 1\n")
    running = Uvicorn(
        programs, "--reload", "--reload-dir", str(tmp_path),
        app="reloaded:app",
    )
    assert running.get("/version") == 1
    assert running.get("/loop")["loop"] == kind
    programs.write("reloaded.py", source + "VERSION = 2\n")
    running.daemon.says("application started", 2)
    assert running.get("/version") == 2
    assert running.get("/loop")["loop"] == kind
    running.daemon.stop(signal.SIGTERM)


def test_behind_nginx(programs, run, nginx_server, kind):
    """Kept-alive connections and upgraded ones, from nginx's side."""
    running = Uvicorn(
        programs, "--proxy-headers", "--forwarded-allow-ips", "127.0.0.1"
    )
    nginx_server.configure(
        """
        client_max_body_size 100m;
        location / {
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For 10.1.2.3;
        }
        location /websocket {
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
        """,
        f"upstream application {{ server 127.0.0.1:{running.port};"
        " keepalive 8; }",
    )

    async def main():
        base = f"http://127.0.0.1:{nginx_server.port}"
        async with httpx.AsyncClient(base_url=base, timeout=60) as client:
            answers = await asyncio.gather(*(
                client.get(f"/async/{number}") for number in range(200)
            ))
            peer = await client.get("/peer")
            upload = await client.post("/length", content=b"x" * 2_000_000)
        async with websockets.connect(
            f"ws://127.0.0.1:{nginx_server.port}/websocket"
        ) as socket:
            await socket.send("through nginx")
            said = await socket.recv()
        return (
            [answer.json()["number"] for answer in answers],
            peer.json()["client"], upload.json()["length"], said,
        )

    assert run(main()) == (
        list(range(200)), "10.1.2.3", 2_000_000, "THROUGH NGINX"
    )
    running.ends()


def test_a_unix_socket(programs, tmp_path, kind):
    path = tmp_path / "socket"
    daemon = programs.start(
        "-m", "uvicorn", APP, "--uds", str(path), "--loop",
        programs.factory(),
    )
    daemon.says("application started")
    daemon.wait_until(path.exists, "socket")
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport) as client:
        assert client.get("http://localhost/loop").json()["loop"] == kind
    daemon.stop(signal.SIGINT)
