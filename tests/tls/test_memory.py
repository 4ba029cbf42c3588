"""Connections come and go; nothing of them stays."""

import asyncio
import gc
import sys

import pytest

from support.net import Recorder, in_loop, pair, settle
from support.tls import NAME, client_context, server_context

ROUNDS = 40
#: Blocks that the interpreter may come to keep for itself.
SLACK = 60


async def connected(loop, contexts):
    one, two = pair()
    one.setblocking(False)
    server, client = contexts
    accepted, opened = await asyncio.gather(
        loop.connect_accepted_socket(
            lambda: Recorder(loop), one, ssl=server
        ),
        loop.create_connection(
            lambda: Recorder(loop), sock=two, ssl=client,
            server_hostname=NAME,
        ),
    )
    return accepted, opened


async def exchanged(loop, contexts):
    accepted, opened = await connected(loop, contexts)
    opened[0].write(b"x" * 100_000)
    while len(accepted[1].data) < 100_000:
        await asyncio.sleep(0)
    opened[0].close()
    await opened[1].lost
    await accepted[1].lost


async def aborted(loop, contexts):
    for transport, protocol in await connected(loop, contexts):
        transport.abort()
        await protocol.lost


async def stalled(loop, contexts):
    one, two = pair()
    one.setblocking(False)
    with pytest.raises(ConnectionAbortedError):
        await loop.connect_accepted_socket(
            lambda: Recorder(loop), one, ssl=contexts[0],
            ssl_handshake_timeout=0.001,
        )
    two.close()


async def spoiled(loop, contexts):
    one, two = pair()
    one.setblocking(False)
    two.send(b"\x16\x03\x01\x00\x05hello")
    with pytest.raises(OSError):
        await loop.connect_accepted_socket(
            lambda: Recorder(loop), one, ssl=contexts[0]
        )
    two.close()


@pytest.mark.parametrize("cycle", [exchanged, aborted, stalled, spoiled])
@in_loop
async def test_nothing_stays_of_a_connection(loop, cycle):
    contexts = server_context(), client_context()

    async def rounds():
        for _ in range(ROUNDS):
            await cycle(loop, contexts)
        await settle()
        gc.collect()
        return sys.getallocatedblocks()

    await rounds()
    before = await rounds()
    assert await rounds() - before < SLACK
