"""EventLoopPolicy and install(), for the Pythons that have policies."""

import warnings
from collections.abc import Callable

from asyncloop import _compat, _core
from asyncloop._compat import HAS_POLICIES, POLICIES_ARE_DEPRECATED


def install() -> None:
    """Make asyncloop's loops the default of this process."""
    # Looking this function up has warned already.
    _compat.set_policy(_core._event_loop_policy()())


def lookup(name: str) -> type | Callable[[], None]:
    """What `asyncloop.<name>` is; a DeprecationWarning where asyncio has one."""
    if not HAS_POLICIES:
        raise AttributeError(
            f"module 'asyncloop' has no attribute {name!r}: Python 3.16 has "
            "no event loop policies; use loop_factory=asyncloop.new_event_loop"
        )
    if POLICIES_ARE_DEPRECATED:
        warnings.warn(
            f"'asyncloop.{name}' is deprecated and slated for removal in "
            "Python 3.16; use loop_factory=asyncloop.new_event_loop",
            DeprecationWarning,
            stacklevel=3,
        )
    return install if name == "install" else _core._event_loop_policy()
