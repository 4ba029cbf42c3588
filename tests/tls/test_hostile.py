"""Bytes that were spoiled or cut off on the way, in both directions.

Whatever is done to the wire, the connection ends or goes on; it never
delivers a byte that was not written, hangs, or takes down the loop.
"""

import asyncio
import os
import random
import ssl

import pytest

from support.loops import collect_errors
from support.net import Recorder, in_loop, pair, quiet, settle, until
from support.tls import NAME, Peer, client_context, server_context, tls_link

DATA = bytes(range(256)) * 8


async def spoil_handshake(loop, server_side, change):
    """Shake hands over a wire that passes through `change`."""
    one, two = pair()
    one.setblocking(False)
    protocol = Recorder(loop)
    peer = Peer(
        two, client_context() if server_side else server_context(),
        not server_side,
    )
    if server_side:
        connecting = loop.connect_accepted_socket(
            lambda: protocol, one, ssl=server_context(),
            ssl_handshake_timeout=0.3,
        )
    else:
        connecting = loop.create_connection(
            lambda: protocol, sock=one, ssl=client_context(),
            server_hostname=NAME, ssl_handshake_timeout=0.3,
        )
    task = asyncio.ensure_future(connecting)
    at = 0
    try:
        for _ in range(400):
            try:
                peer.object.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLError, OSError):
                break
            wire = peer.outgoing.read()
            if wire:
                try:
                    two.send(change(at, wire))
                except OSError:
                    break
                at += len(wire)
            if task.done():
                break
            try:
                if not peer.take():
                    await asyncio.sleep(0.001)
            except ConnectionError:
                break
            if peer.eof:
                break
    finally:
        two.close()
    try:
        transport, _ = await task
    except (ssl.SSLError, ConnectionError):
        assert "made" not in protocol.calls or protocol.lost.done()
        return False
    transport.abort()
    await protocol.lost
    return True


@pytest.mark.parametrize("server_side", [False, True])
@pytest.mark.parametrize("seed", range(8))
@in_loop
async def test_flipped_bits_in_the_handshake(loop, server_side, seed):
    chosen = random.Random(seed)
    position = chosen.choice([*range(0, 60, 3), 200, 400, 700])

    def change(at, wire):
        wire = bytearray(wire)
        if at <= position < at + len(wire):
            wire[position - at] ^= 1 << chosen.randrange(8)
        return bytes(wire)

    collect_errors(loop)
    await spoil_handshake(loop, server_side, change)
    await settle()


@pytest.mark.parametrize("server_side", [False, True])
@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 50, 300])
@in_loop
async def test_a_handshake_that_is_cut_off(loop, server_side, length):
    def change(at, wire):
        return wire[:max(0, length - at)]

    collect_errors(loop)
    assert not await spoil_handshake(loop, server_side, change)
    await settle()


async def send_spoiled(loop, protocol, peer, change):
    for start in range(0, len(DATA), 512):
        peer.object.write(DATA[start:start + 512])
    wire = change(bytearray(peer.outgoing.read()))
    peer.sock.send(bytes(wire))


@pytest.mark.parametrize("server_side", [False, True])
@pytest.mark.parametrize("seed", range(12))
@in_loop
async def test_flipped_bits_in_the_data(loop, server_side, seed):
    chosen = random.Random(seed)

    def change(wire):
        wire[chosen.randrange(len(wire))] ^= 1 << chosen.randrange(8)
        return wire

    async with tls_link(loop, server_side=server_side) as (
        transport, protocol, peer,
    ):
        await send_spoiled(loop, protocol, peer, change)
        # A length that was made larger waits for more: end it.
        await settle(20)
        peer.sock.close()
        error = await protocol.lost
        assert error is None or isinstance(error, OSError)
        assert DATA.startswith(bytes(protocol.data))
        assert len(protocol.data) < len(DATA)
    assert protocol.calls[-1] == "lost"


