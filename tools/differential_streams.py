"""Random stream scripts on asyncio's reader and on ours: same traces?

    tools/differential_streams.py --count 100000 [--start 0] [--jobs 2]
    tools/differential_streams.py --seed 17     show one script, both traces

A script is a list of steps made from a seed: bytes come in pieces, reads of
all kinds start, are cancelled, driven by hand and closed, the end or an
exception comes, somebody looks into the buffer, holds it or changes it. What
is seen is written down: results, exceptions with what they carry, the buffer,
the attributes, and what the transport was told. There is no I/O and no clock.

Exit status 1 when there is a difference.
"""

import argparse
import asyncio
import gc
import multiprocessing
import pprint
import random
import sys
from collections.abc import Callable
from typing import Any

PY313 = sys.version_info >= (3, 13)
LIMITS = (1, 3, 8, 16, 64, 1000)
SEPARATORS: tuple[Any, ...] = (
    b"\n", b"\r\n", b"ab", b"aba", b";", b"", "x", bytearray(b"\n"), b"a" * 5,
)
TUPLES: tuple[Any, ...] = (
    (b"\n", b"\r\n"), (b"ab", b"b"), (b";",), (), (b"", b"a"), (b"aba", b"ba"),
    (b"b", b"ab", b"aab"), [b"\n"],
)
NUMBERS: tuple[Any, ...] = (
    0, 1, 2, 3, 5, 8, 20, 100, 5000, -1, -5, True, None, "x", 2.0, 1 << 70,
)


# --- making them ----------------------------------------------------------

def piece(rng: random.Random) -> bytes:
    """Few kinds of bytes, so that separators occur, whole and in part."""
    size = rng.choice((0, 1, 1, 2, 3, 5, 8, 13, 40))
    if rng.random() < 0.03:
        size = rng.choice((300, 4096, 5000, 20000))
    return bytes(rng.choices(b"ab\r\n;", (6, 5, 1, 2, 1), k=size))


def call(rng: random.Random) -> tuple:
    name = rng.choice((
        "read", "read", "readline", "readline", "readexactly", "readexactly",
        "readuntil", "readuntil", "__anext__", "read_all",
    ))
    if name == "read":
        return name, rng.choice(NUMBERS if rng.random() < 0.1
                                else NUMBERS[:11])
    if name == "readexactly":
        return name, rng.choice(NUMBERS if rng.random() < 0.1
                                else NUMBERS[:7])
    if name == "readuntil":
        odd = rng.random()
        if odd < 0.3 and PY313 or odd < 0.02:
            return name, rng.choice(TUPLES)
        if odd > 0.9:
            return name, rng.choice(SEPARATORS)
        return name, rng.choice(SEPARATORS[:5])
    return (name,)


STEPS: dict[str, tuple[float, Callable[[random.Random], tuple]]] = {
    "feed": (30, lambda r: (piece(r), r.choice(("bytes",) * 6 + (
        "bytearray", "bytearray", "memoryview", "list")))),
    "start": (26, lambda r: (call(r),)),
    "turn": (24, lambda r: (r.choice((1, 1, 1, 2, 3)),)),
    "look": (8, lambda r: ()),
    "cancel": (4, lambda r: (r.randrange(6),)),
    "drive": (4, lambda r: (call(r), r.choice(("close", "throw", "drop")))),
    "eof": (2, lambda r: ()),
    "set_exception": (1.5, lambda r: (r.choice(("reset", "value")),)),
    "hold": (1, lambda r: ()),
    "let_go": (1.5, lambda r: ()),
    "export": (0.4, lambda r: ()),
    "change": (1, lambda r: (r.choice(("clear", "cut", "more", "new")),)),
    "set_limit": (0.6, lambda r: (r.choice(LIMITS + (1 << 70,)),)),
    "set_waiter": (0.3, lambda r: ()),
    "wake": (0.5, lambda r: ()),
    "set_eof": (0.2, lambda r: (r.choice((True, False)),)),
    "set_paused": (0.2, lambda r: (r.choice((True, False)),)),
    "lose_transport": (0.2, lambda r: ()),
    "hide": (0.1, lambda r: ()),
}


def generate(seed: int) -> tuple:
    rng = random.Random(seed)
    names = list(STEPS)
    weights = [STEPS[name][0] for name in names]
    steps = []
    for name in rng.choices(names, weights, k=rng.randrange(4, 40)):
        steps.append((name, *STEPS[name][1](rng)))
    kind = rng.choice(("pauses", "pauses", "pauses", "cannot", "none"))
    return rng.choice(LIMITS), kind, tuple(steps)


