"""asyncloop.open_connection and its kin: asyncio's functions, by name."""

import asyncio

import asyncloop
import pytest

from support.net import in_loop


def is_native(stream) -> bool:
    return type(stream) not in (asyncio.StreamReader, asyncio.StreamWriter)


async def upper(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


async def ask(reader, writer):
    writer.write(b"line\n")
    await writer.drain()
    assert await reader.read() == b"LINE\n"
    writer.close()
    await writer.wait_closed()


@in_loop
async def test_they_work_on_every_loop(loop, kind, tmp_path):
    path = str(tmp_path / "socket")
    tcp = await asyncloop.start_server(upper, "127.0.0.1", 0, limit=100)
    unix = await asyncloop.start_unix_server(upper, path)
    first = await asyncloop.open_connection(
        *tcp.sockets[0].getsockname(), limit=200
    )
    assert first[0]._limit == 200
    second = await asyncloop.open_unix_connection(path)
    for reader, writer in (first, second):
        assert is_native(reader) == is_native(writer) == (kind != "asyncio")
        await ask(reader, writer)
    for server in (tcp, unix):
        server.close()
        await server.wait_closed()


@in_loop
async def test_a_refusal_is_raised(loop, tmp_path):
    with pytest.raises(FileNotFoundError):
        await asyncloop.open_unix_connection(str(tmp_path / "nothing"))
