"""connect_read_pipe and connect_write_pipe."""

import asyncio
import fcntl
import gc
import logging
import os
import pty
import re
import socket
import warnings

import pytest

from support.loops import collect_errors
from support.net import (
    Recorder, in_loop, is_borrowed, is_open, quiet, receive, settle, until,
)


def reader_of(fd):
    return os.fdopen(fd, "rb", 0)


def writer_of(fd):
    return os.fdopen(fd, "wb", 0)


async def read_pipe(loop, cls=Recorder):
    """A reading transport, its protocol, and the descriptor to write to."""
    reader, writer = os.pipe()
    transport, protocol = await loop.connect_read_pipe(
        lambda: cls(loop), reader_of(reader)
    )
    return transport, protocol, writer


async def write_pipe(loop, cls=Recorder):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    transport, protocol = await loop.connect_write_pipe(
        lambda: cls(loop), writer_of(writer)
    )
    return transport, protocol, reader


async def read(fd, count=None):
    with socket_like(fd) as sock:
        return await receive(sock, count)


class socket_like:
    """`receive` takes it for a socket."""

    def __init__(self, fd):
        self.fd = fd

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def recv(self, size):
        return os.read(self.fd, size)


# -- reading ----------------------------------------------------------------

@pytest.mark.needs_is_reading
@in_loop
async def test_a_pipe_is_read_to_its_end(loop):
    transport, protocol, writer = await read_pipe(loop)
    assert isinstance(transport, asyncio.ReadTransport)
    assert not isinstance(transport, asyncio.WriteTransport)
    assert protocol.calls == ["made"] and transport.is_reading()
    os.write(writer, b"one")
    await until(lambda: protocol.data == b"one")
    os.write(writer, b"two")
    os.close(writer)
    assert await protocol.lost is None
    assert protocol.data == b"onetwo"
    assert protocol.calls == ["made", "data", "eof", "lost"]
    assert transport.is_closing()


@in_loop
async def test_eof_received_cannot_keep_a_pipe_open(loop):
    class Stay(Recorder):
        keep_open = True

    transport, protocol, writer = await read_pipe(loop, Stay)
    os.close(writer)
    assert await protocol.lost is None
    assert protocol.calls == ["made", "eof", "lost"]


@pytest.mark.needs_is_reading
@in_loop
async def test_the_pipe_is_the_extra_info_and_closes_with_it(loop):
    reader, writer = os.pipe()
    pipe = reader_of(reader)
    transport, protocol = await loop.connect_read_pipe(
        lambda: Recorder(loop), pipe
    )
    assert transport.get_extra_info("pipe") is pipe
    assert transport.get_extra_info("socket") is None
    assert transport.get_extra_info("peername", 5) == 5
    assert transport.get_protocol() is protocol
    assert os.get_blocking(reader) is False
    transport.close()
    assert transport.is_closing() and not transport.is_reading()
    assert not pipe.closed
    assert await protocol.lost is None
    await settle()
    assert pipe.closed and not is_open(reader)
    assert protocol.calls == ["made", "lost"]
    transport.close()
    os.close(writer)


@pytest.mark.needs_is_reading
@in_loop
async def test_a_read_pipe_pauses(loop):
    transport, protocol, writer = await read_pipe(loop)
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading()
    os.write(writer, b"later")
    await quiet()
    assert protocol.data == b""
    transport.resume_reading()
    transport.resume_reading()
    assert transport.is_reading()
    await until(lambda: protocol.data == b"later")
    transport.close()
    transport.pause_reading()
    transport.resume_reading()
    await protocol.lost
    os.close(writer)


@in_loop
async def test_the_protocol_of_a_pipe_can_be_replaced(loop):
    transport, protocol, writer = await read_pipe(loop)
    second = Recorder(loop)
    transport.set_protocol(second)
    assert transport.get_protocol() is second
    os.write(writer, b"x")
    os.close(writer)
    await second.lost
    assert second.calls == ["data", "eof", "lost"]
    assert protocol.calls == ["made"]


