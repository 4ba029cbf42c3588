"""Errors of the network, and protocols that raise."""

import asyncio
import errno
import socket
import sys

import pytest

from support.dgram import (
    LOCAL, Recorder, endpoint, fill, free_port, miscounts, nothing_waits,
    receive, udp, unix_pair,
)
from support.loops import collect_errors, run_until
from support.net import in_loop, quiet, settle, until

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="who tells of a refusal, and when, varies"
)


class Oops(Exception):
    pass


@linux
@in_loop
async def test_a_refusal_reaches_the_protocol_and_ends_nothing(loop):
    port = free_port()
    async with endpoint(
        loop, remote_addr=("127.0.0.1", port)
    ) as (transport, protocol):
        for count in (1, 2, 3):
            transport.sendto(b"anybody?")
            await until(lambda: len(protocol.errors) == count)
            assert isinstance(protocol.errors[-1], ConnectionRefusedError)
        assert not transport.is_closing()
        with udp_on(port) as peer:
            transport.sendto(b"now")
            assert await receive(peer, 1) == [b"now"]
            peer.sendto(b"yes", transport.get_extra_info("sockname"))
            await until(lambda: protocol.received)
        assert "lost" not in protocol.calls


def udp_on(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


@linux
@pytest.mark.parametrize("sizes", [[8] * 50, list(range(8, 58))])
@in_loop
async def test_refusals_of_a_batch(loop, sizes):
    async with endpoint(
        loop, remote_addr=("127.0.0.1", free_port())
    ) as (transport, protocol):
        for size in sizes:
            transport.sendto(bytes(size))
        await until(lambda: protocol.errors)
        await quiet()
        assert {type(error) for error in protocol.errors} == {
            ConnectionRefusedError
        }
        assert transport.get_write_buffer_size() == 0
        assert not transport.is_closing()


@pytest.mark.needs_is_reading
@linux
@in_loop
async def test_an_error_that_waits_costs_one_datagram(loop):
    """The kernel tells of it in the place of sending the next one."""
    port = free_port()
    async with endpoint(
        loop, remote_addr=("127.0.0.1", port)
    ) as (transport, protocol):
        transport.pause_reading()
        transport.sendto(b"refused")
        await quiet()
        assert protocol.errors == []
        with udp_on(port) as peer:
            for i in range(5):
                transport.sendto(b"%d" % i)
            assert await receive(peer, 4) == [b"1", b"2", b"3", b"4"]
            assert nothing_waits(peer)
        [error] = protocol.errors
        assert isinstance(error, ConnectionRefusedError)


@in_loop
async def test_one_that_is_too_large_costs_only_itself(loop):
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            sent = [b"one", bytes(65508), b"two", b"six", bytes(70000), b"end"]
            for data in sent:
                transport.sendto(data, peer.getsockname())
            assert await receive(peer, 4) == [b"one", b"two", b"six", b"end"]
            assert [error.errno for error in protocol.errors] == (
                [errno.EMSGSIZE] * 2
            )
            assert not transport.is_closing()


@linux
@in_loop
async def test_errors_that_are_not_of_segments_leave_them_in_use(loop):
    """Port 0 is refused with the same number as segments would be."""
    async with endpoint(loop) as (transport, protocol):
        with udp() as peer:
            for i in range(3):
                transport.sendto(b"nowhere", ("127.0.0.1", 0))
            for i in range(10):
                transport.sendto(b"%07d" % i, peer.getsockname())
            assert await receive(peer, 10) == [b"%07d" % i for i in range(10)]
            assert [error.errno for error in protocol.errors] == (
                [errno.EINVAL] * 3
            )


@pytest.mark.native_only(reason="asyncio sends, and fails, within sendto()")
@in_loop
async def test_errors_are_told_when_the_callback_is_through(loop):
    async with endpoint(loop) as (transport, protocol):
        transport.sendto(bytes(65508), ("127.0.0.1", 9))
        assert protocol.errors == []
        await asyncio.sleep(0)
        assert len(protocol.errors) == 1
        transport.sendto(bytes(65508), ("127.0.0.1", 9))
        # Or when somebody asks how much has not been sent.
        assert transport.get_write_buffer_size() == 0
        assert len(protocol.errors) == 2


@in_loop
async def test_an_error_handler_may_send(loop):
    class Look(Recorder):
        def error_received(self, error):
            super().error_received(error)
            self.transport.sendto(b"instead", peer.getsockname())

    async with endpoint(loop, Look) as (transport, protocol):
        with udp() as peer:
            transport.sendto(bytes(65508), peer.getsockname())
            assert await receive(peer, 1) == [b"instead"]
            assert len(protocol.errors) == 1


@in_loop
async def test_an_error_handler_that_sends_what_fails_does_not_go_on_for_ever(
    loop,
):
    class Again(Recorder):
        def error_received(self, error):
            super().error_received(error)
            if len(self.errors) < 50:
                self.transport.sendto(bytes(65508), ("127.0.0.1", 9))

    async with endpoint(loop, Again) as (transport, protocol):
        transport.sendto(bytes(65508), ("127.0.0.1", 9))
        await until(lambda: len(protocol.errors) == 50)
        await settle()
        assert transport.get_write_buffer_size() == 0


@in_loop
async def test_an_error_handler_may_close(loop):
    class Close(Recorder):
        def error_received(self, error):
            super().error_received(error)
            self.transport.close()

    async with endpoint(loop, Close) as (transport, protocol):
        with udp() as peer:
            transport.sendto(b"one", peer.getsockname())
            transport.sendto(bytes(65508), peer.getsockname())
            await protocol.lost
            assert protocol.calls == ["made", "error", "lost"]
            assert await receive(peer, 1) == [b"one"]


@in_loop
async def test_an_error_handler_may_abort(loop):
    class Abort(Recorder):
        def error_received(self, error):
            super().error_received(error)
            self.transport.abort()

    async with endpoint(loop, Abort) as (transport, protocol):
        transport.sendto(bytes(65508), ("127.0.0.1", 9))
        assert await protocol.lost is None
        assert protocol.calls == ["made", "error", "lost"]


@in_loop
async def test_an_error_handler_that_raises_is_reported(loop):
    class Raise(Recorder):
        def error_received(self, error):
            super().error_received(error)
            raise oops

    oops = Oops()
    async with endpoint(loop, Raise) as (transport, protocol):
        with udp() as peer:
            errors = collect_errors(loop)

            def send():
                transport.sendto(b"one", peer.getsockname())
                transport.sendto(bytes(65508), peer.getsockname())

            loop.call_soon(send)
            await settle()
            assert await receive(peer, 1) == [b"one"]
            assert [e["exception"] for e in errors] == [oops]
            assert not transport.is_closing()


def test_an_error_handler_that_raises_in_a_call_from_outside(loop):
    class Raise(Recorder):
        def error_received(self, error):
            super().error_received(error)
            raise Oops

    transport, protocol = loop.run_until_complete(
        loop.create_datagram_endpoint(lambda: Raise(loop), local_addr=LOCAL)
    )
    with pytest.raises(Oops):
        transport.sendto(bytes(65508), ("127.0.0.1", 9))
    assert len(protocol.errors) == 1
    transport.close()
    loop.run_until_complete(protocol.lost)


@in_loop
async def test_a_receiver_that_raises_is_reported_and_goes_on(loop):
    class Raise(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            if data == b"bad":
                raise oops

    oops = Oops()
    async with endpoint(loop, Raise) as (transport, protocol):
        with udp() as peer:
            errors = collect_errors(loop)
            for data in (b"one", b"bad", b"two", b"bad", b"end"):
                peer.sendto(data, transport.get_extra_info("sockname"))
            await until(lambda: len(protocol.received) == 5)
            await settle()
            assert [e["exception"] for e in errors] == [oops] * 2
            assert not transport.is_closing()
            assert protocol.calls.count("datagram") == 5


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_exit_leaves_the_loop_and_loses_no_datagram(loop, error):
    class Leave(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            if data == b"leave":
                raise error

    transport, protocol = loop.run_until_complete(
        loop.create_datagram_endpoint(lambda: Leave(loop), local_addr=LOCAL)
    )
    with udp() as peer:
        for data in (b"one", b"leave", b"two", b"leave", b"end"):
            peer.sendto(data, transport.get_extra_info("sockname"))
        for wanted in (2, 4):
            with pytest.raises(error):
                run_until(loop, lambda: False)
            assert len(protocol.received) == wanted
            for task in asyncio.all_tasks(loop):
                task.cancel()
        run_until(loop, lambda: len(protocol.received) == 5)
        assert protocol.data == [b"one", b"leave", b"two", b"leave", b"end"]
    transport.close()
    loop.run_until_complete(protocol.lost)


def test_each_exit_leaves_at_once(loop):
    """Also those of datagrams that were held since an earlier one."""

    class Leave(Recorder):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            raise SystemExit

    transport, protocol = loop.run_until_complete(
        loop.create_datagram_endpoint(lambda: Leave(loop), local_addr=LOCAL)
    )
    with udp() as peer:
        for i in range(30):
            peer.sendto(b"%d" % i, transport.get_extra_info("sockname"))
        for i in range(30):
            with pytest.raises(SystemExit):
                loop.run_forever()
            assert len(protocol.received) == i + 1
        assert protocol.data == [b"%d" % i for i in range(30)]
    transport.close()
    loop.run_until_complete(protocol.lost)


@in_loop
async def test_errors_of_pausing_are_reported(loop):
    class Raise(Recorder):
        def pause_writing(self):
            super().pause_writing()
            raise Oops

        def resume_writing(self):
            super().resume_writing()
            raise Oops

    one, two = unix_pair()
    async with endpoint(loop, Raise, sock=one) as (transport, protocol):
        with two:
            if miscounts(transport):
                return
            errors = collect_errors(loop)
            transport.set_write_buffer_limits(0)
            sent = await fill(transport)
            await settle()
            assert protocol.calls == ["made", "pause"]
            assert await receive(two, sent) == [
                b"%08d" % i for i in range(sent)
            ]
            await until(lambda: protocol.calls == ["made", "pause", "resume"])
            assert [e["message"] for e in errors] == [
                "protocol.pause_writing() failed",
                "protocol.resume_writing() failed",
            ]
            assert not transport.is_closing()
