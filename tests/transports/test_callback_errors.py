"""Protocols that raise: who hears of it, and what is left."""

import asyncio

import pytest

from support.loops import PY314, collect_errors
from support.net import (
    FAMILIES, BufferedRecorder, Recorder, in_loop, is_borrowed, keys, link,
    pair, quiet, receive, settle, until,
)

families = pytest.mark.parametrize("family", FAMILIES)


class Oops(Exception):
    pass


def raising(name, error, base=Recorder):
    """A protocol whose method `name` notes the call and raises."""

    def method(self, *args):
        getattr(base, name)(self, *args)
        raise error

    method.__qualname__ = f"Raising.{name}"
    return type("Raising", (base,), {name: method})


FATAL = {
    "data_received": (Recorder, "Fatal error: protocol.data_received() call "
                      "failed."),
    "eof_received": (Recorder, "Fatal error: protocol.eof_received() call "
                     "failed."),
    "get_buffer": (BufferedRecorder, "Fatal error: protocol.get_buffer() "
                   "call failed."),
    "buffer_updated": (BufferedRecorder, "Fatal error: protocol."
                       "buffer_updated() call failed."),
}


@families
@pytest.mark.parametrize("name", FATAL)
@in_loop
async def test_an_error_while_reading_is_reported_and_ends_it(
    loop, family, name
):
    base, message = FATAL[name]
    error = Oops(name)
    async with link(loop, raising(name, error, base), family) as (
        transport, protocol, peer
    ):
        errors = collect_errors(loop)
        peer.send(b"x")
        peer.shutdown(1)
        assert await protocol.lost is error
        await settle()
        assert errors == [{
            "message": message, "exception": error, "transport": transport,
            "protocol": protocol,
        }]
        assert transport.is_closing()
        assert protocol.calls[-1] == "lost"


@pytest.mark.parametrize("name", ["data_received", "eof_received"])
@pytest.mark.parametrize("code", [OSError, ConnectionResetError, TimeoutError])
@in_loop
async def test_an_oserror_of_the_protocol_counts_as_the_networks(
    loop, name, code
):
    """Not reported, as asyncio cannot tell it from its own."""
    error = code("the protocol's")
    async with link(loop, raising(name, error)) as (
        transport, protocol, peer
    ):
        peer.send(b"x")
        peer.shutdown(1)
        assert await protocol.lost is error


@in_loop
async def test_a_cancellation_raised_by_the_protocol_is_an_error(loop):
    error = asyncio.CancelledError()
    async with link(loop, raising("data_received", error)) as (
        transport, protocol, peer
    ):
        errors = collect_errors(loop)
        peer.send(b"x")
        await until(lambda: bool(errors))
        assert errors[0]["exception"] is error
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(raised(protocol), 5)


async def raised(protocol):
    raise await protocol.lost


@in_loop
async def test_an_error_in_connection_made_leaves_the_connection(loop):
    error = Oops()
    errors = collect_errors(loop)
    async with link(loop, raising("connection_made", error)) as (
        transport, protocol, peer
    ):
        [context] = errors
        assert context["exception"] is error
        assert context["message"].startswith("Exception in callback ")
        assert "connection_made" in context["message"]
        assert isinstance(context["handle"], asyncio.Handle)
        assert keys(context) == {"message", "exception", "handle"}
        # It lives on: reading has started all the same.
        peer.send(b"x")
        await until(lambda: protocol.data == b"x")
        assert not transport.is_closing()


@families
@in_loop
async def test_an_error_in_connection_lost_still_frees_everything(
    loop, family
):
    error = Oops()
    errors = collect_errors(loop)
    async with link(loop, raising("connection_lost", error), family) as (
        transport, protocol, peer
    ):
        sock = transport.get_extra_info("socket")
        transport.close()
        await protocol.lost
        await settle()
        [context] = errors
        assert context["exception"] is error
        assert context["message"].startswith("Exception in callback ")
        assert keys(context) == {"message", "exception", "handle"}
        assert sock.fileno() == -1
        assert transport.get_protocol() is None


@pytest.mark.parametrize("name", ["pause_writing", "resume_writing"])
@in_loop
async def test_an_error_in_flow_control_is_reported_and_passes(loop, name):
    error = Oops()
    async with link(loop, raising(name, error)) as (
        transport, protocol, peer
    ):
        errors = collect_errors(loop)
        sent = bytes(4 << 20)
        transport.write(sent)
        assert await receive(peer, len(sent)) == sent
        await until(lambda: "resume" in protocol.calls)
        assert errors == [{
            "message": f"protocol.{name}() failed", "exception": error,
            "transport": transport, "protocol": protocol,
        }]
        transport.write(b"goes on")
        assert await receive(peer, 7) == b"goes on"


# -- interrupts -------------------------------------------------------------