@in_loop
async def test_much_data_comes_through_a_pipe(loop):
    incoming, receiver, writer = await read_pipe(loop)
    outgoing, sender = await loop.connect_write_pipe(
        lambda: Recorder(loop), writer_of(writer)
    )
    sent = os.urandom(1 << 20) * 8
    outgoing.write(sent)
    assert outgoing.get_write_buffer_size() > 0
    assert "pause" in sender.calls
    outgoing.close()
    await receiver.lost
    assert receiver.data == sent
    assert await sender.lost is None
    # What was paused is resumed when it has left, closing or not.
    assert sender.calls == ["made", "pause", "resume", "lost"]


# -- writing ----------------------------------------------------------------

@in_loop
async def test_a_pipe_is_written(loop):
    transport, protocol, reader = await write_pipe(loop)
    assert isinstance(transport, asyncio.WriteTransport)
    assert transport.can_write_eof() is True
    transport.write(b"one ")
    transport.write(bytearray(b"two "))
    transport.write(memoryview(b"three "))
    transport.writelines([b"fo", b"ur"])
    transport.write(b"")
    assert await read(reader, 18) == b"one two three four"
    assert transport.get_write_buffer_size() == 0
    transport.close()
    assert await protocol.lost is None
    assert await read(reader) == b""
    os.close(reader)


@pytest.mark.parametrize("how", ["close", "write_eof"])
@in_loop
async def test_closing_a_write_pipe_sends_what_waits(loop, how):
    transport, protocol, reader = await write_pipe(loop)
    sent = os.urandom(1 << 20)
    transport.write(sent)
    getattr(transport, how)()
    assert transport.is_closing()
    await quiet()
    assert "lost" not in protocol.calls
    assert await read(reader) == sent
    assert await protocol.lost is None
    os.close(reader)


@in_loop
async def test_a_bytearray_may_change_while_it_waits(loop):
    transport, protocol, reader = await write_pipe(loop)
    data = bytearray(b"x" * (1 << 20))
    transport.write(data)
    data[:] = b"y" * len(data)
    data.clear()
    assert await read(reader, 1 << 20) == b"x" * (1 << 20)
    transport.close()
    await protocol.lost
    os.close(reader)


@in_loop
async def test_abort_drops_what_waits(loop):
    transport, protocol, reader = await write_pipe(loop)
    transport.write(bytes(1 << 20))
    transport.abort()
    assert transport.get_write_buffer_size() == 0
    assert await protocol.lost is None
    assert len(await read(reader)) < 1 << 20
    os.close(reader)


@in_loop
async def test_a_pipe_whose_reader_goes_is_lost(loop):
    transport, protocol, reader = await write_pipe(loop)
    os.close(reader)
    # Noticed without a write.
    assert await protocol.lost is None
    assert protocol.calls == ["made", "lost"]


@in_loop
async def test_a_pipe_whose_reader_goes_while_data_waits_is_broken(loop):
    transport, protocol, reader = await write_pipe(loop)
    transport.write(bytes(1 << 20))
    os.close(reader)
    assert isinstance(await protocol.lost, BrokenPipeError)
    assert protocol.calls[-1] == "lost"


@in_loop
async def test_a_write_into_a_broken_pipe_loses_it(loop):
    transport, protocol, reader = await write_pipe(loop)
    os.close(reader)
    transport.write(b"x")
    error = await protocol.lost
    assert error is None or isinstance(error, BrokenPipeError)
    assert protocol.calls == ["made", "lost"]


def test_writes_after_the_end_are_dropped_and_warned_of(loop, caplog):
    @in_loop
    async def main(loop):
        transport, protocol, reader = await write_pipe(loop)
        transport.close()
        await protocol.lost
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(5):
                transport.write(b"x")
            assert caplog.records == []
            transport.write(b"x")
            assert [r.getMessage() for r in caplog.records] == [
                "pipe closed by peer or os.write(pipe, data) raised "
                "exception."
            ]
        os.close(reader)

    main(loop)


