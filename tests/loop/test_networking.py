"""Small end-to-end checks of what stands on the loop.

Transports, processes and resolver have suites of their own; here each only
has to work at all.
"""

import asyncio
import os
import socket
import subprocess
import sys

import pytest


class Echo(asyncio.Protocol):
    def __init__(self, loop):
        self.lost = loop.create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, error):
        self.lost.set_result(error)


class Collect(asyncio.Protocol):
    def __init__(self, loop, expected):
        self.data = b""
        self.expected = expected
        self.done = loop.create_future()
        self.lost = loop.create_future()

    def data_received(self, data):
        self.data += data
        if len(self.data) == self.expected:
            self.done.set_result(self.data)

    def connection_lost(self, error):
        self.lost.set_result(error)


@pytest.mark.parametrize("size", [1, 1024, 1 << 20])
def test_an_echo_server_answers(loop, size):
    payload = os.urandom(size)

    async def main():
        echo = Echo(loop)
        server = await loop.create_server(lambda: echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        transport, protocol = await loop.create_connection(
            lambda: Collect(loop, size), *address
        )
        transport.write(payload)
        data = await protocol.done
        transport.close()
        assert await protocol.lost is None
        assert await echo.lost is None
        server.close()
        await server.wait_closed()
        return data

    assert loop.run_until_complete(main()) == payload


class Shouter:
    """Answers in capitals; `ended` is released at each client's end."""

    def __init__(self):
        self.ended = asyncio.Semaphore(0)

    async def __call__(self, reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        self.ended.release()


async def talk(reader, writer):
    answers = []
    for word in (b"one\n", b"two\n"):
        writer.write(word)
        answers.append(await reader.readline())
    writer.write_eof()
    answers.append(await reader.read())
    writer.close()
    await writer.wait_closed()
    return answers


def test_streams_talk(loop):
    async def client(address):
        return await talk(*await asyncio.open_connection(*address))

    async def main():
        shout = Shouter()
        server = await asyncio.start_server(shout, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        answers = await asyncio.gather(*(client(address) for _ in range(10)))
        for _ in answers:
            await shout.ended.acquire()
        server.close()
        await server.wait_closed()
        return answers

    assert loop.run_until_complete(main()) == [[b"ONE\n", b"TWO\n", b""]] * 10


def test_streams_talk_over_a_unix_socket(loop, tmp_path):
    path = str(tmp_path / "s")

    async def main():
        shout = Shouter()
        server = await asyncio.start_unix_server(shout, path)
        answers = await talk(*await asyncio.open_unix_connection(path))
        await shout.ended.acquire()
        server.close()
        await server.wait_closed()
        return answers

    assert loop.run_until_complete(main()) == [b"ONE\n", b"TWO\n", b""]


def test_datagrams_arrive(loop):
    class Peer(asyncio.DatagramProtocol):
        def __init__(self):
            self.got = loop.create_future()

        def datagram_received(self, data, address):
            if not self.got.done():
                self.got.set_result((data, address))

    async def main():
        one, receiver = await loop.create_datagram_endpoint(
            Peer, local_addr=("127.0.0.1", 0)
        )
        two, _ = await loop.create_datagram_endpoint(
            Peer, remote_addr=one.get_extra_info("sockname")
        )
        two.sendto(b"datagram")
        data, address = await receiver.got
        assert address == two.get_extra_info("sockname")
        one.close()
        two.close()
        await asyncio.sleep(0)
        return data

    assert loop.run_until_complete(main()) == b"datagram"


def test_sockets_are_awaited(loop):
    async def serve(listener):
        connection, _ = await loop.sock_accept(listener)
        with connection:
            data = await loop.sock_recv(connection, 100)
            await loop.sock_sendall(connection, data[::-1])

    async def main():
        with socket.socket() as listener, socket.socket() as client:
            for sock in (listener, client):
                sock.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            serving = asyncio.create_task(serve(listener))
            await loop.sock_connect(client, listener.getsockname())
            await loop.sock_sendall(client, b"abc")
            data = await loop.sock_recv(client, 100)
            await serving
            return data

    assert loop.run_until_complete(main()) == b"cba"


def test_a_cancelled_receive_leaves_the_socket_usable(loop):
    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            for _ in range(20):
                task = asyncio.create_task(loop.sock_recv(ours, 10))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            theirs.send(b"x")
            return await loop.sock_recv(ours, 10)

    assert loop.run_until_complete(main()) == b"x"


def test_names_are_resolved(loop):
    async def main():
        found = await loop.getaddrinfo(
            "localhost", 80, type=socket.SOCK_STREAM
        )
        await loop.shutdown_default_executor()
        return found

    addresses = {info[4][0] for info in loop.run_until_complete(main())}
    assert addresses & {"127.0.0.1", "::1"}


PROGRAM = "import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.exit(3)"


def test_a_process_runs(loop):
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate(b"abc")
        return out, process.returncode

    assert loop.run_until_complete(main()) == (b"cba", 3)


def test_a_shell_runs(loop):
    async def main():
        process = await asyncio.create_subprocess_shell(
            "echo out; exit 5", stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out, process.returncode

    assert loop.run_until_complete(main()) == (b"out\n", 5)


def test_a_process_can_be_killed(loop):
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time; time.sleep(100)"
        )
        process.kill()
        return await process.wait()

    assert loop.run_until_complete(main()) == -9


def test_pipes_have_transports(loop):
    async def main():
        reader, writer = os.pipe()
        stream = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream),
            os.fdopen(reader, "rb", 0),
        )
        writing, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(writer, "wb", 0)
        )
        writing.write(b"through the pipe")
        writing.close()
        data = await stream.read()
        reading.close()
        await asyncio.sleep(0)
        return data

    assert loop.run_until_complete(main()) == b"through the pipe"


def test_a_keep_alive_timer_is_beaten_by_data(loop):
    """Client sends just before the server's idle timeout; both are seen."""
    async def main():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            async with asyncio.timeout(30):
                theirs.send(b"request")
                return await loop.sock_recv(ours, 100)

    assert loop.run_until_complete(main()) == b"request"
