"""A test that hangs fails, and says where."""

import contextlib
import faulthandler
import signal
from collections.abc import Iterator


class Hung(BaseException):
    """Not an Exception: a loop would report that one and run on."""


@contextlib.contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Hung after so many seconds; when even the signal does not get through,
    faulthandler ends the whole run after twice as many."""

    def alarm(signum, frame) -> None:
        raise Hung(f"no end after {seconds} s")

    previous = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(2 * seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
