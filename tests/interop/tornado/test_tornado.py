"""Tornado: all its sockets are add_reader and add_writer on our loop."""

import asyncio

import pytest
from support import loops, tls
from tornado import gen, httpclient, httpserver, ioloop, iostream, netutil
from tornado import tcpclient, tcpserver, web, websocket

BIG = b"x" * 3_000_000


class Echo(web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0)
        self.write(self.get_argument("text"))

    async def post(self):
        self.write({"length": len(self.request.body)})


class Stream(web.RequestHandler):
    async def get(self):
        for number in range(500):
            self.write(f"{number}\n")
            await self.flush()


class Threaded(web.RequestHandler):
    async def get(self):
        loop = ioloop.IOLoop.current()
        self.write(str(await loop.run_in_executor(None, sum, range(100))))


class Chat(websocket.WebSocketHandler):
    members = set()

    def open(self):
        self.members.add(self)

    async def on_message(self, message):
        for member in list(self.members):
            await member.write_message(message.upper())

    def on_close(self):
        self.members.discard(self)


@pytest.fixture
def serve(run):
    """Runs test(url) with the application served."""

    def serve(test, ssl=False):
        async def main():
            app = web.Application([
                ("/echo", Echo), ("/stream", Stream), ("/thread", Threaded),
                ("/chat", Chat),
            ])
            server = httpserver.HTTPServer(
                app, ssl_options=tls.server_context() if ssl else None
            )
            sockets = netutil.bind_sockets(0, "127.0.0.1")
            server.add_sockets(sockets)
            port = sockets[0].getsockname()[1]
            try:
                return await test(
                    f"{'https' if ssl else 'http'}://localhost:{port}"
                )
            finally:
                server.stop()
                await server.close_all_connections()

        return run(main())

    return serve


def client() -> httpclient.AsyncHTTPClient:
    return httpclient.AsyncHTTPClient(force_instance=True, max_clients=20)


@pytest.mark.parametrize("ssl", [False, True], ids=["plain", "tls"])
def test_http(serve, ssl):
    options = {"ssl_options": tls.client_context()} if ssl else {}

    async def test(url):
        fetch = client().fetch
        answers = await asyncio.gather(*(
            fetch(f"{url}/echo?text={number}", **options)
            for number in range(100)
        ))
        upload = await fetch(
            url + "/echo", method="POST", body=BIG, **options
        )
        lines = await fetch(url + "/stream", **options)
        return (
            [int(answer.body) for answer in answers], upload.body,
            lines.body.split(),
        )

    assert serve(test, ssl) == (
        list(range(100)), b'{"length": 3000000}',
        [b"%d" % number for number in range(500)],
    )


def test_an_executor(serve):
    async def test(url):
        return (await client().fetch(url + "/thread")).body

    assert serve(test) == b"4950"


def test_a_websocket_chat(serve):
    async def test(url):
        url = url.replace("http", "ws") + "/chat"
        members = [await websocket.websocket_connect(url) for _ in range(20)]
        await members[0].write_message("hello")
        heard = [await member.read_message() for member in members]
        for member in members:
            member.close()
        while Chat.members:
            await gen.sleep(0.005)
        return heard

    assert serve(test) == ["HELLO"] * 20


def test_an_iostream(run):
    class Reverse(tcpserver.TCPServer):
        async def handle_stream(self, stream, address):
            try:
                while True:
                    line = await stream.read_until(b"\n")
                    await stream.write(line[-2::-1] + b"\n")
            except iostream.StreamClosedError:
                pass

    async def main():
        server = Reverse()
        sockets = netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        stream = await tcpclient.TCPClient().connect(
            "127.0.0.1", sockets[0].getsockname()[1]
        )
        answers = []
        for number in range(200):
            await stream.write(b"%05d\n" % number)
            answers.append(await stream.read_until(b"\n"))
        stream.close()
        server.stop()
        return answers

    assert run(main()) == [
        (b"%05d" % number)[::-1] + b"\n" for number in range(200)
    ]


def test_an_ioloop_on_a_loop_that_is_given(kind):
    """Callbacks and timers of the IOLoop are those of our loop."""
    ours = loops.new(kind)
    asyncio.set_event_loop(ours)
    try:
        loop = ioloop.IOLoop(asyncio_loop=ours, make_current=False)
        calls = []
        periodic = ioloop.PeriodicCallback(lambda: calls.append("tick"), 5)
        loop.add_callback(calls.append, "callback")
        loop.add_callback(periodic.start)
        loop.call_later(0.1, loop.stop)
        loop.start()
        periodic.stop()
        loop.close(all_fds=True)
    finally:
        asyncio.set_event_loop(None)
    assert calls[0] == "callback"
    assert calls.count("tick") >= 5
    assert ours.is_closed()
