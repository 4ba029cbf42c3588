"""sock_recv, sock_recv_into, sock_recvfrom, sock_recvfrom_into."""

import array
import asyncio
import errno
import os
import socket
import sys

import pytest

from support.loops import run_turns


def run(loop, awaitable):
    return loop.run_until_complete(asyncio.wait_for(awaitable, 20))


# --- sock_recv --------------------------------------------------------------


def test_data_that_is_there_comes_without_a_turn(loop, pair):
    ours, theirs = pair
    theirs.send(b"hello")
    receive = loop.sock_recv(ours, 100)
    with pytest.raises(StopIteration) as stop:
        receive.send(None)
    assert stop.value.value == b"hello"


def test_waits_for_data(loop, pair):
    ours, theirs = pair
    loop.call_later(0.01, theirs.send, b"late")
    assert run(loop, loop.sock_recv(ours, 100)) == b"late"


@pytest.mark.parametrize("size", [1, 4096, 65536, 262144, 262145, 1 << 20])
def test_no_more_than_asked_for_and_nothing_is_lost(loop, tcp_pair, size):
    ours, theirs = tcp_pair
    data = os.urandom(600_000)

    async def receive():
        got = bytearray()
        while len(got) < len(data):
            part = await loop.sock_recv(ours, size)
            assert type(part) is bytes and 0 < len(part) <= size
            got += part
            if size == 1 and len(got) > 300:
                return bytes(got)
        return bytes(got)

    async def main():
        sender = asyncio.create_task(loop.sock_sendall(theirs, data))
        got = await receive()
        if size > 1:
            await sender
        sender.cancel()
        return got

    assert data.startswith(run(loop, main()))


def test_the_end_is_empty(loop, pair):
    ours, theirs = pair
    theirs.send(b"last")
    theirs.close()

    async def main():
        return [await loop.sock_recv(ours, 100) for _ in range(3)]

    assert run(loop, main()) == [b"last", b"", b""]


def test_the_end_wakes_who_waits(loop, pair):
    ours, theirs = pair
    loop.call_later(0.01, theirs.close)
    assert run(loop, loop.sock_recv(ours, 100)) == b""


def test_zero_bytes_do_not_wait(loop, pair):
    ours, theirs = pair
    assert run(loop, loop.sock_recv(ours, 0)) == b""
    theirs.send(b"x")
    assert run(loop, loop.sock_recv(ours, 0)) == b""
    assert run(loop, loop.sock_recv(ours, 1)) == b"x"


def test_an_error_of_the_call_is_raised(loop, keep):
    sock = keep(socket.socket())
    with pytest.raises(OSError) as error:
        run(loop, loop.sock_recv(sock, 1))
    assert error.value.errno == errno.ENOTCONN


def test_an_error_that_comes_while_waiting_is_raised(loop, tcp_pair):
    ours, theirs = tcp_pair
    theirs.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
    )
    loop.call_later(0.01, theirs.close)  # a reset
    with pytest.raises(ConnectionResetError):
        run(loop, loop.sock_recv(ours, 1))


def test_by_keyword(loop, pair):
    ours, theirs = pair
    theirs.send(b"named")
    assert run(loop, loop.sock_recv(sock=ours, n=100)) == b"named"


def test_ten_thousand_times(loop, pair):
    ours, theirs = pair

    async def echo():
        while data := await loop.sock_recv(theirs, 100):
            await loop.sock_sendall(theirs, data)

    async def main():
        task = asyncio.create_task(echo())
        for number in range(10_000):
            message = b"%d" % number
            await loop.sock_sendall(ours, message)
            assert await loop.sock_recv(ours, 100) == message
        ours.close()
        await task

    run(loop, main())


# --- sock_recv_into ---------------------------------------------------------


def make_array(typecode, size):
    return array.array(typecode, bytes(size))


