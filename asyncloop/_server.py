"""asyncloop.Server: asyncio's, with its connections counted in C."""

from __future__ import annotations

import asyncio

from asyncloop import _core

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False

if TYPE_CHECKING:

    class Server(asyncio.Server):
        pass

else:

    class Server(_core.ServerCore, asyncio.Server):
        """asyncio's Server; which connections it has, C knows."""

        def _when_idle(self):
            """Called from C: the last connection has ended."""
            if self._sockets is None:
                self._wakeup()

    Server.__module__ = "asyncloop"
    _core._set_server_class(Server)
