"""sock_sendfile: sendfile(2), its limits, and the fallback."""

import asyncio
import errno
import gc
import io
import os
import socket
import tempfile

import pytest

DATA = bytes(range(251)) * 20_000  # five megabytes


def run(loop, awaitable):
    return loop.run_until_complete(asyncio.wait_for(awaitable, 30))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("sendfile") / "data"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def file(path):
    with open(path, "rb") as file:
        yield file


async def transfer(loop, pair, file, *args, **kwargs):
    """What sock_sendfile returned, and what came."""
    ours, theirs = pair
    got = bytearray()

    async def receive():
        while data := await loop.sock_recv(theirs, 1 << 20):
            got.extend(data)

    receiver = asyncio.create_task(receive())
    try:
        return await loop.sock_sendfile(ours, file, *args, **kwargs), got
    finally:
        ours.shutdown(socket.SHUT_WR)
        await receiver


@pytest.mark.parametrize("kind_of_pair", ["pair", "tcp_pair"])
def test_a_whole_file(loop, request, kind_of_pair, file):
    pair = request.getfixturevalue(kind_of_pair)
    sent, got = run(loop, transfer(loop, pair, file))
    assert sent == len(DATA) and got == DATA
    assert file.tell() == len(DATA)


@pytest.mark.parametrize(
    "offset, count",
    [(0, 1), (0, 1000), (1000, 1000), (1000, None), (0, 3_000_000),
     (2_000_000, 3_000_000), (len(DATA) - 10, 100), (0, len(DATA) + 100)],
)
@pytest.mark.parametrize("fallback", [False, True])
def test_a_part_of_a_file(loop, tcp_pair, file, offset, count, fallback):
    part = DATA[offset:] if count is None else DATA[offset:offset + count]
    sent, got = run(
        loop,
        transfer(loop, tcp_pair, file, offset, count, fallback=fallback),
    )
    assert sent == len(part) and got == part
    assert file.tell() == offset + len(part)


def test_arguments_by_name(loop, tcp_pair, file):
    sent, got = run(
        loop, transfer(loop, tcp_pair, file=file, count=5, offset=3)
    )
    assert sent == 5 and got == DATA[3:8]


@pytest.mark.parametrize("offset", [len(DATA), len(DATA) + 5])
def test_behind_the_end_there_is_nothing(loop, tcp_pair, file, offset):
    sent, got = run(loop, transfer(loop, tcp_pair, file, offset))
    assert sent == 0 and got == b""


def test_an_empty_file(loop, tcp_pair):
    with tempfile.TemporaryFile() as file:
        sent, got = run(loop, transfer(loop, tcp_pair, file))
    assert sent == 0 and got == b""


def test_a_raw_file_and_one_that_is_written_too(loop, tcp_pair, path):
    with open(path, "r+b", buffering=0) as file:
        sent, got = run(loop, transfer(loop, tcp_pair, file, 0, 10))
    assert sent == 10 and got == DATA[:10]


def test_a_file_that_grows_meanwhile(loop, tcp_pair, tmp_path):
    ours, theirs = tcp_pair
    path = tmp_path / "growing"
    path.write_bytes(DATA)

    async def main():
        with open(path, "rb") as file, open(path, "ab") as more:
            task = asyncio.create_task(loop.sock_sendfile(ours, file))
            await asyncio.sleep(0)
            more.write(b"more")
            more.flush()
            size = len(DATA) + 4
            got = b""
            while len(got) < size:
                got += await loop.sock_recv(theirs, 1 << 20)
            assert await task == size
            return got[-10:]

    assert run(loop, main()) == DATA[-6:] + b"more"