@in_loop
async def test_a_write_pipe_has_limits(loop):
    transport, protocol, reader = await write_pipe(loop)
    assert transport.get_write_buffer_limits() == (16384, 65536)
    transport.set_write_buffer_limits(high=1 << 18, low=1 << 10)
    assert transport.get_write_buffer_limits() == (1 << 10, 1 << 18)
    with pytest.raises(ValueError):
        transport.set_write_buffer_limits(high=1, low=2)
    transport.write(bytes(1 << 20))
    assert protocol.calls == ["made", "pause"]
    await read(reader, 1 << 20)
    await until(lambda: protocol.calls == ["made", "pause", "resume"])
    transport.close()
    await protocol.lost
    os.close(reader)


# -- kinds of files ---------------------------------------------------------

@in_loop
async def test_regular_files_and_folders_are_refused(loop, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"data")
    with open(path, "rb", 0) as file:
        with pytest.raises(
            ValueError, match="^Pipe transport is for pipes/sockets only.$"
        ):
            await loop.connect_read_pipe(lambda: Recorder(loop), file)
        # It stays the caller's.
        assert file.read() == b"data"
    with open(path, "wb", 0) as file:
        with pytest.raises(
            ValueError, match="^Pipe transport is only for pipes, sockets and"
        ):
            await loop.connect_write_pipe(lambda: Recorder(loop), file)
        assert file.write(b"x") == 1


@in_loop
async def test_sockets_and_fifos_are_taken(loop, tmp_path):
    one, two = socket.socketpair()
    two.setblocking(False)
    transport, protocol = await loop.connect_read_pipe(
        lambda: Recorder(loop), one
    )
    two.send(b"x")
    two.close()
    await protocol.lost
    assert protocol.calls == ["made", "data", "eof", "lost"]
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    transport, protocol = await loop.connect_write_pipe(
        lambda: Recorder(loop), writer_of(os.open(path, os.O_WRONLY))
    )
    transport.write(b"x")
    assert await read(fd, 1) == b"x"
    transport.close()
    await protocol.lost
    os.close(fd)


@in_loop
async def test_a_terminal_is_read_and_written(loop):
    controller, terminal = pty.openpty()
    reading, reader = await loop.connect_read_pipe(
        lambda: Recorder(loop), reader_of(os.dup(terminal))
    )
    writing, writer = await loop.connect_write_pipe(
        lambda: Recorder(loop), writer_of(terminal)
    )
    assert writing.get_extra_info("pipe").isatty()
    os.write(controller, b"typed\n")
    await until(lambda: reader.data == b"typed\n")
    writing.write(b"shown\n")
    os.set_blocking(controller, False)
    # Echoed, then written, each with the terminal's line end.
    assert await read(controller, 14) == b"typed\r\nshown\r\n"
    writing.close()
    await writer.lost
    reading.close()
    await reader.lost
    os.close(controller)


@in_loop
async def test_a_terminal_that_hangs_up_is_no_news_for_the_log(loop):
    controller, terminal = pty.openpty()
    transport, protocol = await loop.connect_read_pipe(
        lambda: Recorder(loop), reader_of(terminal)
    )
    os.close(controller)
    error = await protocol.lost
    assert error is None or error.errno == 5


@in_loop
async def test_the_size_of_the_pipe_is_left_alone(loop):
    transport, protocol, reader = await write_pipe(loop)
    pipe = transport.get_extra_info("pipe")
    before = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
    transport.write(bytes(1 << 20))
    assert fcntl.fcntl(pipe.fileno(), fcntl.F_GETPIPE_SZ) == before
    transport.abort()
    await protocol.lost
    os.close(reader)


# -- errors -----------------------------------------------------------------

@in_loop
async def test_an_error_in_data_received_is_reported_and_the_pipe_lives(loop):
    """Unlike a socket's: asyncio's loop catches it, not the transport."""
    class Raises(Recorder):
        def data_received(self, data):
            super().data_received(data)
            if len(self.data) == 1:
                raise ZeroDivisionError

    errors = collect_errors(loop)
    transport, protocol, writer = await read_pipe(loop, Raises)
    os.write(writer, b"x")
    await until(lambda: bool(errors))
    assert type(errors[0]["exception"]) is ZeroDivisionError
    assert errors[0]["message"].startswith("Exception in callback ")
    os.write(writer, b"y")
    await until(lambda: protocol.data == b"xy")
    transport.close()
    await protocol.lost
    os.close(writer)