READING = {
    "data_received": Recorder, "eof_received": Recorder,
    "get_buffer": BufferedRecorder, "buffer_updated": BufferedRecorder,
}


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_the_run_and_the_connection_alone(
    loop, name, interrupt
):
    errors = collect_errors(loop)
    ours, peer = pair()
    cls = raising(name, interrupt, READING[name])
    transport, protocol = loop.run_until_complete(
        loop.create_connection(lambda: cls(loop), sock=ours)
    )
    peer.send(b"first")
    if name == "eof_received":
        peer.shutdown(1)
    with pytest.raises(interrupt):
        loop.run_until_complete(asyncio.sleep(5))
    assert not loop.is_running()
    assert not transport.is_closing()
    assert "lost" not in protocol.calls
    # The loop and the transport go on with another protocol.
    calm = Recorder(loop)
    transport.set_protocol(calm)
    if name != "eof_received":
        peer.send(b"second")

    async def rest():
        transport.write(b"answer")
        assert await receive(peer, 6) == b"answer"
        if name != "eof_received":
            await until(lambda: b"second" in calm.data)
        transport.close()
        assert await calm.lost is None
        await settle()

    loop.run_until_complete(rest())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(settle())
    assert errors == []
    peer.close()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", ["connection_made", "connection_lost"])
def test_an_interrupt_in_making_or_losing_leaves_the_run(
    loop, name, interrupt
):
    ours, peer = pair()
    cls = raising(name, interrupt)
    made = []

    def factory():
        made.append(cls(loop))
        return made[0]

    task = loop.create_task(loop.create_connection(factory, sock=ours))
    if name == "connection_made":
        with pytest.raises(interrupt):
            loop.run_until_complete(task)
    transport, protocol = loop.run_until_complete(task)
    assert protocol is made[0]
    transport.close()
    if name == "connection_lost":
        with pytest.raises(interrupt):
            loop.run_until_complete(asyncio.sleep(5))
        for left in asyncio.all_tasks(loop):
            left.cancel()
    loop.run_until_complete(settle())
    assert protocol.calls == ["made", "lost"]
    assert transport.get_extra_info("socket").fileno() == -1
    peer.close()


@pytest.mark.parametrize("name", ["pause_writing", "resume_writing"])
def test_an_interrupt_in_flow_control_leaves_the_caller(loop, name):
    ours, peer = pair()
    cls = raising(name, KeyboardInterrupt)
    transport, protocol = loop.run_until_complete(
        loop.create_connection(lambda: cls(loop), sock=ours)
    )
    if name == "pause_writing":
        with pytest.raises(KeyboardInterrupt):
            transport.write(bytes(4 << 20))
    else:
        transport.write(bytes(4 << 20))
        task = loop.create_task(receive(peer, 4 << 20))
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asyncio.sleep(5))
        loop.run_until_complete(task)
        for left in asyncio.all_tasks(loop):
            left.cancel()
    transport.abort()
    loop.run_until_complete(settle())
    assert protocol.calls[-1] == "lost"
    peer.close()


# -- protocols that are no protocols ----------------------------------------

@in_loop
async def test_a_protocol_without_the_methods_fails_when_they_are_needed(
    loop
):
    class Bare(asyncio.BaseProtocol):
        def connection_made(self, transport):
            self.transport = transport

    errors = collect_errors(loop)
    ours, peer = pair()
    transport, protocol = await loop.create_connection(Bare, sock=ours)
    peer.send(b"x")
    await until(lambda: bool(errors))
    assert isinstance(errors[0]["exception"], AttributeError)
    assert "data_received" in str(errors[0]["exception"])
    assert transport.is_closing()
    await settle()
    peer.close()


@in_loop
async def test_any_object_with_the_methods_will_do(loop):
    calls = []

    class Duck:
        def __getattr__(self, name):
            return lambda *args: calls.append(name)

    ours, peer = pair()
    transport, protocol = await loop.create_connection(Duck, sock=ours)
    peer.send(b"x")
    peer.close()
    await until(lambda: "connection_lost" in calls)
    await quiet()
    assert calls == [
        "connection_made", "data_received", "eof_received", "connection_lost",
    ]


@in_loop
async def test_a_duck_with_get_buffer_is_read_as_a_plain_protocol(loop):
    """asyncio asks for the class BufferedProtocol, not for the method."""
    calls = []

    class Duck(asyncio.Protocol):
        def get_buffer(self, hint):
            calls.append("get_buffer")
            return bytearray(10)

        def data_received(self, data):
            calls.append(data)

    ours, peer = pair()
    transport, protocol = await loop.create_connection(Duck, sock=ours)
    peer.send(b"x")
    await until(lambda: bool(calls))
    assert calls == [b"x"]
    transport.close()
    await settle()
    peer.close()


@in_loop
async def test_a_factory_that_raises_closes_the_socket_it_was_made_for(loop):
    def fail():
        raise Oops

    ours, peer = pair()
    with pytest.raises(Oops):
        await loop.create_connection(fail, sock=ours)
    # asyncio left the socket open up to 3.14 (gh-153133).
    if PY314 or not is_borrowed(loop.create_connection):
        assert ours.fileno() == -1
    ours.close()
    peer.close()
