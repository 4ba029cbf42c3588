"""What the ssl module cannot ask for: the openssl program is the peer."""

import asyncio
import os
import shutil
import subprocess

import pytest

from support.net import Recorder, in_loop, quiet, refused_address, until
from support.tls import NAME, client_context, server_context, write_files


class Shout(Recorder):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data.upper())


class Program:
    """s_client or s_server, fed line by line."""

    def __init__(self, *arguments):
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("the openssl program is not installed")
        self.process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.output = b""
        os.set_blocking(self.process.stdout.fileno(), False)

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    async def hear(self, text):
        def heard():
            self.output += self.process.stdout.read() or b""
            return text in self.output

        await until(heard)
        self.output = b""

    async def end(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        await quiet()


async def served(loop):
    """A server, the protocols of its connections, and its port."""
    made = []

    def make():
        made.append(Shout(loop))
        return made[-1]

    server = await loop.create_server(
        make, "127.0.0.1", 0, ssl=server_context()
    )
    return server, made, str(server.sockets[0].getsockname()[1])


async def finish(server, made):
    server.close()
    for protocol in made:
        await protocol.lost
    await server.wait_closed()


@pytest.mark.parametrize("letter", [b"K", b"k"])
@in_loop
async def test_keys_are_updated_by_the_client(loop, letter):
    """K asks the server to do the same, k does not."""
    server, made, port = await served(loop)
    client = Program("s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3")
    client.say(b"before\n")
    await client.hear(b"BEFORE")
    for _ in range(3):
        client.say(letter + b"\n")
        await quiet()
        client.say(b"after\n")
        await client.hear(b"AFTER")
    assert made[0].calls == ["made", "data"]
    await client.end()
    await finish(server, made)


@in_loop
async def test_a_renegotiation_does_not_break_the_connection(loop):
    """TLS 1.2: OpenSSL's servers refuse it, and go on."""
    server, made, port = await served(loop)
    client = Program("s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2")
    client.say(b"before\n")
    await client.hear(b"BEFORE")
    client.say(b"R\n")
    await until(
        lambda: client.process.poll() is not None or made[0].lost.done()
        or b"RENEG" in client.output or _read(client)
    )
    await client.end()
    await finish(server, made)
    assert made[0].calls[0] == "made" and made[0].calls[-1] == "lost"


def _read(client):
    client.output += client.process.stdout.read() or b""
    return b"RENEGOTIATING" in client.output


@in_loop
async def test_keys_are_updated_by_the_server(loop, tmp_path):
    cert, key = write_files(os.fspath(tmp_path))
    port = str(refused_address()[1])
    server = Program(
        "s_server", "-accept", f"127.0.0.1:{port}", "-tls1_3",
        "-cert", cert, "-key", key,
    )
    await server.hear(b"ACCEPT")
    transport, protocol = await loop.create_connection(
        lambda: Recorder(loop), "127.0.0.1", int(port), ssl=client_context(),
        server_hostname=NAME,
    )
    transport.write(b"before\n")
    await server.hear(b"before")
    for _ in range(2):
        server.say(b"K\n")
        await quiet()
        transport.write(b"after\n")
        await server.hear(b"after")
    server.say(b"answer\n")
    await until(lambda: b"answer" in protocol.data)
    transport.close()
    await protocol.lost
    await server.end()


@in_loop
async def test_a_client_that_resumes(loop, tmp_path):
    """TLS 1.3 tickets, through the program."""
    server, made, port = await served(loop)
    session = os.fspath(tmp_path / "session")
    options = ("-connect", f"127.0.0.1:{port}", "-tls1_3")
    first = Program("s_client", *options, "-sess_out", session)
    first.say(b"one\n")
    await first.hear(b"ONE")
    first.process.stdin.close()
    await until(lambda: first.process.poll() is not None)
    await asyncio.sleep(0)
    second = Program("s_client", *options, "-sess_in", session)
    await second.hear(b"Reused, TLSv1.3")
    second.say(b"two\n")
    await second.hear(b"TWO")
    await first.end()
    await second.end()
    await finish(server, made)
    assert made[1].transport.get_extra_info("ssl_object").session_reused
