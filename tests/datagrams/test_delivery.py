"""What is sent arrives, and what arrives is delivered."""

import array
import asyncio
import socket
import sys

import pytest

from support import loops
from support.dgram import Recorder, endpoint, nothing_waits, receive, udp
from support.loops import PY313, collect_errors
from support.net import in_loop, quiet, settle, until

SIZES = [1, 255, 2047, 2048, 2049, 9000, 65507]


@in_loop
async def test_a_datagram_and_its_sender_are_delivered(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            peer.sendto(b"hello", transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)
            [(data, address)] = protocol.received
            assert type(data) is bytes and data == b"hello"
            assert type(address) is tuple and address == peer.getsockname()


@in_loop
async def test_a_datagram_is_sent(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            assert transport.sendto(b"hello", peer.getsockname()) is None
            await settle()
            data, address = peer.recvfrom(100)
            assert data == b"hello"
            assert address == transport.get_extra_info("sockname")


@pytest.mark.parametrize("size", SIZES)
@in_loop
async def test_datagrams_of_any_size(loop, size):
    data = bytes(i * 7 % 251 for i in range(size))
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            transport.sendto(data, peer.getsockname())
            [got] = await receive(peer, 1)
            assert got == data
            peer.sendto(data, transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)
            assert protocol.data == [data]


@in_loop
async def test_an_empty_datagram_is_delivered(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            peer.sendto(b"", transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)
            assert protocol.received == [(b"", peer.getsockname())]


@pytest.mark.parametrize("kind_of_data", [bytes, bytearray, memoryview])
@in_loop
async def test_an_empty_datagram_is_sent_from_313_on(loop, kind_of_data):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            transport.sendto(b"first", peer.getsockname())
            transport.sendto(kind_of_data(b""), peer.getsockname())
            transport.sendto(b"last", peer.getsockname())
            await settle()
            wanted = [b"first", b"", b"last"]
            if not PY313:
                wanted.remove(b"")
            assert await receive(peer, len(wanted)) == wanted
            assert nothing_waits(peer)


@in_loop
async def test_many_datagrams_are_delivered_in_order(loop):
    """More than are received at once."""
    async with endpoint(loop) as (transport, protocol):
        address = transport.get_extra_info("sockname")
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20
        )
        with udp() as one, udp() as two:
            wanted = []
            for i in range(50):
                for peer in (one, two):
                    data = b"%d" % i * (1 + i % 3 * 700)
                    peer.sendto(data, address)
                    wanted.append((data, peer.getsockname()))
            await until(lambda: len(protocol.received) == 100)
            assert protocol.received == wanted


PATTERNS = {
    "equal": [256] * 100,
    "more than a call takes": [16] * 700,
    "a shorter one at the end": [100] * 10 + [30] + [100] * 5 + [99, 101],
    "all unlike": list(range(1, 150)),
    "longer than a packet": [4000] * 20 + [30000] * 4 + [65507, 65507, 1],
    "more than 64 KiB": [1400] * 60 + [1300] * 20,
}


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("connected", [False, True])
@in_loop
async def test_what_a_callback_sends_arrives_in_order(loop, name, connected):
    with udp() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        where = (
            {"remote_addr": peer.getsockname()} if connected
            else {"local_addr": ("127.0.0.1", 0)}
        )
        async with endpoint(loop, **where) as (transport, protocol):
            to = () if connected else (peer.getsockname(),)
            sent = [
                b"%06d" % i * (size // 6 + 1) for i, size in
                enumerate(PATTERNS[name])
            ]
            sent = [
                data[:size] for data, size in zip(sent, PATTERNS[name])
            ]
            # The receiver's memory is small: large ones go some at a time.
            step = 1000 if max(map(len, sent)) < 2000 else 30
            for first in range(0, len(sent), step):
                part = sent[first:first + step]
                for data in part:
                    transport.sendto(data, *to)
                assert await receive(peer, len(part)) == part
            assert nothing_waits(peer)
            assert protocol.errors == []


@in_loop
async def test_datagrams_for_several_peers_keep_each_ones_order(loop):
    peers = [udp() for _ in range(5)]
    async with endpoint(loop) as (transport, protocol):
        sent: list[list[bytes]] = [[] for _ in peers]
        for i in range(100):
            at = i * i % 7 % 5
            data = b"%03d" % i * (1 + i // 50)
            sent[at].append(data)
            transport.sendto(data, peers[at].getsockname())
        for peer, wanted in zip(peers, sent):
            assert await receive(peer, len(wanted)) == wanted
            assert nothing_waits(peer)
            peer.close()


@in_loop
async def test_replies_go_to_the_senders(loop):
    class Echo(Recorder):
        def datagram_received(self, data, address):
            self.transport.sendto(b"re: " + data, address)

    peers = [udp() for _ in range(8)]
    async with endpoint(loop, Echo) as (transport, protocol):
        for i in range(4):
            for peer in peers:
                peer.sendto(b"%d" % i, transport.get_extra_info("sockname"))
        for peer in peers:
            assert await receive(peer, 4) == [b"re: %d" % i for i in range(4)]
            peer.close()


@in_loop
async def test_what_is_sent_can_be_changed_afterwards(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            data = bytearray(b"before")
            view = memoryview(bytearray(b"before"))
            transport.sendto(data, peer.getsockname())
            transport.sendto(view, peer.getsockname())
            data[:] = view[:] = b"AFTER!"
            assert await receive(peer, 2) == [b"before"] * 2


@in_loop
async def test_views_of_other_items_are_sent_as_bytes(loop):
    class Bytes(bytes):
        pass

    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            numbers = array.array("I", [1, 2, 3])
            transport.sendto(memoryview(numbers), peer.getsockname())
            transport.sendto(memoryview(b"abcd")[1:3], peer.getsockname())
            transport.sendto(Bytes(b"mine"), peer.getsockname())
            assert await receive(peer, 3) == [
                numbers.tobytes(), b"bc", b"mine"
            ]


@pytest.mark.parametrize(
    "data", ["text", 3, None, [1], array.array("B", b"abc")],
    ids=["str", "int", "None", "list", "array"],
)
@in_loop
async def test_what_is_no_bytes_is_refused(loop, data):
    async with endpoint(loop) as (transport, protocol):
        name = type(data).__name__
        with pytest.raises(TypeError) as caught:
            transport.sendto(data, ("127.0.0.1", 9))
        assert str(caught.value) == (
            f"data argument must be a bytes-like object, not {name!r}"
        )


@in_loop
async def test_the_arguments_have_names(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            transport.sendto(data=b"one", addr=peer.getsockname())
            transport.sendto(b"two", addr=peer.getsockname())
            assert await receive(peer, 2) == [b"one", b"two"]
        for args, kwargs in (
            ((), {}), ((b"x", None, 1), {}), ((b"x",), {"address": None}),
            ((b"x", None), {"addr": None}), ((b"x",), {"data": b"x"}),
        ):
            with pytest.raises(TypeError):
                transport.sendto(*args, **kwargs)


@in_loop
async def test_a_view_with_holes_is_fatal(loop):
    """As in asyncio: socket.sendto() raises what is no OSError."""
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            errors = collect_errors(loop)
            transport.sendto(b"good", peer.getsockname())
            transport.sendto(memoryview(b"abcdef")[::2], peer.getsockname())
            assert isinstance(await protocol.lost, BufferError)
            assert [e["message"] for e in errors] == [
                "Fatal write error on datagram transport"
            ]
            assert await receive(peer, 1) == [b"good"]
            assert nothing_waits(peer)


def test_what_is_sent_while_the_loop_stands_still_leaves_at_once(loop):
    transport, protocol = loop.run_until_complete(
        loop.create_datagram_endpoint(
            lambda: Recorder(loop), local_addr=("127.0.0.1", 0)
        )
    )
    with udp() as peer:
        transport.sendto(b"now", peer.getsockname())
        peer.settimeout(5)
        assert peer.recv(10) == b"now"
    transport.close()
    assert loop.run_until_complete(protocol.lost) is None


def test_what_the_last_callback_sends_is_sent(loop):
    async def main():
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: Recorder(loop), local_addr=("127.0.0.1", 0)
        )
        transport.sendto(b"last", peer.getsockname())
        loop.stop()
        return transport

    with udp() as peer:
        task = loop.create_task(main())
        with pytest.raises(RuntimeError, match="before Future completed"):
            loop.run_until_complete(asyncio.gather(task, loop.create_future()))
        peer.settimeout(5)
        assert peer.recv(10) == b"last"
        task.result().close()
        loops.run_turns(loop, 3)
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loops.run_turns(loop)


@pytest.mark.skipif(
    sys.platform != "linux", reason="SO_NO_CHECK is Linux's"
)
@in_loop
async def test_where_segments_are_refused_datagrams_go_one_by_one(loop):
    """A UDP socket without checksums cannot send segments."""
    so_no_check = 11
    async with endpoint(loop) as (transport, protocol):
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, so_no_check, 1)
        with udp() as peer:
            for turn in range(3):
                sent = [b"%03d" % i * (40 - 15 * turn) for i in range(100)]
                for data in sent:
                    transport.sendto(data, peer.getsockname())
                assert await receive(peer, 100) == sent
        assert protocol.errors == []


@pytest.mark.skipif(
    sys.platform != "linux", reason="UDP_SEGMENT is Linux's"
)
@in_loop
async def test_segments_that_the_user_asks_for_are_the_users(loop):
    udp_segment = 103
    sock = udp()
    try:
        sock.setsockopt(socket.IPPROTO_UDP, udp_segment, 100)
    except OSError:
        sock.close()
        pytest.skip("this kernel has no UDP_SEGMENT")
    async with endpoint(loop, sock=sock) as (transport, protocol):
        with udp() as peer:
            for letter in (b"a", b"b"):
                transport.sendto(letter * 250, peer.getsockname())
            assert await receive(peer, 6) == [
                b"a" * 100, b"a" * 100, b"a" * 50,
                b"b" * 100, b"b" * 100, b"b" * 50,
            ]


@in_loop
async def test_ipv6(loop):
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        peer = udp(socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with endpoint(loop, local_addr=("::1", 0)) as (transport, protocol):
        name = transport.get_extra_info("sockname")
        assert len(name) == 4
        host, port = peer.getsockname()[:2]
        for address in ((host, port), (host, port, 0), (host, port, 0, 0)):
            transport.sendto(b"six", address)
        assert await receive(peer, 3) == [b"six"] * 3
        peer.sendto(b"back", name)
        await until(lambda: protocol.received)
        assert protocol.received == [(b"back", peer.getsockname())]
    peer.close()


@in_loop
async def test_an_ipv4_address_on_an_ipv6_socket(loop):
    """As mapped addresses, of which the plain form is refused."""
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with endpoint(loop, sock=sock) as (transport, protocol):
        port = sock.getsockname()[1]
        with udp() as peer:
            transport.sendto(
                b"mapped", ("::ffff:127.0.0.1", peer.getsockname()[1])
            )
            assert await receive(peer, 1) == [b"mapped"]
            peer.sendto(b"back", ("127.0.0.1", port))
            await until(lambda: protocol.received)
            assert protocol.received[0][1][0] == "::ffff:127.0.0.1"
        transport.sendto(b"x", ("127.0.0.1", port))
        await settle()
        [error] = protocol.errors
        assert isinstance(error, socket.gaierror)


@in_loop
async def test_names_are_looked_up(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            port = peer.getsockname()[1]
            transport.sendto(b"one", peer.getsockname())
            transport.sendto(b"two", ("localhost", port))
            transport.sendto(b"three", peer.getsockname())
            assert await receive(peer, 3) == [b"one", b"two", b"three"]


@in_loop
async def test_a_name_that_is_unknown_is_an_error_of_that_datagram(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            transport.sendto(b"one", peer.getsockname())
            transport.sendto(b"lost", ("no.such.name.invalid", 9))
            assert len(protocol.errors) == 1
            transport.sendto(b"two", peer.getsockname())
            assert await receive(peer, 2) == [b"one", b"two"]
            assert isinstance(protocol.errors[0], socket.gaierror)


@pytest.mark.parametrize(
    "address",
    [None, 9, ("127.0.0.1",), ("127.0.0.1", "9"), ("127.0.0.1", 70000)],
    ids=str,
)
@in_loop
async def test_an_address_of_a_wrong_kind_is_fatal(loop, address):
    """As in asyncio: socket.sendto() raises what is no OSError."""
    async with endpoint(loop) as (transport, protocol):
        errors = collect_errors(loop)
        with udp() as peer:
            transport.sendto(b"good", peer.getsockname())
            transport.sendto(b"bad", address)
            assert transport.is_closing()
            assert [e["message"] for e in errors] == [
                "Fatal write error on datagram transport"
            ]
            error = await protocol.lost
            assert isinstance(error, (TypeError, OverflowError))
            assert errors[0]["exception"] is error
            assert errors[0]["transport"] is transport
            assert await receive(peer, 1) == [b"good"]


@in_loop
async def test_the_address_may_change_from_one_to_the_next(loop):
    """An equal tuple, another one, the same one again."""
    async with endpoint(loop) as (transport, protocol):
        with udp() as one, udp() as two:
            first, second = one.getsockname(), two.getsockname()
            for i, address in enumerate((
                first, first, tuple(first), second, first, second, second,
                (first[0], first[1]),
            )):
                transport.sendto(b"%d" % i, address)
            assert await receive(one, 5) == [b"0", b"1", b"2", b"4", b"7"]
            assert await receive(two, 3) == [b"3", b"5", b"6"]


@in_loop
async def test_the_rest_is_delivered_after_a_call_that_changes_the_protocol(
    loop,
):
    async with endpoint(loop) as (transport, protocol):
        other = Recorder(loop)

        class First(Recorder):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                transport.set_protocol(other)

        first = First(loop)
        transport.set_protocol(first)
        with udp() as peer:
            for i in range(5):
                peer.sendto(b"%d" % i, transport.get_extra_info("sockname"))
            await until(lambda: len(other.received) == 4)
            assert first.data == [b"0"]
            assert other.data == [b"1", b"2", b"3", b"4"]
        transport.set_protocol(protocol)


@pytest.mark.native_only(reason="asyncio delivers one in each turn")
@in_loop
async def test_what_waits_is_delivered_in_one_turn(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            for i in range(20):
                peer.sendto(b"%d" % i, transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)
            assert len(protocol.received) == 20


@in_loop
async def test_another_who_reads_the_socket_does_no_harm(loop):
    """The event is there, and the datagram is gone."""
    async with endpoint(loop) as (transport, protocol):
        sock = transport.get_extra_info("socket")
        with udp() as peer, socket.socket(
            fileno=sock.dup().detach()
        ) as again:
            peer.sendto(b"taken", transport.get_extra_info("sockname"))
            assert again.recv(10) == b"taken"
            await quiet()
            assert protocol.calls == ["made"]
            peer.sendto(b"left", transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)
            assert protocol.data == [b"left"]


def coalescing() -> socket.socket:
    """A socket that gives datagrams which came as segments in one piece."""
    udp_gro = 104
    sock = udp()
    try:
        sock.setsockopt(socket.IPPROTO_UDP, udp_gro, 1)
    except OSError:
        sock.close()
        pytest.skip("this kernel has no UDP_GRO, which shows segments")
    return sock


@pytest.mark.skipif(
    sys.platform != "linux", reason="UDP_SEGMENT is Linux's"
)
@pytest.mark.native_only(reason="asyncio sends them one by one")
@in_loop
async def test_runs_leave_as_segments(loop):
    async with endpoint(loop) as (transport, protocol):
        with coalescing() as peer:
            address = peer.getsockname()
            for data in (*[b"x" * 100] * 10, b"y" * 60, b"z" * 80):
                transport.sendto(data, address)
            assert await receive(peer, 2) == [
                b"x" * 1000 + b"y" * 60, b"z" * 80
            ]
            # An error that has nothing to do with it changes nothing.
            for _ in range(3):
                transport.sendto(b"nowhere", ("127.0.0.1", 0))
            for _ in range(10):
                transport.sendto(b"x" * 100, address)
            await receive(peer, 10)
            for _ in range(10):
                transport.sendto(b"x" * 100, address)
            assert await receive(peer, 1) == [b"x" * 1000]
            assert len(protocol.errors) == 3