BUFFERS = {
    "bytearray": bytearray,
    "memoryview": lambda size: memoryview(bytearray(size)),
    "part": lambda size: memoryview(bytearray(size + 10))[5:-5],
    "array": lambda size: make_array("B", size),
    "wide array": lambda size: make_array("H", size),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("what", BUFFERS)
def test_recv_into(loop, pair, what, late):
    ours, theirs = pair
    buffer = BUFFERS[what](8)
    if late:
        loop.call_later(0.01, theirs.send, b"abc")
    else:
        theirs.send(b"abc")
    assert run(loop, loop.sock_recv_into(ours, buffer)) == 3
    assert bytes(buffer) == b"abc\0\0\0\0\0"


def test_recv_into_takes_what_fits(loop, pair):
    ours, theirs = pair
    theirs.send(b"abcdef")
    buffer = bytearray(4)
    assert run(loop, loop.sock_recv_into(ours, buffer)) == 4
    assert run(loop, loop.sock_recv_into(ours, buffer)) == 2
    assert buffer == b"efcd"


def test_recv_into_nothing_does_not_wait(loop, pair):
    assert run(loop, loop.sock_recv_into(pair[0], bytearray())) == 0


def test_the_end_is_zero(loop, pair):
    ours, theirs = pair
    loop.call_later(0.01, theirs.close)
    assert run(loop, loop.sock_recv_into(ours, bytearray(5))) == 0


def test_a_buffer_may_be_resized_while_it_waits(loop, pair):
    ours, theirs = pair
    buffer = bytearray(2)

    def grow():
        buffer.extend(bytes(1000))
        theirs.send(b"abcd")

    loop.call_later(0.01, grow)
    assert run(loop, loop.sock_recv_into(ours, buffer)) == 4
    assert buffer.startswith(b"abcd")


@pytest.mark.parametrize("late", [False, True])
def test_recvfrom_into(loop, udp, late):
    ours, theirs = udp
    buffer = bytearray(8)
    if late:
        loop.call_later(0.01, theirs.sendto, b"abc", ours.getsockname())
    else:
        theirs.sendto(b"abc", ours.getsockname())
    received = run(loop, loop.sock_recvfrom_into(ours, buffer))
    assert received == (3, theirs.getsockname())
    assert buffer == b"abc\0\0\0\0\0"


@pytest.mark.parametrize("by_name", [False, True])
def test_recvfrom_into_with_a_limit(loop, udp, by_name):
    ours, theirs = udp
    buffer = bytearray(8)
    theirs.sendto(b"abcdef", ours.getsockname())
    received = run(
        loop,
        loop.sock_recvfrom_into(ours, buffer, nbytes=2)
        if by_name
        else loop.sock_recvfrom_into(ours, buffer, 2),
    )
    assert received == (2, theirs.getsockname())
    assert buffer == b"ab\0\0\0\0\0\0"


def test_a_limit_above_the_buffer_is_refused(loop, udp):
    with pytest.raises(ValueError, match="greater than the length"):
        run(loop, loop.sock_recvfrom_into(udp[0], bytearray(2), 3))


def test_a_buffer_that_shrank_below_the_limit_is_refused(loop, udp):
    ours, theirs = udp
    buffer = bytearray(8)

    def shrink():
        del buffer[4:]
        theirs.sendto(b"abcdef", ours.getsockname())

    loop.call_later(0.01, shrink)
    with pytest.raises(ValueError, match="greater than the length"):
        run(loop, loop.sock_recvfrom_into(ours, buffer, 8))


# --- sock_recvfrom ----------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
def test_recvfrom(loop, udp, late):
    ours, theirs = udp
    if late:
        loop.call_later(0.01, theirs.sendto, b"abc", ours.getsockname())
    else:
        theirs.sendto(b"abc", ours.getsockname())
    received = run(loop, loop.sock_recvfrom(ours, 100))
    assert received == (b"abc", theirs.getsockname())


def test_an_empty_datagram_is_received(loop, udp):
    ours, theirs = udp
    theirs.sendto(b"", ours.getsockname())
    received = run(loop, loop.sock_recvfrom(ours, 100))
    assert received == (b"", theirs.getsockname())


def test_a_datagram_is_cut_to_size(loop, udp):
    ours, theirs = udp
    theirs.sendto(b"abcdef", ours.getsockname())
    theirs.sendto(b"ghi", ours.getsockname())

    async def main():
        return [(await loop.sock_recvfrom(ours, n))[0] for n in (2, 0x60000)]

    assert run(loop, main()) == [b"ab", b"ghi"]


def test_datagrams_keep_their_bounds(loop, udp):
    ours, theirs = udp
    sent = [bytes([n]) * (n + 1) for n in range(20)]

    async def main():
        for data in sent:
            size = await loop.sock_sendto(theirs, data, ours.getsockname())
            assert size == len(data)
        return [(await loop.sock_recvfrom(ours, 100))[0] for _ in sent]

    assert run(loop, main()) == sent


@pytest.mark.parametrize("late", [False, True])
def test_ipv6_has_an_address_of_four(loop, keep, late):
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        ours, theirs = keep(
            *(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in "ab")
        )
        ours.bind(("::1", 0))
        theirs.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")

    async def main():
        task = asyncio.ensure_future(loop.sock_recvfrom(ours, 100))
        if late:
            await asyncio.sleep(0)
        await loop.sock_sendto(theirs, b"six", ours.getsockname())
        return await task

    assert run(loop, main()) == (b"six", theirs.getsockname())
    assert len(theirs.getsockname()) == 4


def test_a_stream_has_no_address(loop, tcp_pair):
    ours, theirs = tcp_pair
    theirs.send(b"abc")
    assert run(loop, loop.sock_recvfrom(ours, 100)) == (b"abc", None)


@pytest.mark.parametrize("name", [None, "path", b"\0asyncloop-sock-test"])
def test_unix_datagrams_tell_who_sent_them(loop, keep, tmp_path, name):
    if name == "path":
        name = str(tmp_path / "sender")
    if isinstance(name, bytes) and sys.platform != "linux":
        pytest.skip("names without a file are Linux's")
    ours, theirs = keep(
        *(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "ab")
    )
    ours.bind(str(tmp_path / "receiver"))
    if name is not None:
        theirs.bind(name)

    async def main():
        await loop.sock_sendto(theirs, b"abc", ours.getsockname())
        return await loop.sock_recvfrom(ours, 100)

    assert run(loop, main()) == (b"abc", name)


# --- who is refused ---------------------------------------------------------


def calls_of(loop):
    return {
        "sock_recv": loop.sock_recv,
        "sock_recv_into": loop.sock_recv_into,
        "sock_recvfrom": loop.sock_recvfrom,
        "sock_recvfrom_into": loop.sock_recvfrom_into,
    }


@pytest.mark.parametrize(
    "name", ["sock_recv", "sock_recv_into", "sock_recvfrom",
             "sock_recvfrom_into"],
)
@pytest.mark.parametrize("argument", ["text", None, 1.5, -1, b"fixed"])
def test_wrong_arguments_raise_what_the_socket_raises(
    loop, pair, name, argument
):
    method = getattr(pair[0], name.removeprefix("sock_"))
    try:
        expected = method(argument)
    except Exception as error:
        expected = error
    if name == "sock_recvfrom_into" and argument in (None, 1.5, -1):
        kind, text = TypeError, "has no len()"
    else:
        kind, text = type(expected), str(expected)
    assert issubclass(kind, (TypeError, ValueError))
    with pytest.raises(kind) as raised:
        run(loop, calls_of(loop)[name](pair[0], argument))
    assert text in str(raised.value)


def test_a_closed_socket_is_refused(loop, pair):
    pair[0].close()
    for call in loop.sock_recv(pair[0], 1), loop.sock_recvfrom(pair[0], 1):
        with pytest.raises(OSError) as error:
            run(loop, call)
        assert error.value.errno == errno.EBADF


class Recorder(socket.socket):
    """A subclass, whose methods count."""

    def recv(self, size):
        self.calls = getattr(self, "calls", 0) + 1
        return b"<" + super().recv(size) + b">"


def test_the_methods_of_a_subclass_are_called(loop, keep):
    ends = socket.socketpair()
    ours = Recorder(fileno=ends[0].detach())
    ours, theirs = keep(ours, ends[1])
    loop.call_later(0.01, theirs.send, b"abc")
    assert run(loop, loop.sock_recv(ours, 100)) == b"<abc>"
    assert ours.calls == 2


def test_an_integer_is_no_socket(loop, pair):
    with pytest.raises(AttributeError):
        run(loop, loop.sock_recv(pair[0].fileno(), 1))


def test_turns_without_data_leave_it_waiting(loop, pair):
    ours, theirs = pair
    task = loop.create_task(loop.sock_recv(ours, 10))
    run_turns(loop, 5)
    assert not task.done()
    theirs.send(b"x")
    assert loop.run_until_complete(task) == b"x"
