"""sock_sendall and sock_sendto."""

import array
import asyncio
import errno
import hashlib
import socket

import pytest

from .conftest import fill


def run(loop, awaitable):
    return loop.run_until_complete(asyncio.wait_for(awaitable, 30))


async def receive_all(loop, sock, size):
    """The hash of what comes, to compare large things cheaply."""
    digest = hashlib.sha256()
    while size > 0:
        data = await loop.sock_recv(sock, 1 << 20)
        assert data
        digest.update(data)
        size -= len(data)
    assert size == 0
    return digest.hexdigest()


def test_what_fits_is_sent_without_a_turn(loop, pair):
    ours, theirs = pair
    send = loop.sock_sendall(ours, b"hello")
    with pytest.raises(StopIteration) as stop:
        send.send(None)
    assert stop.value.value is None
    assert theirs.recv(100) == b"hello"


@pytest.mark.parametrize("kind_of_pair", ["pair", "tcp_pair"])
def test_64_mib_arrive_as_they_were(loop, request, kind_of_pair):
    ours, theirs = request.getfixturevalue(kind_of_pair)
    data = bytes(range(256)) * (64 * 4096)

    async def main():
        receiver = asyncio.create_task(
            receive_all(loop, theirs, len(data))
        )
        assert await loop.sock_sendall(ours, data) is None
        return await receiver

    assert run(loop, main()) == hashlib.sha256(data).hexdigest()


