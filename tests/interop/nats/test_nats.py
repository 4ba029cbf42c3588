"""nats-py against a NATS server."""

import asyncio

import nats
import nats.errors
import pytest


@pytest.fixture
def on_client(run, nats_server):
    def on_client(test):
        async def main():
            client = await nats.connect(
                f"nats://127.0.0.1:{nats_server.port}",
                allow_reconnect=False, connect_timeout=20,
            )
            try:
                return await test(client)
            finally:
                await client.drain()

        return run(main())

    return on_client


def test_publish_and_subscribe(on_client):
    async def test(client):
        subscription = await client.subscribe("news.*")
        for number in range(500):
            await client.publish(f"news.{number % 3}", b"%d" % number)
        await client.flush()
        return [
            int((await subscription.next_msg(timeout=20)).data)
            for _ in range(500)
        ]

    assert on_client(test) == list(range(500))


def test_requests_at_once(on_client):
    async def test(client):
        async def answer(message):
            await message.respond(message.data[::-1])

        await client.subscribe("reverse", cb=answer)
        replies = await asyncio.gather(*(
            client.request("reverse", b"%03d" % number, timeout=20)
            for number in range(100)
        ))
        return [reply.data for reply in replies]

    assert on_client(test) == [
        (b"%03d" % number)[::-1] for number in range(100)
    ]


def test_a_request_that_nobody_answers(on_client):
    async def test(client):
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("nobody", b"", timeout=20)
        subscription = await client.subscribe("silence")
        with pytest.raises(nats.errors.TimeoutError):
            await subscription.next_msg(timeout=0.05)

    on_client(test)
