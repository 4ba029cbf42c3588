"""aiomqtt against mosquitto: paho's socket by add_reader and add_writer."""

import asyncio

import aiomqtt


def test_publish_and_subscribe(run, mosquitto_server):
    port = mosquitto_server.port

    async def listen(ready):
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("room/+/heat", qos=1)
            ready.set()
            got = []
            async for message in client.messages:
                got.append((str(message.topic), message.payload))
                if len(got) == 200:
                    return got

    async def main():
        ready = asyncio.Event()
        listener = asyncio.create_task(listen(ready))
        await ready.wait()
        async with aiomqtt.Client("127.0.0.1", port) as client:
            for number in range(200):
                await client.publish(
                    f"room/{number}/heat", b"%d" % number, qos=1
                )
        return await asyncio.wait_for(listener, 30)

    assert run(main()) == [
        (f"room/{number}/heat", b"%d" % number) for number in range(200)
    ]


def test_a_large_payload(run, mosquitto_server):
    payload = b"w" * 2_000_000

    async def main():
        async with aiomqtt.Client(
            "127.0.0.1", mosquitto_server.port
        ) as client:
            await client.subscribe("large")
            await client.publish("large", payload, qos=1)
            async for message in client.messages:
                return message.payload

    assert run(main()) == payload
