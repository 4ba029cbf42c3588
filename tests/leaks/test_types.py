"""Nothing of a type is left when its objects are gone."""

import asyncio
import gc
import inspect
import socket
import sys
import weakref

import pytest

from support import loops
from support.loops import run_turns


def count_after(kind, work, rounds=1000):
    """The reference counts of all types of the core, before and after."""
    types = core_types()
    work()
    gc.collect()
    before = [sys.getrefcount(t) for t in types]
    for _ in range(rounds):
        work()
    gc.collect()
    after = [sys.getrefcount(t) for t in types]
    return {
        t.__name__: (b, a) for t, b, a in zip(types, before, after)
        # A few may be kept in free lists; a leak grows with the rounds.
        if a - b > rounds // 10
    }


def core_types():
    from asyncloop import _core
    return [t for t in vars(_core).values() if inspect.isclass(t)]


NATIVE = pytest.mark.native_only(reason="counts the types of our extension")


@NATIVE
def test_the_extension_has_types_to_look_at():
    assert core_types()


@NATIVE
def test_loops_leave_no_reference_to_their_types(kind):
    grown = count_after(kind, lambda: loops.new(kind).close(), 200)
    assert grown == {}


@NATIVE
@pytest.mark.parametrize("name", ["call_soon", "call_later", "call_at",
                                  "call_soon_threadsafe"])
def test_handles_leave_no_reference_to_their_types(loop, kind, name):
    method = getattr(loop, name)
    delay = (0,) if name in ("call_later", "call_at") else ()

    def work():
        method(*delay, int)
        method(*delay, int, 1, 2, 3, 4, 5).cancel()
        kept = method(*delay, int)
        kept._args, kept._callback, repr(kept)
        run_turns(loop, 2)

    assert count_after(kind, work) == {}


@NATIVE
def test_futures_and_tasks_leave_no_reference_to_their_types(loop, kind):
    async def child():
        await asyncio.sleep(0)

    async def main():
        await asyncio.gather(child(), child())
        task = asyncio.create_task(child())
        task.cancel()
        await asyncio.wait([task])

    assert count_after(kind, lambda: loop.run_until_complete(main()),
                       300) == {}


@NATIVE
def test_readers_leave_no_reference_to_their_types(loop, kind):
    ours, theirs = socket.socketpair()

    def work():
        loop.add_reader(ours, int)
        loop.add_writer(ours, int)
        run_turns(loop)
        loop.remove_reader(ours)
        loop.remove_writer(ours)

    with ours, theirs:
        assert count_after(kind, work) == {}


@NATIVE
def test_connections_leave_no_reference_to_their_types(loop, kind):
    from support.net import Recorder, pair

    async def main():
        protocol = Recorder(loop)
        server = await loop.create_server(
            lambda: protocol, "127.0.0.1", 0
        )
        transport, _ = await loop.create_connection(
            asyncio.Protocol, *server.sockets[0].getsockname()
        )
        transport.write(b"x")
        transport.close()
        await protocol.lost
        server.close()
        ours, peer = pair("unix")
        transport, _ = await loop.create_connection(
            asyncio.Protocol, sock=ours
        )
        transport.write(bytes(1 << 20))
        transport.abort()
        peer.close()
        await asyncio.sleep(0)

    assert count_after(kind, lambda: loop.run_until_complete(main()),
                       300) == {}


class Token:
    """Something whose death a weak reference can see."""


def ignore(*args):
    pass


