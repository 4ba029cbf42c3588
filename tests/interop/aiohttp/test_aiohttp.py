"""aiohttp's server and client on one loop, over real sockets."""

import asyncio
import hashlib
import os
import signal
import urllib.request
from urllib.parse import urljoin

import aiohttp
import pytest
from aiohttp import web
from bs4 import BeautifulSoup
from interop.aiohttp.site import LOAD, PAGES, Site
from interop.kit.daemons import free_port
from support import tls

BIG = os.urandom(1 << 20) * 8


def with_session(folder=None, ssl=None, **connector):
    """Runs test(url, session, site) on a site of its own."""

    def wrap(test):
        async def main():
            site = Site(folder, tls.server_context() if ssl else None)
            pool = aiohttp.TCPConnector(
                ssl=tls.client_context() if ssl else True, **connector
            )
            async with site as url, aiohttp.ClientSession(
                url, connector=pool
            ) as session:
                return await test(url, session, site)

        return main()

    return wrap


both = pytest.mark.parametrize("ssl", [False, True], ids=["plain", "tls"])


@both
def test_each_method(run, ssl):
    async def test(url, session, site):
        answers = []
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            async with session.request(
                method, "/echo", data=method.encode()
            ) as response:
                answers.append(
                    (response.headers["X-Method"], await response.text())
                )
        return answers

    answers = run(with_session(ssl=ssl)(test))
    assert [method for method, _ in answers] == [body for _, body in answers]


@both
def test_a_large_body_goes_both_ways(run, ssl):
    async def test(url, session, site):
        async with session.post("/echo", data=BIG) as response:
            return await response.read()

    assert run(with_session(ssl=ssl)(test)) == BIG


@both
def test_a_streamed_upload(run, ssl):
    async def body():
        for start in range(0, len(BIG), 100_000):
            yield BIG[start:start + 100_000]

    async def test(url, session, site):
        async with session.post("/digest", data=body()) as response:
            return await response.json()

    expected = hashlib.sha256(BIG).hexdigest()
    assert run(with_session(ssl=ssl)(test)) == {"sha256": expected}


@both
def test_a_chunked_answer_is_streamed(run, ssl):
    async def test(url, session, site):
        async with session.get("/stream/20000") as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            return [int(line) async for line in response.content]

    assert run(with_session(ssl=ssl)(test)) == list(range(20000))


@both
def test_websockets(run, ssl):
    async def chat(session, number):
        async with session.ws_connect("/websocket", compress=15) as socket:
            for step in range(20):
                await socket.send_str(f"text {number} {step}")
                assert await socket.receive_str() == f"TEXT {number} {step}"
            await socket.send_bytes(BIG[:300_000])
            assert await socket.receive_bytes() == BIG[:300_000][::-1]
            await socket.ping()
            await socket.send_str("close")
            message = await socket.receive()
            return message.type, message.data, message.extra

    async def test(url, session, site):
        return await asyncio.gather(*(
            chat(session, number) for number in range(20)
        ))

    answers = run(with_session(ssl=ssl)(test))
    assert set(answers) == {(aiohttp.WSMsgType.CLOSE, 4000, "asked for")}


@both
def test_static_files(run, tmp_path, ssl):
    (tmp_path / "big").write_bytes(BIG)
    (tmp_path / "empty").write_bytes(b"")

    async def test(url, session, site):
        async with session.get("/files/big") as response:
            assert await response.read() == BIG
        async with session.get("/files/empty") as response:
            assert await response.read() == b""
        async with session.get(
            "/files/big", headers={"Range": "bytes=1000-300000"}
        ) as response:
            assert response.status == 206
            assert await response.read() == BIG[1000:300001]
        async with session.get("/files/none") as response:
            return response.status

    assert run(with_session(tmp_path, ssl)(test)) == 404


def test_static_files_go_by_sendfile(run, tmp_path):
    """By the kernel's, and never by reads and writes in its place."""
    (tmp_path / "big").write_bytes(BIG)
    sent = []

    async def test(url, session, site):
        loop = asyncio.get_running_loop()
        original = loop._sendfile_native

        async def native(transport, file, offset, count):
            sent.append(await original(transport, file, offset, count))
            return sent[-1]

        loop._sendfile_native = native
        loop._sendfile_fallback = loop._sock_sendfile_fallback = refused
        async with session.get("/files/big") as response:
            return await response.read()

    assert run(with_session(tmp_path)(test)) == BIG
    assert sent == [len(BIG)]


