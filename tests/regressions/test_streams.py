"""Bugs of streams."""

import asyncio

from support.net import finish, in_loop, settle, streams


@in_loop
async def test_a_drain_that_waits_makes_nothing_of_memory_used_before(loop):
    """What asyncio's drain() was called with came from an operation's unused
    argument, which is not cleared."""
    reader, writer, peer = await streams()
    await writer.drain()
    writer._protocol.pause_writing()
    for size in range(64, 512, 16):
        junk = [b"\xff" * size for _ in range(100)]
        del junk
    tasks = [asyncio.create_task(writer.drain()) for _ in range(300)]
    await settle()
    assert not any(task.done() for task in tasks)
    writer._protocol.resume_writing()
    await asyncio.gather(*tasks)
    await finish(writer, peer)
