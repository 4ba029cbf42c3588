"""aioquic: QUIC over the loop's datagrams, its timers by call_at."""

import asyncio

import aioquic.asyncio
import pytest
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived
from support import tls

SIZE = 1_000_000


class Echo(QuicConnectionProtocol):
    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(
                event.stream_id, event.data, event.end_stream
            )
            self.transmit()


@pytest.fixture
def on_connection(run, tmp_path):
    """Runs test(connection) with a server that echoes its streams."""
    cert, key = tls.write_files(str(tmp_path))

    def on_connection(test):
        async def main():
            serving = QuicConfiguration(
                is_client=False, alpn_protocols=["echo"]
            )
            serving.load_cert_chain(cert, key)
            server = await aioquic.asyncio.serve(
                "::1", 0, configuration=serving, create_protocol=Echo
            )
            port = server._transport.get_extra_info("sockname")[1]
            asking = QuicConfiguration(
                alpn_protocols=["echo"], server_name="localhost"
            )
            asking.load_verify_locations(cert)
            async with aioquic.asyncio.connect(
                "::1", port, configuration=asking
            ) as connection:
                result = await test(connection)
            server.close()
            return result

        return run(main())

    return on_connection


async def exchange(connection, data: bytes) -> bytes:
    reader, writer = await connection.create_stream()
    writer.write(data)
    writer.write_eof()
    return await reader.read()


def test_a_stream(on_connection):
    data = bytes(range(250)) * (SIZE // 250)

    async def test(connection):
        return await exchange(connection, data)

    assert on_connection(test) == data


def test_streams_at_once(on_connection):
    async def test(connection):
        return await asyncio.gather(*(
            exchange(connection, b"%d" % number) for number in range(100)
        ))

    assert on_connection(test) == [b"%d" % number for number in range(100)]


def test_a_ping(on_connection):
    async def test(connection):
        await asyncio.wait_for(connection.ping(), 20)
        return True

    assert on_connection(test)
