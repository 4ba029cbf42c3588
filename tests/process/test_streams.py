"""proc.stdin, stdout and stderr."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

from support.net import in_loop

ECHO = "import sys; [print(line.strip(), flush=True) for line in sys.stdin]"
BOTH = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"


def is_native(stream) -> bool:
    return type(stream) not in (asyncio.StreamReader, asyncio.StreamWriter)


@in_loop
async def test_lines_go_through_a_child(loop):
    proc = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ECHO, stdin=PIPE, stdout=PIPE
    )
    for line in (b"one\n", b"two\n", b"three\n"):
        proc.stdin.write(line)
        await proc.stdin.drain()
        assert await proc.stdout.readline() == line
    proc.stdin.close()
    assert await proc.stdout.read() == b"" and proc.stdout.at_eof()
    await proc.stdin.wait_closed()
    assert await proc.wait() == 0


@in_loop
async def test_both_outputs_are_read(loop):
    proc = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BOTH, stdout=PIPE, stderr=PIPE
    )
    assert await proc.communicate() == (b"out\n", b"err\n")
    assert proc.returncode == 3


@in_loop
async def test_more_than_the_limit_goes_through_cat(loop):
    proc = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=PIPE, stdout=PIPE, limit=1000
    )
    data = bytes(range(256)) * 8000
    assert (await proc.communicate(data))[0] == data


@in_loop
async def test_what_came_before_somebody_reads_is_there(loop):
    proc = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BOTH, stdout=PIPE, stderr=PIPE
    )
    assert await proc.wait() == 3
    assert await proc.stderr.readline() == b"err\n"
    assert await proc.stdout.readexactly(4) == b"out\n"
    assert await proc.stdout.read(1) == b""


@in_loop
async def test_a_method_set_on_a_reader_is_called(loop):
    proc = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=PIPE, stdout=PIPE
    )
    reader = proc.stdout
    feed_data = reader.feed_data
    reader.feed_data = lambda data: feed_data(data.upper())
    proc.stdin.write(b"shout\n")
    assert await reader.readline() == b"SHOUT\n"
    proc.stdin.close()
    assert await reader.read() == b"" and await proc.wait() == 0


@pytest.mark.native_only(reason="asyncio has nothing to adopt")
@in_loop
async def test_the_streams_of_a_child_are_adopted(loop):
    proc = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    for stream in (proc.stdin, proc.stdout, proc.stderr):
        assert is_native(stream)
    await proc.communicate(b"x")