# --- running them ---------------------------------------------------------

class Transport:
    """What a reader asks of one."""

    def __init__(self, log: Callable, kind: str) -> None:
        self.log = log
        self.kind = kind

    def __repr__(self) -> str:
        return "Transport"

    def pause_reading(self) -> None:
        self.log("pause")
        if self.kind == "cannot":
            raise NotImplementedError

    def resume_reading(self) -> None:
        self.log("resume")

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def told(error: BaseException | None) -> Any:
    """What an exception is: its type, text, and what it carries."""
    if error is None:
        return None
    parts = [type(error).__name__, error.args]
    for name in ("consumed", "partial", "expected"):
        if hasattr(error, name):
            parts.append((name, getattr(error, name)))
    if isinstance(error, BufferError):
        # Of the same kind everywhere, in other words since 3.15.
        return parts[:1]
    if type(error) is ValueError:
        parts.append(told(error.__context__))
    return tuple(parts)


class Machine:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.trace: list[Any] = []
        self.tasks: list[asyncio.Task] = []
        self.held: list[Any] = []

    def log(self, *what: Any) -> None:
        self.trace.append(what)

    def ended(self, number: int, task: asyncio.Task) -> None:
        if task.cancelled():
            self.log("ended", number, "cancelled")
        elif task.exception() is not None:
            self.log("ended", number, told(task.exception()))
        else:
            self.log("ended", number, task.result())

    def make(self, what: tuple) -> Any:
        name, *args = what
        if name == "read_all":
            name = "read"
        return getattr(self.reader, name)(*args)

    def do_start(self, what: tuple) -> None:
        number = len(self.tasks)
        task = self.loop.create_task(self.make(what))
        task.add_done_callback(lambda t: self.ended(number, t))
        self.tasks.append(task)

    def do_feed(self, data: bytes, kind: str) -> None:
        kinds: dict[str, Callable] = {
            "bytes": bytes, "bytearray": bytearray, "memoryview": memoryview,
            "list": list,
        }
        self.reader.feed_data(kinds[kind](data))

    def do_cancel(self, number: int) -> None:
        if number < len(self.tasks):
            self.log(self.tasks[number].cancel())

    def do_drive(self, what: tuple, end: str) -> None:
        """Without a task: send() once, and then no more."""
        coro = self.make(what)
        try:
            future = coro.send(None)
        except StopIteration as stop:
            self.log("gave", stop.value)
            return
        self.log("waits", future is self.reader._waiter,
                 asyncio.isfuture(future))
        if end == "close":
            coro.close()
        elif end == "throw":
            coro.throw(ValueError("thrown"))
        else:
            del coro
        self.log(self.reader._waiter is None)

    def do_look(self) -> None:
        reader = self.reader
        self.log(
            bytes(reader._buffer), type(reader._buffer), reader._eof,
            reader._paused, reader._limit, reader._waiter is None,
            told(reader._exception), told(reader.exception()),
            reader._transport is None, reader.at_eof(), len(repr(reader)) > 10,
        )

    def do_eof(self) -> None:
        self.reader.feed_eof()

    def do_set_exception(self, kind: str) -> None:
        errors = {"reset": ConnectionResetError(104, "reset"),
                  "value": ValueError("of the transport")}
        self.reader.set_exception(errors[kind])

    def do_hold(self) -> None:
        self.held.append(self.reader._buffer)

    def do_export(self) -> None:
        self.held.append(memoryview(self.reader._buffer))

    def do_let_go(self) -> None:
        for thing in self.held:
            self.log(bytes(thing))
            if isinstance(thing, memoryview):
                thing.release()
        self.held.clear()

    def do_change(self, how: str) -> None:
        buffer = self.reader._buffer
        if how == "clear":
            buffer.clear()
        elif how == "cut":
            del buffer[:2]
        elif how == "more":
            buffer += b"more\n"
        else:
            self.reader._buffer = bytearray(b"new")

    def do_set_limit(self, limit: float) -> None:
        self.reader._limit = limit

    def do_set_waiter(self) -> None:
        if self.reader._waiter is None:
            self.reader._waiter = self.loop.create_future()
            self.held.append(b"waiter")

    def do_wake(self) -> None:
        self.reader._wakeup_waiter()

    def do_set_eof(self, value: bool) -> None:
        self.reader._eof = value

    def do_set_paused(self, value: bool) -> None:
        self.reader._paused = value

    def do_lose_transport(self) -> None:
        self.reader._transport = None

    def do_hide(self) -> None:
        """A method of the instance: from now on it is called."""
        reader = self.reader
        if "readuntil" in vars(reader):
            del reader.readuntil
            return

        async def readuntil(separator: Any = b"\n") -> bytes:
            self.log("hidden", separator)
            return await type(reader).readuntil(reader, separator)

        reader.readuntil = readuntil

    async def main(self, script: tuple, adopt: Callable) -> None:
        limit, kind, steps = script
        self.reader: Any = asyncio.StreamReader(limit, self.loop)
        adopt(self.reader)
        if kind != "none":
            self.reader.set_transport(Transport(self.log, kind))
        for name, *args in steps + (("let_go",), ("look",)):
            self.log(name, *args)
            if name == "turn":
                for _ in range(args[0]):
                    await asyncio.sleep(0)
                continue
            try:
                getattr(self, "do_" + name)(*args)
            except Exception as error:
                self.log("raised", told(error))
        await self.end()

    async def end(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        self.do_eof()
        for _ in range(3):
            await asyncio.sleep(0)
        for number, task in enumerate(self.tasks):
            if not task.done():
                self.log("still there", number)
                task.cancel()
        await asyncio.wait(self.tasks) if self.tasks else None
        await asyncio.sleep(0)
        self.do_look()
        self.tasks.clear()


LOOPS: dict[str, asyncio.AbstractEventLoop] = {}


def loop_of(kind: str) -> asyncio.AbstractEventLoop:
    if kind not in LOOPS:
        if kind == "asyncio":
            LOOPS[kind] = asyncio.SelectorEventLoop()
        else:
            import asyncloop

            LOOPS[kind] = asyncloop.new_event_loop()
    return LOOPS[kind]


def adopter(kind: str) -> Callable:
    if kind == "asyncio":
        return lambda reader: None
    from asyncloop import _core

    def adopt(reader: asyncio.StreamReader) -> None:
        if not _core._adopt_reader(reader):
            raise AssertionError("the reader was not adopted")

    return adopt


def run(script: tuple, kind: str) -> list[Any]:
    """The trace of a script on one kind of loop."""
    loop = loop_of(kind)
    loop.set_exception_handler(lambda *args: None)
    machine = Machine(loop)
    loop.run_until_complete(machine.main(script, adopter(kind)))
    return machine.trace


def close() -> None:
    while LOOPS:
        LOOPS.popitem()[1].close()


# --- comparing ------------------------------------------------------------

def differs(script: tuple) -> bool:
    return run(script, "asyncio") != run(script, "asyncloop")


def shrink(script: tuple) -> tuple:
    """The fewest steps that still differ."""
    limit, kind, steps = script
    index = 0
    while index < len(steps):
        attempt = limit, kind, steps[:index] + steps[index + 1:]
        if differs(attempt):
            steps = attempt[2]
            index = 0
        else:
            index += 1
    return limit, kind, steps


def show(script: tuple) -> str:
    stock, ours = run(script, "asyncio"), run(script, "asyncloop")
    lines = [pprint.pformat(script, width=78)]
    for number, (left, right) in enumerate(zip(stock, ours)):
        if left != right:
            lines += [repr(line) for line in stock[:number][-8:]]
            lines += [f"asyncio:   {left}", f"asyncloop: {right}"]
            break
    else:
        lines.append(f"lengths: {len(stock)} and {len(ours)}")
        lines += [repr(stock[len(ours):]), repr(ours[len(stock):])]
    return "\n".join(lines)


def check(seed: int) -> int | None:
    return seed if differs(generate(seed)) else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, help="show this one only")
    options = parser.parse_args()
    if options.seed is not None:
        script = generate(options.seed)
        print(show(script))
        return int(differs(script))
    seeds = range(options.start, options.start + options.count)
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, gc.freeze) as pool:
        found = [
            seed for seed in pool.imap(check, seeds, chunksize=100)
            if seed is not None
        ]
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"{options.count} scripts on {version}: {len(found)} differ "
          f"{found[:20]}")
    if found:
        print(show(shrink(generate(found[0]))))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