@pytest.mark.parametrize("server_side", [False, True])
@pytest.mark.parametrize("seed", range(8))
@in_loop
async def test_data_that_is_cut_off(loop, server_side, seed):
    chosen = random.Random(seed)

    async with tls_link(loop, server_side=server_side) as (
        transport, protocol, peer,
    ):
        await send_spoiled(
            loop, protocol, peer,
            lambda wire: wire[:chosen.randrange(len(wire))],
        )
        await quiet()
        peer.take()  # what is not read would make it a reset
        peer.sock.close()
        assert await protocol.lost is None
        assert DATA.startswith(bytes(protocol.data))
        assert len(protocol.data) % 512 == 0


@in_loop
async def test_a_bad_record_is_the_ssl_modules_error(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        peer.object.write(b"data")
        wire = bytearray(peer.outgoing.read())
        wire[-1] ^= 1
        peer.sock.send(wire)
        error = await protocol.lost
        assert type(error) is ssl.SSLError
        assert error.reason in (
            "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
            "RECORD_LAYER_FAILURE",  # from OpenSSL 3.2 on
        )
        assert error.library == "SSL"


@in_loop
async def test_records_before_a_bad_one_are_delivered(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        peer.send(b"good")
        await until(lambda: protocol.data == b"good")
        peer.object.write(b"bad")
        wire = bytearray(peer.outgoing.read())
        wire[-1] ^= 1
        peer.sock.send(wire)
        assert isinstance(await protocol.lost, ssl.SSLError)
        assert protocol.calls == ["made", "data", "lost"]


@pytest.mark.native_only(reason="asyncio loses the data")
@in_loop
async def test_data_that_arrives_with_a_bad_record_is_delivered(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        peer.object.write(b"good")
        peer.object.write(b"bad")
        wire = bytearray(peer.outgoing.read())
        wire[-1] ^= 1
        peer.sock.send(wire)
        assert isinstance(await protocol.lost, ssl.SSLError)
        assert protocol.data == b"good"


@in_loop
async def test_plain_text_within_tls_is_an_error(loop):
    async with tls_link(loop) as (transport, protocol, peer):
        peer.sock.send(b"this is no TLS at all, and never was")
        assert isinstance(await protocol.lost, ssl.SSLError)


@in_loop
async def test_noise_instead_of_a_handshake(loop):
    collect_errors(loop)
    server = await loop.create_server(
        lambda: Recorder(loop), "127.0.0.1", 0, ssl=server_context(),
        ssl_handshake_timeout=0.2,
    )
    chosen = random.Random(7)
    for _ in range(30):
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname()
        )
        noise = chosen.randbytes(chosen.randrange(1, 400))
        # As if it were a record, every other time.
        writer.write(b"\x16\x03\x01" + noise if chosen.random() < 0.5 else noise)
        writer.write_eof()
        try:
            assert await reader.read() is not None
        except ConnectionError:
            pass
        writer.close()
    server.close()
    await server.wait_closed()
    await settle()


@in_loop
async def test_a_wrong_record_does_not_disturb_other_connections(loop):
    """OpenSSL's queue of errors is one for the thread."""
    async with tls_link(loop) as (_, good, good_peer):
        async with tls_link(loop) as (_, bad, bad_peer):
            bad_peer.sock.send(os.urandom(100))
            good_peer.send(b"one")
            assert isinstance(await bad.lost, ssl.SSLError)
            await until(lambda: good.data == b"one")
        good_peer.send(b"two")
        await until(lambda: good.data == b"onetwo")


@in_loop
async def test_a_stale_error_of_the_program_is_no_error_of_ours(loop):
    """A program that left something in the queue of this thread."""
    async with tls_link(loop) as (transport, protocol, peer):
        for _ in range(3):
            with pytest.raises(ssl.SSLError):
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_dh_params(
                    __file__
                )
            peer.send(b"data")
            transport.write(b"answer")
            assert await peer.receive(6) == b"answer"
        await until(lambda: protocol.data == b"data" * 3)