async def refused(*args):
    raise AssertionError("not the kernel's sendfile")


def test_the_pool_keeps_to_its_limit(run):
    async def get(session):
        async with session.get("/slow") as response:
            return await response.text()

    async def test(url, session, site):
        await asyncio.gather(*(get(session) for _ in range(50)))
        return site.app[LOAD].most

    assert run(with_session(limit=5)(test)) == 5


def test_connections_are_used_again(run):
    async def test(url, session, site):
        ports = set()
        for _ in range(20):
            async with session.get("/port") as response:
                ports.add(await response.text())
        return len(ports)

    assert run(with_session()(test)) == 1


def test_a_timeout_ends_a_request(run):
    async def test(url, session, site):
        with pytest.raises(asyncio.TimeoutError):
            async with session.get(
                "/slow", timeout=aiohttp.ClientTimeout(total=0.005)
            ):
                pass
        async with session.get("/slow") as response:
            return response.status

    assert run(with_session()(test)) == 200


def test_a_server_that_is_not_trusted_is_refused(run):
    async def main():
        async with Site(ssl=tls.server_context()) as url:
            async with aiohttp.ClientSession() as session:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await session.get(url + "/echo")

    run(main())


def test_a_fingerprint_is_checked(run):
    """aiohttp leaves that out for a transport that is none of asyncio's."""

    async def main():
        async with Site(ssl=tls.server_context()) as url:
            async with aiohttp.ClientSession() as session:
                with pytest.raises(aiohttp.ServerFingerprintMismatch):
                    await session.get(
                        url + "/echo", ssl=aiohttp.Fingerprint(b"\0" * 32)
                    )

    run(main())


def test_tls_through_a_proxy(run):
    """The connection to the proxy is upgraded by start_tls."""

    async def proxy(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, port = head.split()[1].decode().rpartition(":")
        ahead, behind = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

        async def copy(source, sink):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(
            copy(reader, behind), copy(ahead, writer), return_exceptions=True
        )

    async def main():
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Site(ssl=tls.server_context()) as url:
            async with aiohttp.ClientSession() as session:
                async with session.post(
                    url + "/echo", data=BIG[:500_000],
                    proxy=f"http://127.0.0.1:{port}",
                    ssl=tls.client_context(),
                ) as response:
                    return await response.read()

    assert run(main()) == BIG[:500_000]


def test_a_crawler_with_beautiful_soup_finds_every_page(run):
    async def crawl(session, start):
        titles, queue = {}, asyncio.Queue()
        seen = {start}
        queue.put_nowait(start)

        async def worker():
            while True:
                url = await queue.get()
                async with session.get(url) as response:
                    soup = BeautifulSoup(await response.text(), "html.parser")
                titles[url] = soup.title.string
                for anchor in soup.find_all("a"):
                    link = urljoin(url, anchor["href"])
                    if link not in seen:
                        seen.add(link)
                        queue.put_nowait(link)
                queue.task_done()

        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(worker()) for _ in range(10)]
            await queue.join()
            for task in workers:
                task.cancel()
        return titles

    async def main():
        async with Site() as url, aiohttp.ClientSession() as session:
            titles = await crawl(session, url + "/page/0")
            return {link.removeprefix(url): titles[link] for link in titles}

    assert run(main()) == {
        f"/page/{number}": f"Page {number}" for number in range(PAGES)
    }


PROGRAM = """\
import sys
from aiohttp import web
from interop.aiohttp.site import make_app
from support import loops

kind, port = sys.argv[1:]
web.run_app(
    make_app(), host="127.0.0.1", port=int(port), loop=loops.new(kind)
)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_run_app_serves_until_a_signal(kind, programs, signum):
    port = free_port()
    program = programs.write("program.py", PROGRAM)
    server = programs.start(str(program), kind, str(port), port=port)
    url = f"http://127.0.0.1:{port}/module"
    with urllib.request.urlopen(url, timeout=20) as response:
        assert response.read().decode().partition(".")[0] == kind
    assert server.stop(signum) == 0, server.output()


def test_a_unix_socket(run, tmp_path):
    path = str(tmp_path / "socket")

    async def main():
        site = Site()
        async with site:
            await web.UnixSite(site.runner, path).start()
            async with aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path)
            ) as session:
                async with session.get("http://localhost/page/5") as response:
                    return response.status

    assert run(main()) == 200
