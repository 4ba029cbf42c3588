"""create_connection and create_unix_connection.

The rules about arguments and what is rare are here; a connector in C
(src/servers/connector.h) tries the addresses and makes the transport. Where
it cannot, asyncio's own `_connect_sock` does: for addresses that have to be
resolved once more, for loops on which a part of connecting was replaced, and
for programs that replaced socket.socket.
"""

from __future__ import annotations

import os
import socket
from asyncio import base_events, sleep, staggered
from asyncio.log import logger
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context

from asyncloop._compat import TRANSPORTS_TAKE_CONTEXT

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from asyncloop import _core

_asyncio: Any = base_events
_SOCKET = socket.socket


def _socket_is_plain() -> bool:
    """Has nobody put another class in place of socket.socket?

    Looked up where asyncio does: proxies and guards of tests replace it.
    """
    is_plain: bool = _asyncio.socket.socket is _SOCKET
    return is_plain


def _refuse_tls_keywords(name: Any, handshake: Any, shutdown: Any) -> None:
    """Without TLS, these mean nothing."""
    for keyword, value in (
        ("server_hostname", name),
        ("ssl_handshake_timeout", handshake),
        ("ssl_shutdown_timeout", shutdown),
    ):
        if value is not None:
            raise ValueError(f"{keyword} is only meaningful with ssl")


def _check_stream_socket(sock: Any, address: tuple[Any, Any]) -> None:
    """The rules for `sock=` of create_connection."""
    _asyncio._check_ssl_socket(sock)
    if address != (None, None):
        raise ValueError(
            "host/port and sock can not be specified at the same time"
        )
    if sock.type != socket.SOCK_STREAM:
        # A Unix socket is taken, too.
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")


def _raise_together(errors: list[Exception], all_errors: bool) -> NoReturn:
    """Several failures in one exception, as asyncio has it."""
    try:
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        if not errors:
            raise TimeoutError("create_connection failed")
        texts = [str(error) for error in errors]
        if all(text == texts[0] for text in texts):
            raise errors[0]
        raise OSError("Multiple exceptions: " + ", ".join(texts))
    finally:
        # An exception must not be in a cycle with its own traceback.
        del errors


async def _fail(connector: _core._Connector, all_errors: bool) -> NoReturn:
    # All may have been refused at once; a program that tries again and again
    # lets the others run all the same.
    await sleep(0)
    _raise_together(connector.errors(), all_errors)


async def _connected(
    connector: _core._Connector,
    factory: Callable[[], Any],
    all_errors: bool = False,
) -> tuple[Any, Any]:
    """The connection's transport and protocol."""
    try:
        if connector.pending is not None:
            await connector.pending
        pair = connector.make_transport(factory)
        if pair is None:
            await _fail(connector, all_errors)
        return await pair
    except BaseException:
        connector.close()
        raise


async def _detached(
    connector: _core._Connector, all_errors: bool = False
) -> socket.socket:
    """The connection's socket."""
    try:
        if connector.pending is not None:
            await connector.pending
        sock = connector.detach()
        if sock is None:
            await _fail(connector, all_errors)
        return sock
    except BaseException:
        connector.close()
        raise


async def _connect_sock(
    loop: Any,
    infos: Any,
    local_infos: Any,
    delay: float | None,
    all_errors: bool,
) -> socket.socket:
    """asyncio's way to connect to one of several addresses."""
    errors: list[list[Exception]] = []

    def attempt(info: Any) -> Callable[[], Coroutine[Any, Any, Any]]:
        return lambda: loop._connect_sock(errors, info, local_infos)

    attempts = [attempt(info) for info in infos]
    try:
        sock: socket.socket | None = None
        if delay is not None:
            sock, *_ = await staggered.staggered_race(
                attempts, delay, loop=loop
            )
        else:
            for start in attempts:
                try:
                    sock = await start()
                    break
                except OSError:
                    continue
        if sock is None:
            _raise_together([e for each in errors for e in each], all_errors)
        return sock
    finally:
        errors.clear()


