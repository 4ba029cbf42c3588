"""The ledger of debug builds: each kind is counted when made and freed."""

import asyncio
import gc
import socket

import pytest

import asyncloop

pytestmark = pytest.mark.native_only(reason="asyncio keeps no ledger")

core = asyncloop._core
IS_DEBUG = asyncloop.build_info()["debug"]
in_debug = pytest.mark.skipif(
    not IS_DEBUG, reason="a release build counts nothing"
)


def test_debug_builds_have_it(loop):
    assert hasattr(core, "_ledger") == IS_DEBUG


async def wait(loop):
    """Makes a wake-up, in a native task."""
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future


def make(line, loop):
    """One of a kind, or something that holds it."""
    if line in ("loop", "handle_pool"):
        return asyncloop.new_event_loop()
    if line == "handle":
        return loop.call_soon(print)
    if line == "timer_handle":
        return loop.call_later(1000, print)
    if line == "watch":
        return socket.socketpair()
    loop.set_debug(False)
    return loop.create_task(wait(loop))


def free(line, thing, loop):
    if line in ("loop", "handle_pool"):
        thing.close()
    elif line in ("handle", "timer_handle"):
        thing.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    elif line == "watch":
        loop.add_reader(thing[0], print)
        for end in thing:
            end.close()
        loop.close()
    else:
        loop.run_until_complete(thing)


@in_debug
@pytest.mark.parametrize("line", core._ledger() if IS_DEBUG else ["handle"])
def test_each_kind_is_counted(loop, line):
    if line == "wake" and asyncloop.build_info()["tasks"] != "native":
        pytest.skip("asyncio's own steps leave no wake-up")
    made, freed = core._ledger()[line]
    thing = make(line, loop)
    free(line, thing, loop)
    del thing
    gc.collect()
    now_made, now_freed = core._ledger()[line]
    assert now_made > made
    assert now_made - made == now_freed - freed
