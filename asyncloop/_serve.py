"""What create_server and create_unix_server do before anybody connects.

Resolving, binding and the checks of arguments are asyncio's own code, on
each version of Python; the server that it makes is exchanged for ours, which
counts its connections in C. Keywords that a version of asyncio does not have
yet are added here.
"""

from __future__ import annotations

import os
import socket
from asyncio import base_events, tasks, unix_events
from asyncio.log import logger

from asyncloop._compat import (
    SERVER_KEEPS_ALIVE,
    SERVER_REMOVES_SOCKET_FILE,
)

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from asyncloop._server import Server

_create_server: Any = base_events.BaseEventLoop.create_server
_create_unix_server: Any = (
    unix_events._UnixSelectorEventLoop.create_unix_server
)


def _take_over(made: Any) -> "Server":
    """A server of ours with all that asyncio's has, which keeps nothing."""
    # Needs the C half, which needs this module.
    from asyncloop._server import Server

    server: Any = Server.__new__(Server)
    vars(server).update(
        (name, value)
        for name, value in vars(made).items()
        if name not in ("_clients", "_active_count")
    )
    made._sockets = None
    return server  # type: ignore[no-any-return]


async def _serve(loop: Any, made: Any, start_serving: bool) -> "Server":
    server: Any = _take_over(made)
    if start_serving:
        try:
            server._start_serving()
            # As asyncio, which lets its readers be added first.
            await tasks.sleep(0)
        except BaseException:
            server.close()  # nobody will have it
            raise
    if loop.get_debug():
        logger.info("%r is serving", server)
    return server  # type: ignore[no-any-return]


class ServeMethods:
    """The two methods of Loop."""

    __slots__ = ()

    async def create_server(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        family: Any = socket.AF_UNSPEC,
        flags: Any = socket.AI_PASSIVE,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: Any = None,
        reuse_port: Any = None,
        keep_alive: Any = None,
        ssl_handshake_timeout: Any = None,
        ssl_shutdown_timeout: Any = None,
        start_serving: bool = True,
    ) -> "Server":
        """Listen on TCP addresses, or on a socket that is given."""
        options = {"keep_alive": keep_alive} if SERVER_KEEPS_ALIVE else {}
        made = await _create_server(
            self,
            protocol_factory,
            host,
            port,
            family=family,
            flags=flags,
            sock=sock,
            backlog=backlog,
            ssl=ssl,
            reuse_address=reuse_address,
            reuse_port=reuse_port,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            start_serving=False,
            **options,
        )
        if keep_alive and not SERVER_KEEPS_ALIVE and sock is None:
            for made_sock in made._sockets:
                made_sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_KEEPALIVE, True
                )
        return await _serve(self, made, start_serving)

    async def create_unix_server(
        self,
        protocol_factory: Any,
        path: Any = None,
        *,
        sock: Any = None,
        backlog: int = 100,
        ssl: Any = None,
        ssl_handshake_timeout: Any = None,
        ssl_shutdown_timeout: Any = None,
        start_serving: bool = True,
        cleanup_socket: bool = SERVER_REMOVES_SOCKET_FILE,
    ) -> "Server":
        """Listen on a Unix socket."""
        options = (
            {"cleanup_socket": cleanup_socket}
            if SERVER_REMOVES_SOCKET_FILE
            else {}
        )
        made = await _create_unix_server(
            self,
            protocol_factory,
            path,
            sock=sock,
            backlog=backlog,
            ssl=ssl,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            start_serving=False,
            **options,
        )
        if cleanup_socket and not SERVER_REMOVES_SOCKET_FILE:
            self._note_socket_file(made._sockets[0])
        return await _serve(self, made, start_serving)

    def _note_socket_file(self: Any, sock: socket.socket) -> None:
        """Have _stop_serving remove the file, while it is this socket's."""
        path = sock.getsockname()
        if path and path[0] not in (0, "\0"):
            self._unix_server_sockets[sock] = os.stat(path).st_ino
