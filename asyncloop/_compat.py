"""The differences between Python versions, for the package's Python half."""

from __future__ import annotations

import sys
from asyncio import format_helpers
from collections.abc import Callable

# Not imported at run time: typing takes longer than all of this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HAS_POLICIES = sys.version_info < (3, 16)
POLICIES_ARE_DEPRECATED = sys.version_info >= (3, 14)
SERVER_KEEPS_ALIVE = sys.version_info >= (3, 13)
SERVER_REMOVES_SOCKET_FILE = sys.version_info >= (3, 13)
# _make_ssl_transport and its kin have the keyword `context`.
TRANSPORTS_TAKE_CONTEXT = sys.version_info >= (3, 15)
ASYNCIO_RESETS_AFTER_FORK = sys.version_info >= (3, 12)

_format_source: Any = format_helpers._format_callback_source

# Whether asyncio hides a callback's arguments outside debug mode came with a
# security fix that some patch releases have and others do not: ask it.
_FORMAT_TAKES_DEBUG = "debug" in (_format_source.__kwdefaults__ or ())


def describe_callback(
    callback: Callable[..., Any], args: tuple[Any, ...], debug: bool
) -> str:
    """What asyncio calls this callback in its messages."""
    if _FORMAT_TAKES_DEBUG:
        return str(_format_source(callback, args, debug=debug))
    return str(_format_source(callback, args))