MAKERS = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "part": lambda data: memoryview(b"<" + data + b">")[1:-1],
    "array": lambda data: array.array("B", data),
}


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
@pytest.mark.parametrize("what", MAKERS)
def test_buffers_of_all_kinds(loop, pair, what, size):
    ours, theirs = pair
    data = bytes(range(250)) * (size // 250 + 1)
    data = data[:size]

    async def main():
        receiver = asyncio.create_task(receive_all(loop, theirs, size))
        await loop.sock_sendall(ours, MAKERS[what](data))
        return await receiver

    assert run(loop, main()) == hashlib.sha256(data).hexdigest()


@pytest.mark.native_only(
    reason="asyncio counts items where it means bytes, and never ends"
)
def test_an_array_of_wide_items_is_sent_whole(loop, pair):
    ours, theirs = pair
    data = array.array("I", range(1_000_000))

    async def main():
        receiver = asyncio.create_task(
            receive_all(loop, theirs, 4_000_000)
        )
        await loop.sock_sendall(ours, data)
        return await receiver

    assert run(loop, main()) == hashlib.sha256(data.tobytes()).hexdigest()


def test_what_is_changed_before_the_first_step_is_sent_changed(loop, pair):
    ours, theirs = pair
    data = bytearray(b"before")
    call = loop.sock_sendall(ours, data)
    data[:] = b"after!"
    run(loop, call)
    assert theirs.recv(100) == b"after!"


def test_data_cannot_be_resized_while_it_is_sent(loop, pair):
    ours, theirs = pair
    data = bytearray(5_000_000)

    async def main():
        sender = asyncio.create_task(loop.sock_sendall(ours, data))
        await asyncio.sleep(0)
        with pytest.raises(BufferError):
            data.append(1)
        data[-1] = 7  # but changed it can be
        got = 0
        while got < 5_000_000:
            part = await loop.sock_recv(theirs, 1 << 20)
            got += len(part)
        assert part[-1] == 7
        await sender

    run(loop, main())
    data.append(1)


def test_a_cancelled_one_lets_go_of_the_data(loop, pair):
    data = bytearray(5_000_000)

    async def main():
        sender = asyncio.create_task(loop.sock_sendall(pair[0], data))
        await asyncio.sleep(0)
        sender.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sender

    run(loop, main())
    loop.run_until_complete(asyncio.sleep(0))
    data.append(1)


def test_a_peer_that_goes_away_is_an_error(loop, pair):
    ours, theirs = pair
    fill(ours)
    loop.call_later(0.01, theirs.close)
    with pytest.raises(ConnectionError):
        run(loop, loop.sock_sendall(ours, b"x"))


def test_a_peer_that_went_away_is_an_error(loop, pair):
    ours, theirs = pair
    theirs.close()
    with pytest.raises(BrokenPipeError):
        run(loop, loop.sock_sendall(ours, b"x"))


def test_sending_nothing_still_asks_the_socket(loop, keep, pair):
    assert run(loop, loop.sock_sendall(pair[0], b"")) is None
    unconnected = keep(socket.socket())
    with pytest.raises(OSError):
        run(loop, loop.sock_sendall(unconnected, b""))


def test_both_directions_at_once_on_one_socket(loop, tcp_pair):
    data = b"ab" * 2_000_000

    async def one(sock):
        receiver = asyncio.create_task(receive_all(loop, sock, len(data)))
        await loop.sock_sendall(sock, data)
        return await receiver

    async def main():
        return await asyncio.gather(*map(one, tcp_pair))

    expected = hashlib.sha256(data).hexdigest()
    assert run(loop, main()) == [expected] * 2


@pytest.mark.parametrize("data", ["text", None, 7, [1]])
def test_what_is_no_buffer_is_refused(loop, pair, data):
    with pytest.raises(TypeError, match="a bytes-like object is required"):
        run(loop, loop.sock_sendall(pair[0], data))


def test_a_view_with_gaps_is_refused(loop, pair):
    with pytest.raises(BufferError, match="not C-contiguous"):
        run(loop, loop.sock_sendall(pair[0], memoryview(b"abcd")[::2]))


# --- sock_sendto ------------------------------------------------------------


def test_sendto_says_how_much(loop, udp):
    ours, theirs = udp
    sent = loop.sock_sendto(ours, b"hello", theirs.getsockname())
    assert run(loop, sent) == 5
    assert theirs.recvfrom(100) == (b"hello", ours.getsockname())


def test_sendto_takes_other_buffers_and_names(loop, udp):
    ours, theirs = udp
    port = theirs.getsockname()[1]
    data = memoryview(bytearray(b"hello"))[1:]
    sent = loop.sock_sendto(sock=ours, data=data, address=("localhost", port))
    assert run(loop, sent) == 4
    assert theirs.recv(100) == b"ello"


def test_an_empty_datagram_is_sent(loop, udp):
    ours, theirs = udp
    assert run(loop, loop.sock_sendto(ours, b"", theirs.getsockname())) == 0
    assert theirs.recv(100) == b""


def test_sendto_waits_for_room(loop, keep, tmp_path):
    """Unix datagrams: the receiver's queue is short, and counts."""
    ours, theirs = keep(
        *(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "ab")
    )
    path = str(tmp_path / "receiver")
    theirs.bind(path)
    ours.connect(path)  # so that the queue makes the sender wait
    count = 0
    try:
        while True:
            ours.send(b"x")
            count += 1
    except BlockingIOError:
        pass

    async def main():
        task = asyncio.create_task(loop.sock_sendto(ours, b"last", path))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not task.done()
        for _ in range(count):
            await loop.sock_recv(theirs, 10)
        assert await task == 4
        return await loop.sock_recv(theirs, 10)

    assert run(loop, main()) == b"last"


@pytest.mark.parametrize(
    "address",
    [None, "text", ("127.0.0.1",), ("127.0.0.1", "80"), ("127.0.0.1", 70000),
     ("127.0.0.1", -1), (None, 1), 5],
)
def test_a_wrong_address_raises_what_the_socket_raises(loop, udp, address):
    with pytest.raises((TypeError, OverflowError)) as expected:
        udp[0].sendto(b"x", address)
    with pytest.raises(expected.type) as raised:
        run(loop, loop.sock_sendto(udp[0], b"x", address))
    assert str(raised.value) == str(expected.value)


def test_a_datagram_that_is_too_large_is_an_error(loop, udp):
    ours, theirs = udp
    with pytest.raises(OSError) as error:
        run(loop, loop.sock_sendto(ours, bytes(70000), theirs.getsockname()))
    assert error.value.errno == errno.EMSGSIZE


def test_sendto_is_audited(child):
    out = child.succeed(
        """
        import socket
        seen = []
        sys.addaudithook(
            lambda event, args: seen.append((event, args[1]))
            if event in ("socket.sendto", "socket.connect") else None
        )
        async def main():
            loop = asyncio.get_running_loop()
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", 0))
                sock.setblocking(False)
                address = sock.getsockname()
                await loop.sock_sendto(sock, b"x", address)
                await loop.sock_connect(sock, address)
                assert seen == [("socket.sendto", address),
                                ("socket.connect", address)], seen
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
        print("ok")
        """
    )
    assert out == "ok\n"
