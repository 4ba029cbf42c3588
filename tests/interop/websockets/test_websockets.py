"""websockets: a chat of a thousand, TLS, reconnecting, keep-alive."""

import asyncio

import pytest
import websockets
from support import tls
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve

CLIENTS = 1000


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def port_of(server) -> int:
    return server.sockets[0].getsockname()[1]


def with_echo(run, test, **options):
    async def main():
        async with serve(echo, "127.0.0.1", 0, **options) as server:
            scheme = "wss" if options.get("ssl") else "ws"
            url = f"{scheme}://localhost:{port_of(server)}"
            return await test(url)

    return run(main())


def test_a_thousand_clients_chat(run):
    """Each says one thing, and everybody hears all of it."""
    rounds = 3
    members = set()

    async def chat(socket):
        members.add(socket)
        try:
            async for message in socket:
                broadcast(members, message)
        finally:
            members.discard(socket)

    async def client(url, number, everybody):
        async with connect(url, compression=None, max_queue=64) as socket:
            everybody.release()
            # The first ones speak, all of them listen.
            while everybody.locked_out:
                await everybody.opened.wait()
            if number < rounds:
                await socket.send(f"hello from {number}")
            heard = [await socket.recv() for _ in range(rounds)]
            return sorted(heard)

    class Room:
        def __init__(self):
            self.inside, self.locked_out = 0, True
            self.opened = asyncio.Event()

        def release(self):
            self.inside += 1
            if self.inside == CLIENTS:
                self.locked_out = False
                self.opened.set()

    async def main():
        async with serve(
            chat, "127.0.0.1", 0, compression=None, backlog=CLIENTS,
            open_timeout=60,
        ) as server:
            url = f"ws://127.0.0.1:{port_of(server)}"
            room = Room()
            heard = await asyncio.gather(*(
                client(url, number, room) for number in range(CLIENTS)
            ))
        return heard, len(members)

    heard, left = run(main())
    assert heard == [[f"hello from {n}" for n in range(rounds)]] * CLIENTS
    assert left == 0


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_of_all_sizes(run, compression):
    messages = ["", "text \u20ac", b"\0\xff", b"x" * 65536, "y" * 900_000]

    async def test(url):
        async with connect(url, compression=compression) as socket:
            answers = []
            for message in messages:
                await socket.send(message)
                answers.append(await socket.recv())
            return answers

    assert with_echo(run, test) == messages


def test_tls(run):
    async def test(url):
        async with connect(url, ssl=tls.client_context()) as socket:
            await socket.send(b"z" * 500_000)
            return await socket.recv()

    assert with_echo(run, test, ssl=tls.server_context()) == b"z" * 500_000


def test_a_fragmented_message(run):
    async def parts():
        for number in range(100):
            yield f"part {number};"
            await asyncio.sleep(0)

    async def test(url):
        async with connect(url) as socket:
            await socket.send(parts())
            return await socket.recv()

    assert with_echo(run, test) == "".join(
        f"part {number};" for number in range(100)
    )


def test_a_client_connects_again_when_the_server_went_away(run):
    async def main():
        visits = []

        async def once(socket):
            visits.append(socket)
            await socket.send(str(len(visits)))
            await socket.close(1012, "restart")

        async with serve(once, "127.0.0.1", 0) as server:
            got = []
            async for socket in connect(f"ws://127.0.0.1:{port_of(server)}"):
                try:
                    async for message in socket:
                        got.append(message)
                except websockets.ConnectionClosed:
                    pass
                if len(got) == 3:
                    return got

    assert run(main()) == ["1", "2", "3"]


def test_a_ping_is_answered(run):
    async def test(url):
        async with connect(url) as socket:
            latency = await (await socket.ping())
            return latency > 0

    assert with_echo(run, test)


def test_a_silent_peer_is_dropped(run):
    """Its answers to pings never come: the keep-alive closes."""

    async def main():
        async def silent(reader, writer):
            from base64 import b64encode
            from hashlib import sha1

            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            key = next(
                line.split(": ")[1] for line in head.split("\r\n")
                if line.lower().startswith("sec-websocket-key")
            )
            guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = b64encode(sha1((key + guid).encode()).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                + accept + b"\r\n\r\n"
            )
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            async with connect(
                f"ws://127.0.0.1:{port_of(server)}", ping_interval=0.05,
                ping_timeout=0.05, close_timeout=0.05,
            ) as socket:
                with pytest.raises(websockets.ConnectionClosedError) as info:
                    await socket.recv()
        return info.value.sent.code

    assert run(main()) == 1011


def test_backpressure_holds_a_sender(run):
    """With nobody reading, send() has to wait at some point."""

    async def main():
        stop = asyncio.Event()

        async def deaf(socket):
            socket.transport.pause_reading()
            await stop.wait()
            socket.transport.abort()

        async with serve(deaf, "127.0.0.1", 0) as server:
            async with connect(
                f"ws://127.0.0.1:{port_of(server)}", compression=None,
                ping_interval=None, close_timeout=0.1,
            ) as socket:
                async def send():
                    while True:
                        await socket.send(b"w" * 100_000)

                task = asyncio.create_task(send())
                await asyncio.sleep(0.3)
                size = socket.transport.get_write_buffer_size()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                stop.set()
        return size

    assert 0 < run(main()) < 1_000_000