@in_loop
async def test_a_factory_that_raises_leaves_the_pipe_to_its_owner(loop):
    def fail():
        raise ZeroDivisionError

    reader, writer = os.pipe()
    with reader_of(reader) as incoming, writer_of(writer) as outgoing:
        with pytest.raises(ZeroDivisionError):
            await loop.connect_read_pipe(fail, incoming)
        with pytest.raises(ZeroDivisionError):
            await loop.connect_write_pipe(fail, outgoing)
        assert is_open(reader) and is_open(writer)


def test_something_without_a_descriptor_is_refused(child):
    """In a child: asyncio's half-made transports fail in finalizers."""
    done = child.run("""
        loop = new_loop()
        for method in (loop.connect_read_pipe, loop.connect_write_pipe):
            try:
                loop.run_until_complete(method(asyncio.Protocol, object()))
            except AttributeError as error:
                print("fileno" in str(error))
        loop.close()
    """)
    assert (done.returncode, done.stdout) == (0, "True\nTrue\n"), done.stderr


@in_loop
async def test_a_forgotten_pipe_warns_and_closes(loop):
    transport, protocol, reader = await write_pipe(loop)
    transport.write(b"x")
    fd = transport.get_extra_info("pipe").fileno()
    other, second, writer = await read_pipe(loop)
    other.pause_reading()
    other_fd = other.get_extra_info("pipe").fileno()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        second.transport = None
        del other, second
        gc.collect()
        await settle()
        texts = "".join(str(w.message) for w in caught)
        caught.clear()
        gc.collect()
    assert "unclosed transport" in texts and f"fd={other_fd}" in texts
    assert not is_open(other_fd)
    transport.close()
    await protocol.lost
    assert not is_open(fd)
    os.close(reader)
    os.close(writer)


@in_loop
async def test_repr_of_pipes(loop):
    transport, protocol, writer = await read_pipe(loop)
    await settle()
    name, fd = type(transport).__name__, transport.get_extra_info(
        "pipe").fileno()
    assert repr(transport) == f"<{name} fd={fd} polling>"
    transport.pause_reading()
    assert repr(transport) == f"<{name} fd={fd} idle>"
    transport.close()
    assert repr(transport) == f"<{name} closing fd={fd} idle>"
    await protocol.lost
    await settle()
    assert repr(transport) == f"<{name} closed fd={fd} closed>"
    os.close(writer)
    transport, protocol, reader = await write_pipe(loop)
    name, fd = type(transport).__name__, transport.get_extra_info(
        "pipe").fileno()
    assert repr(transport) == f"<{name} fd={fd} idle bufsize=0>"
    transport.write(bytes(1 << 20))
    assert re.fullmatch(
        rf"<{name} fd={fd} polling bufsize=[1-9]\d+>", repr(transport)
    )
    transport.abort()
    await protocol.lost
    await settle()
    assert repr(transport) == f"<{name} closed fd={fd} closed>"
    os.close(reader)


@pytest.mark.skipif(
    not hasattr(fcntl, "F_GETPIPE_SZ"), reason="pipes have a size on Linux"
)
@in_loop
async def test_a_pipe_that_was_full_keeps_what_it_has_in_order(loop):
    """Ours is made larger then, which the other end must not notice."""
    read, write = os.pipe()
    data = os.urandom(3 << 20)
    received = bytearray()
    ended = loop.create_future()

    class Reader(asyncio.Protocol):
        def data_received(self, piece):
            received.extend(piece)

        def connection_lost(self, error):
            ended.set_result(error)

    await loop.connect_read_pipe(Reader, open(read, "rb", 0))
    transport, _ = await loop.connect_write_pipe(
        asyncio.BaseProtocol, open(write, "wb", 0)
    )
    ours = not is_borrowed(transport)
    for start in range(0, len(data), 100_000):
        transport.write(data[start:start + 100_000])
    await until(lambda: len(received) > 1 << 20)
    size = fcntl.fcntl(read, fcntl.F_GETPIPE_SZ)
    assert size == (256 << 10 if ours else 64 << 10)
    transport.close()
    assert await ended is None
    assert bytes(received) == data