WAYS = {
    "call_soon": lambda loop, f: loop.call_soon(f),
    "call_soon args": lambda loop, f: loop.call_soon(ignore, f, 1, 2, 3, 4),
    "call_soon cancelled": lambda loop, f: loop.call_soon(f).cancel(),
    "call_later": lambda loop, f: loop.call_later(0, f),
    "call_later pending": lambda loop, f: loop.call_later(1000, f),
    "call_later cancelled": lambda loop, f: loop.call_later(9, f).cancel(),
    "call_soon_threadsafe": lambda loop, f: loop.call_soon_threadsafe(f),
    "done callback": lambda loop, f: loop.create_future().add_done_callback(
        f),
    "exception handler": lambda loop, f: loop.set_exception_handler(f),
    "task factory": lambda loop, f: loop.set_task_factory(f),
    "attribute": lambda loop, f: setattr(loop, "attribute", f),
    "instance method": lambda loop, f: setattr(loop, "call_exception_handler",
                                               f),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("run", [True, False], ids=["run", "not run"])
def test_a_closed_loop_keeps_nothing_alive(kind, way, run):
    token = Token()
    dead = weakref.ref(token)
    loop = loops.new(kind)
    WAYS[way](loop, lambda *_, own=token: None)
    del token
    if run:
        run_turns(loop, 3)
    loop.close()
    del loop
    gc.collect()
    assert dead() is None


def test_a_thousand_loops_leave_no_descriptor(kind):
    from support.leakcheck import open_fds

    before = open_fds()
    for _ in range(1000 if kind != "asyncio" else 200):
        loop = loops.new(kind)
        loop.call_later(1000, print)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    assert open_fds() == before


BLOCKS = {
    "call_soon": """
        for _ in range(200):
            loop.call_soon(int)
        loop.call_soon(loop.stop)
        loop.run_forever()
    """,
    "timers": """
        for n in range(200):
            loop.call_later(0, int)
            loop.call_later(1000, int, n, 2, 3, 4, 5).cancel()
        loop.call_later(0, loop.stop)
        loop.run_forever()
    """,
    "tasks": """
        async def child():
            await asyncio.sleep(0)
        async def main():
            await asyncio.gather(*(child() for _ in range(50)))
        loop.run_until_complete(main())
    """,
    "exceptions": """
        def fail(*_):
            raise ValueError
        loop.set_exception_handler(fail)
        import logging
        logging.disable()
        for _ in range(50):
            loop.call_soon(fail)
        loop.call_soon(loop.stop)
        loop.run_forever()
    """,
    "loops": """
        for _ in range(20):
            other = new_loop()
            other.call_later(5, int)
            other.run_until_complete(asyncio.sleep(0))
            other.close()
    """,
    "interrupted runs": """
        def fail():
            raise KeyboardInterrupt
        for _ in range(50):
            loop.call_soon(fail)
            try:
                loop.run_forever()
            except KeyboardInterrupt:
                pass
    """,
    "threads": """
        def work():
            for _ in range(200):
                loop.call_soon_threadsafe(int)
            loop.call_soon_threadsafe(loop.stop)
        thread = threading.Thread(target=work)
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
    """,
    "bad input": """
        for thing in (None, -1, "x", 1e400, float("nan"), print):
            for name in ("call_later", "add_reader", "call_soon",
                         "remove_writer", "set_task_factory", "create_task",
                         "run_until_complete", "set_exception_handler",
                         "add_signal_handler"):
                try:
                    handle = getattr(loop, name)(thing, thing)
                    handle.cancel()
                except (TypeError, ValueError, AttributeError, OSError,
                        RuntimeError):
                    pass
        loop.set_exception_handler(None)
        loop.call_soon(loop.stop)
        loop.run_forever()
    """,
}


@pytest.mark.parametrize("what", BLOCKS)
def test_the_number_of_memory_blocks_stays_flat(child, what):
    import textwrap

    body = textwrap.indent(textwrap.dedent(BLOCKS[what]), "    ")
    out = child.succeed(f"""
loop = new_loop()
def work():
{body}
def measure(rounds):
    for _ in range(rounds):
        work()
    gc.collect()
    return sys.getallocatedblocks()
measure(20)
# The smallest growth of three: caches elsewhere may still fill up.
blocks = [measure(200) for _ in range(4)]
print(min(b - a for a, b in zip(blocks, blocks[1:])))
loop.close()
""")
    # A leak of one block in each round would make two hundred.
    assert int(out) < 150
