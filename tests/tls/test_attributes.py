"""What programs read of a TLS transport."""

import asyncio
import logging
import ssl
from asyncio import constants

import pytest

from support.net import Recorder, in_loop, settle, until
from support.tls import (
    NAME, client_context, server_context, tls_link, tls_pair,
)


@in_loop
async def test_it_is_a_transport_of_asyncios_classes(loop):
    async with tls_link(loop) as (transport, _, _):
        assert isinstance(transport, asyncio.Transport)
        assert transport._start_tls_compatible is True
        assert transport._sendfile_compatible is (
            constants._SendfileMode.FALLBACK
        )
        assert transport._loop is loop
        assert transport._protocol_paused is False
        assert "ssl" in type(transport).__name__.lower()


@in_loop
async def test_the_info_of_the_handshake(loop):
    async with tls_pair(loop) as (server, client):
        info = client.transport.get_extra_info
        obj = info("ssl_object")
        assert isinstance(obj, ssl.SSLObject)
        assert isinstance(info("sslcontext"), ssl.SSLContext)
        assert info("peercert") == obj.getpeercert()
        assert info("peercert")["subject"] == ((("commonName", NAME),),)
        assert info("cipher") == obj.cipher()
        assert info("compression") is None
        assert info("peername") == server.transport.get_extra_info("sockname")
        assert info("socket").fileno() > 2
        assert info("nothing") is None
        assert info("nothing", default=3) == 3
        assert not server.transport.get_extra_info("peercert")


@in_loop
async def test_before_the_handshake_there_is_no_object(loop):
    seen = []

    class Looks(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(transport.get_extra_info("ssl_object"))

    async with tls_link(loop, Looks):
        assert isinstance(seen[0], ssl.SSLObject)


@in_loop
async def test_the_object_is_alive(loop):
    async with tls_pair(loop) as (server, client):
        one = server.transport.get_extra_info("ssl_object")
        two = client.transport.get_extra_info("ssl_object")
        assert one.version() == two.version() == "TLSv1.3"
        assert one.server_side and not two.server_side
        assert two.server_hostname == NAME
        assert two.pending() == 0
        assert one.shared_ciphers()
        assert two.session is not None
        for obj in (one, two):
            with pytest.raises(ssl.SSLWantReadError):
                obj.read(1)


@in_loop
async def test_the_channel_binding_is_the_same_on_both_ends(loop):
    contexts = server_context(), client_context()
    for context in contexts:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with tls_pair(loop, server=contexts[0], client=contexts[1]) as (
        server, client,
    ):
        one = server.transport.get_extra_info("ssl_object")
        two = client.transport.get_extra_info("ssl_object")
        assert one.get_channel_binding() == two.get_channel_binding()


@in_loop
async def test_the_transport_stands_for_both_of_asyncios_objects(loop):
    async with tls_link(loop) as (transport, protocol, _):
        inner = transport._ssl_protocol
        assert inner._app_transport is transport
        assert inner._app_protocol is protocol
        assert inner._sslobj is transport.get_extra_info("ssl_object")
        assert inner._sslcontext is transport.get_extra_info("sslcontext")
        assert isinstance(inner._transport, asyncio.Transport)
        assert not inner._app_reading_paused
        transport.pause_reading()
        assert inner._app_reading_paused


@in_loop
async def test_attributes_may_be_set(loop):
    async with tls_link(loop) as (transport, _, _):
        if type(transport).__module__.startswith("asyncio."):
            return
        transport.mine = 5
        assert transport.__dict__ == {"mine": 5}


@pytest.mark.native_only(reason="says which engine asyncloop has chosen")
@in_loop
async def test_the_engine_is_the_one_that_was_chosen(loop, engine):
    async with tls_pair(loop) as (server, client):
        assert server.transport._engine == engine
        assert client.transport._engine == engine


@pytest.mark.native_only(reason="asyncloop's own function")
def test_build_info_names_the_engine(kind, child):
    code = "import asyncloop; print(asyncloop.build_info()['tls'])"
    assert child.run(code).stdout.strip() in ("native", "pump")
    forced = child.run(code, ASYNCLOOP_NATIVE_TLS="0")
    assert forced.stdout.strip() == "pump"


@in_loop
async def test_debug_mode_tells_of_the_handshake(loop, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 100
    with caplog.at_level(logging.DEBUG, "asyncio"):
        async with tls_link(loop) as (transport, protocol, peer):
            peer.send(b"data")
            await until(lambda: protocol.data == b"data")
    await settle()
    text = "\n".join(r.getMessage() for r in caplog.records)
    assert "starts SSL handshake" in text
    assert "SSL handshake took" in text
