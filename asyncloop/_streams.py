"""Streams by name.

asyncio's own functions give the same streams on our loop: a client's writer
is recognised when it is drained for the first time, here from the start.
"""

from __future__ import annotations

import asyncio
from asyncio import start_server, start_unix_server
from typing import Any

from asyncloop import _core

__all__ = (
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
)

LIMIT = 2 ** 16


async def open_connection(
    host: Any = None, port: Any = None, *, limit: int = LIMIT, **kwds: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """asyncio.open_connection, with a writer in C before it has written."""
    reader, writer = await asyncio.open_connection(
        host, port, limit=limit, **kwds
    )
    _core._adopt_writer(writer)
    return reader, writer


async def open_unix_connection(
    path: Any = None, *, limit: int = LIMIT, **kwds: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The same for asyncio.open_unix_connection."""
    reader, writer = await asyncio.open_unix_connection(
        path, limit=limit, **kwds
    )
    _core._adopt_writer(writer)
    return reader, writer
