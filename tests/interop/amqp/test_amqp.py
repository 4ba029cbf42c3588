"""aio-pika against RabbitMQ."""

import asyncio

import aio_pika
import pytest


@pytest.fixture
def on_channel(run, rabbitmq_server):
    def on_channel(test):
        async def main():
            connection = await aio_pika.connect_robust(
                f"amqp://guest:guest@127.0.0.1:{rabbitmq_server.port}/"
            )
            async with connection:
                return await test(await connection.channel())

        return run(main())

    return on_channel


def test_messages_are_delivered_and_acknowledged(on_channel):
    async def test(channel):
        await channel.set_qos(prefetch_count=10)
        queue = await channel.declare_queue(exclusive=True)
        for number in range(200):
            await channel.default_exchange.publish(
                aio_pika.Message(b"%d" % number), queue.name
            )
        got = []
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    got.append(int(message.body))
                if len(got) == 200:
                    break
        return got

    assert on_channel(test) == list(range(200))


def test_a_call_over_queues(on_channel):
    async def test(channel):
        requests = await channel.declare_queue(exclusive=True)
        replies = await channel.declare_queue(exclusive=True)

        async def serve(message):
            async with message.process():
                await channel.default_exchange.publish(
                    aio_pika.Message(
                        message.body.upper(),
                        correlation_id=message.correlation_id,
                    ),
                    message.reply_to,
                )

        await requests.consume(serve)
        await channel.default_exchange.publish(
            aio_pika.Message(
                b"hello", reply_to=replies.name, correlation_id="1"
            ),
            requests.name,
        )
        async with replies.iterator(timeout=20) as messages:
            async for message in messages:
                await message.ack()
                return message.body, message.correlation_id

    assert on_channel(test) == (b"HELLO", "1")


def test_a_large_message(on_channel):
    body = b"z" * 5_000_000

    async def test(channel):
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(
            aio_pika.Message(body), queue.name
        )
        message = await asyncio.wait_for(queue.get(timeout=20), 20)
        await message.ack()
        return message.body

    assert on_channel(test) == body