class ConnectMethods:
    """The methods of Loop that connect."""

    __slots__ = ()

    async def create_connection(
        self: Any,
        protocol_factory: Callable[[], Any],
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[Any, Any]:
        """Connect to a host and port, or take over a connected socket.

        The result is a pair of transport and protocol.
        """
        if not ssl:
            if (
                server_hostname is not None
                or ssl_handshake_timeout is not None
                or ssl_shutdown_timeout is not None
            ):
                _refuse_tls_keywords(
                    server_hostname,
                    ssl_handshake_timeout,
                    ssl_shutdown_timeout,
                )
        elif server_hostname is None:
            if not host:
                raise ValueError(
                    "You must set server_hostname when using ssl without a "
                    "host"
                )
            server_hostname = host
        connector: Any = None
        if sock is not None:
            _check_stream_socket(sock, (host, port))
        elif host is None and port is None:
            raise ValueError(
                "host and port was not specified and no sock specified"
            )
        else:
            if local_addr is None and _asyncio.socket.socket is _SOCKET:
                connector = self._connect_literal(host, port, family, proto)
            if connector is None:
                hints = {"family": family, "proto": proto, "flags": flags}
                connector, sock = await self._resolve_and_connect(
                    (host, port),
                    local_addr,
                    hints,
                    happy_eyeballs_delay,
                    interleave,
                    all_errors,
                )
            if ssl and connector is not None:
                sock = await _detached(connector, all_errors)
        if sock is None:
            # What _connected does, without another coroutine.
            try:
                if connector.pending is not None:
                    await connector.pending
                pair = connector.make_transport(protocol_factory)
                if pair is None:
                    await _fail(connector, all_errors)
                transport, protocol = await pair
            except BaseException:
                connector.close()
                raise
        else:
            transport, protocol = await self._create_connection_transport(
                sock,
                protocol_factory,
                ssl,
                server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
        if self._debug:
            logger.debug(
                "%r connected to %s:%r: (%r, %r)",
                transport.get_extra_info("socket"),
                host,
                port,
                transport,
                protocol,
            )
        return transport, protocol

    async def _resolve_and_connect(
        self: Any,
        address: tuple[Any, Any],
        local_addr: Any,
        hints: dict[str, int],
        delay: float | None,
        interleave: int | None,
        all_errors: bool,
    ) -> tuple[_core._Connector | None, socket.socket | None]:
        """A connector for what the names stand for, or else a socket that
        asyncio has connected."""
        infos = await self._resolve(address, hints)
        local_infos = None
        if local_addr is not None:
            local_infos = await self._resolve(local_addr, hints)
        if delay is not None and interleave is None:
            interleave = 1
        if interleave:
            infos = _asyncio._interleave_addrinfos(infos, interleave)
        if _socket_is_plain():
            connector = self._connect_infos(infos, local_infos, delay)
            if connector is not None:
                return connector, None
        sock = await _connect_sock(self, infos, local_infos, delay, all_errors)
        return None, sock

    async def _resolve(
        self: Any, address: Any, hints: dict[str, int]
    ) -> Any:
        infos = await self._ensure_resolved(
            address, type=socket.SOCK_STREAM, loop=self, **hints
        )
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        return infos

    async def create_unix_connection(
        self: Any,
        protocol_factory: Callable[[], Any],
        path: Any = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """Connect to a path or abstract name, or take over a socket.

        The result is a pair of transport and protocol.
        """
        assert server_hostname is None or isinstance(server_hostname, str)
        if not ssl:
            _refuse_tls_keywords(
                server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout
            )
        elif server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
        if path is not None:
            if sock is not None:
                raise ValueError(
                    "path and sock can not be specified at the same time"
                )
            connector = None
            path = os.fspath(path)
            if _socket_is_plain():
                connector = self._connect_path(path)
            if connector is None:
                sock = await self._connect_to_path(path)
            elif ssl:
                sock = await _detached(connector)
            else:
                return await _connected(connector, protocol_factory)
        elif sock is None:
            raise ValueError("no path and sock were specified")
        elif (
            sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM
        ):
            raise ValueError(
                f"A UNIX Domain Stream Socket was expected, got {sock!r}"
            )
        pair: tuple[Any, Any] = await self._create_connection_transport(
            sock,
            protocol_factory,
            ssl,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        return pair

    async def _connect_to_path(self: Any, path: Any) -> Any:
        """A socket that asyncio connects."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
        try:
            sock.setblocking(False)
            await self.sock_connect(sock, path)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _create_connection_transport(
        self: Any,
        sock: socket.socket,
        protocol_factory: Callable[[], Any],
        ssl: Any,
        server_hostname: str | None,
        server_side: bool = False,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        context: Context | None = None,
    ) -> tuple[Any, Any]:
        """Transport and protocol of a connected socket, which is closed if
        there is no transport to own it."""
        options: dict[str, Any] = {}
        if TRANSPORTS_TAKE_CONTEXT:
            options["context"] = context or copy_context()
        try:
            sock.setblocking(False)
            protocol = protocol_factory()
            waiter = self.create_future()
            if ssl:
                transport: Any = self._make_ssl_transport(
                    sock,
                    protocol,
                    None if isinstance(ssl, bool) else ssl,
                    waiter,
                    server_side=server_side,
                    server_hostname=server_hostname,
                    ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout,
                    **options,
                )
            else:
                transport = self._make_socket_transport(
                    sock, protocol, waiter, **options
                )
        except BaseException:
            sock.close()
            raise
        try:
            await waiter
        except BaseException:
            transport.close()
            # The exception is the waiter's, and has this frame.
            del waiter
            raise
        return transport, protocol
