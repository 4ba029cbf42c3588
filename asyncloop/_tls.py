"""TLS: the methods of Loop that set a connection up.

What happens on a connection is C (src/tls/connection.h), one object between
the transport below and the protocol above. A program that puts asyncio's own
SSLProtocol on a transport gets just that.
"""

from __future__ import annotations

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import Any


def _move_buffered_data(protocol: Any, tls: Any) -> None:
    """What a stream has read already is the beginning of TLS."""
    from asyncio.streams import StreamReaderProtocol

    if not isinstance(protocol, StreamReaderProtocol):
        return
    reader: Any = getattr(protocol, "_stream_reader", None)
    if reader is not None and reader._buffer:
        tls._feed(reader._buffer)
        reader._buffer.clear()


class TLSMethods:
    """The two methods of Loop."""

    __slots__ = ()

    def _make_ssl_transport(
        self: Any,
        rawsock: Any,
        protocol: Any,
        sslcontext: SSLContext | None,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        context: Any = None,
    ) -> Any:
        """A transport for a connected socket, which becomes its own."""
        self._ensure_fd_no_transport(rawsock)
        tls = self._make_tls(
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
        )
        self._make_socket_transport(
            rawsock, tls, extra=extra, server=server, context=context
        )
        return tls

    async def start_tls(
        self: Any,
        transport: Any,
        protocol: Any,
        sslcontext: SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Go on with TLS on a connection.

        The result is a new transport, which the protocol is to use from now
        on.
        """
        # Of no use to programs without TLS, and slow to import.
        import ssl

        if not isinstance(sslcontext, ssl.SSLContext):
            raise TypeError(
                "sslcontext is expected to be an instance of "
                f"ssl.SSLContext, got {sslcontext!r}"
            )
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(
                f"transport {transport!r} is not supported by start_tls()"
            )
        waiter = self.create_future()
        tls = self._make_tls(
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
            False,
        )
        # No data before connection_made.
        transport.pause_reading()
        if server_side:
            _move_buffered_data(protocol, tls)
        transport.set_protocol(tls)
        made = self.call_soon(tls.connection_made, transport)
        resumed = self.call_soon(transport.resume_reading)
        try:
            await waiter
        except BaseException:
            transport.close()
            made.cancel()
            resumed.cancel()
            # The exception is the waiter's, and has this frame.
            del waiter
            raise
        # As asyncio: None if the connection was over before there was TLS.
        return None if tls._transport is None else tls