class Reader:
    """Something to read from that has no descriptor."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readinto(self, buffer):
        return self._data.readinto(buffer)

    def seek(self, *args):
        return self._data.seek(*args)


@pytest.mark.parametrize("make", [Reader, io.BytesIO])
def test_without_a_descriptor_it_is_read_and_sent(loop, tcp_pair, make):
    sent, got = run(loop, transfer(loop, tcp_pair, make(DATA)))
    assert sent == len(DATA) and got == DATA
    loop.run_until_complete(loop.shutdown_default_executor())


def test_without_a_descriptor_and_without_the_fallback(loop, tcp_pair):
    call = transfer(loop, tcp_pair, io.BytesIO(DATA), fallback=False)
    with pytest.raises(asyncio.SendfileNotAvailableError):
        run(loop, call)


def test_a_pipe_falls_back_or_says_so(loop, tcp_pair):
    """A pipe has no size: asyncio sends nothing of it."""
    read_end, write_end = os.pipe()
    with open(read_end, "rb", buffering=0) as file:
        os.write(write_end, b"data")
        os.close(write_end)
        sent, got = run(loop, transfer(loop, tcp_pair, file))
    assert sent == 0 and got == b""


def test_a_pipe_with_a_count_is_read_and_sent(loop, tcp_pair):
    read_end, write_end = os.pipe()
    with open(read_end, "rb", buffering=0) as file:
        os.write(write_end, b"data")
        os.close(write_end)
        try:
            sent, got = run(loop, transfer(loop, tcp_pair, file, 0, 4))
        except OSError as error:  # from 3.14 on it is to be rewound
            assert error.errno == errno.ESPIPE
        else:
            assert sent == 4 and got == b"data"
    loop.run_until_complete(loop.shutdown_default_executor())


@pytest.mark.parametrize(
    "kwargs",
    [{"offset": -1}, {"offset": "1"}, {"offset": 1.5}, {"count": 0},
     {"count": -5}, {"count": "5"}, {"count": 1.5}],
)
def test_wrong_arguments_are_refused(loop, tcp_pair, file, kwargs):
    with pytest.raises((ValueError, TypeError), match="must be a"):
        run(loop, transfer(loop, tcp_pair, file, **kwargs))


def test_text_is_refused(loop, tcp_pair, path):
    with open(path, encoding="latin-1") as file:
        with pytest.raises(ValueError, match="binary mode"):
            run(loop, transfer(loop, tcp_pair, file))


def test_datagram_sockets_are_refused(loop, udp, file):
    with pytest.raises(ValueError, match="only SOCK_STREAM"):
        run(loop, loop.sock_sendfile(udp[0], file))


def test_a_socket_that_is_not_connected(loop, keep, file):
    with pytest.raises(OSError):
        run(loop, loop.sock_sendfile(keep(socket.socket()), file))
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_peer_that_goes_away(loop, tcp_pair, file):
    ours, theirs = tcp_pair
    loop.call_later(0.01, theirs.close)
    with pytest.raises(ConnectionError):
        run(loop, loop.sock_sendfile(ours, file))
    assert 0 < file.tell() < len(DATA)


def test_a_cancelled_one_stops_and_can_be_followed(loop, tcp_pair, file):
    ours, theirs = tcp_pair

    async def main():
        task = asyncio.create_task(loop.sock_sendfile(ours, file))
        await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        theirs.setblocking(False)
        first = b""
        while True:
            try:
                first += await asyncio.wait_for(
                    loop.sock_recv(theirs, 1 << 20), 0.1
                )
            except asyncio.TimeoutError:
                break
        assert DATA.startswith(first) and len(first) < len(DATA)
        sent, got = await transfer(loop, tcp_pair, file, len(first))
        return first + got

    assert run(loop, main()) == DATA


@pytest.mark.native_only(
    reason="asyncio fails to set the closed file's position, and then nobody "
    "completes the future"
)
def test_the_file_may_be_closed_meanwhile(loop, tcp_pair, path):
    """Its number is used, so that is an error; the loop goes on."""
    ours, theirs = tcp_pair

    async def main():
        file = open(path, "rb")
        task = asyncio.create_task(loop.sock_sendfile(ours, file))
        await asyncio.sleep(0)
        file.close()
        for _ in range(200):
            if task.done():
                break
            try:
                await asyncio.wait_for(loop.sock_recv(theirs, 1 << 20), 0.05)
            except asyncio.TimeoutError:
                pass
        with pytest.raises(OSError) as error:
            await task
        assert error.value.errno == errno.EBADF

    run(loop, main())


def test_ten_receivers_at_once(loop, keep, path):
    async def one():
        pair = keep(*socket.socketpair())
        with open(path, "rb") as file:
            sent, got = await transfer(loop, pair, file)
        return sent, got == DATA

    async def main():
        return await asyncio.gather(*(one() for _ in range(10)))

    assert run(loop, main()) == [(len(DATA), True)] * 10


def test_a_file_whose_descriptor_is_hostile(loop, tcp_pair, file):
    class Closing(io.BytesIO):
        def fileno(self):
            tcp_pair[0].close()
            return file.fileno()

    with pytest.raises(OSError) as error:
        run(loop, loop.sock_sendfile(tcp_pair[0], Closing(b"abc")))
    assert error.value.errno == errno.EBADF
    loop.run_until_complete(loop.shutdown_default_executor())
    gc.collect()
