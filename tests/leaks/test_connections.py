"""Connections come and go by the thousand, and nothing grows."""

import textwrap

import pytest

# Each child does its work 2000 times, in four measures of 500.
WORK = {
    "connect and close": """
        transport, protocol = await loop.create_connection(
            lambda: Recorder(loop), *address)
        transport.write(b"x")
        transport.close()
        await protocol.lost
    """,
    "connect and abort": """
        transport, protocol = await loop.create_connection(
            lambda: Recorder(loop), *address)
        transport.write(bytes(100_000))
        transport.abort()
        await protocol.lost
    """,
    "refused": """
        try:
            await loop.create_connection(asyncio.Protocol, *nobody)
        except ConnectionRefusedError:
            pass
    """,
    "reset": """
        ours, peer = pair()
        transport, protocol = await loop.create_connection(
            lambda: Recorder(loop), sock=ours)
        reset(peer)
        await protocol.lost
    """,
    "cancelled": """
        task = loop.create_task(loop.create_connection(
            asyncio.Protocol, *address))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
    """,
    "buffered": """
        ours, peer = pair("unix")
        transport, protocol = await loop.create_connection(
            lambda: BufferedRecorder(loop), sock=ours)
        peer.send(bytes(1000))
        peer.close()
        await protocol.lost
    """,
    "errors": """
        class Raises(Recorder):
            def data_received(self, data):
                raise ZeroDivisionError
        ours, peer = pair("unix")
        transport, protocol = await loop.create_connection(
            lambda: Raises(loop), sock=ours)
        peer.send(b"x")
        await protocol.lost
        peer.close()
    """,
    "servers": """
        server = await loop.create_server(
            asyncio.Protocol, "127.0.0.1", 0)
        server.close()
        await server.wait_closed()
    """,
    "streams": """
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    """,
    "pipes": """
        reader, writer = os.pipe()
        one, first = await loop.connect_read_pipe(
            lambda: Recorder(loop), os.fdopen(reader, "rb", 0))
        two, second = await loop.connect_write_pipe(
            lambda: Recorder(loop), os.fdopen(writer, "wb", 0))
        two.write(b"x")
        two.close()
        await first.lost
        await second.lost
    """,
}

PROGRAM = """
from support.leakcheck import open_fds
from support.net import (
    BufferedRecorder, Recorder, pair, refused_address, reset,
)
loop = new_loop()
loop.set_exception_handler(lambda loop, context: None)
address = nobody = None

async def work():
{body}

async def rounds(count):
    for _ in range(count):
        for _ in range(10):
            await work()
    for _ in range(10):
        await asyncio.sleep(0)

def measure(count):
    loop.run_until_complete(rounds(count))
    # The server's side ends a little later.
    loop.run_until_complete(asyncio.sleep(0.02))
    gc.collect()
    return sys.getallocatedblocks(), len(open_fds())

async def start():
    global address, nobody, server
    server = await loop.create_server(
        asyncio.Protocol, "127.0.0.1", 0, backlog=500)
    address = server.sockets[0].getsockname()
    nobody = refused_address()

loop.run_until_complete(start())
measure(5)
# The smallest growth of three: caches elsewhere may still fill up.
seen = [measure(50) for _ in range(4)]
print(min(b[0] - a[0] for a, b in zip(seen, seen[1:])))
print(max(s[1] for s in seen) - min(s[1] for s in seen))
server.close()
loop.close()
"""


@pytest.mark.parametrize("what", WORK)
def test_2000_connections_leave_blocks_and_descriptors_as_they_were(
    child, what
):
    body = textwrap.indent(textwrap.dedent(WORK[what]), "    ")
    out = child.succeed(PROGRAM.format(body=body))
    blocks, descriptors = map(int, out.split())
    # A leak of one block for each would make five hundred.
    assert blocks < 200
    assert descriptors == 0
