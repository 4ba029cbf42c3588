"""redis.asyncio against a Redis server."""

import asyncio

import pytest
import redis.asyncio as redis


@pytest.fixture
def on_client(run, redis_server):
    """Runs test(client), on an empty database."""

    def on_client(test, **options):
        async def main():
            options.setdefault("port", redis_server.port)
            if "ssl" in options:
                del options["ssl"]
                options["connection_class"] = redis.SSLConnection
            # Waits for a connection where the plain pool would raise.
            pool = redis.BlockingConnectionPool(
                decode_responses=True, max_connections=20, **options
            )
            client = redis.Redis.from_pool(pool)
            async with client:
                await client.flushall()
                return await test(client)

        return run(main())

    return on_client


def test_many_commands_at_once(on_client):
    async def test(client):
        await asyncio.gather(*(
            client.set(f"key {number}", number) for number in range(300)
        ))
        return await asyncio.gather(*(
            client.get(f"key {number}") for number in range(300)
        ))

    assert on_client(test) == [str(number) for number in range(300)]


def test_a_large_value(on_client):
    value = "0123456789" * 500_000

    async def test(client):
        await client.set("large", value)
        return await client.get("large")

    assert on_client(test) == value


def test_a_pipeline(on_client):
    async def test(client):
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.incrby("sum", number)
            return await pipeline.execute()

    assert on_client(test)[-1] == sum(range(1000))


def test_a_watched_transaction(on_client):
    async def test(client):
        await client.set("balance", 1)
        async with client.pipeline() as pipeline:
            await pipeline.watch("balance")
            await client.set("balance", 2)
            pipeline.multi()
            pipeline.set("balance", 3)
            with pytest.raises(redis.WatchError):
                await pipeline.execute()
        return await client.get("balance")

    assert on_client(test) == "2"


def test_publish_and_subscribe(on_client):
    async def test(client):
        async with client.pubsub() as listener:
            await listener.subscribe("news")
            await listener.psubscribe("other.*")

            async def publish():
                for number in range(100):
                    await client.publish("news", number)
                await client.publish("other.end", "end")

            sender = asyncio.create_task(publish())
            got = []
            async for message in listener.listen():
                if message["type"] in ("message", "pmessage"):
                    got.append(message["data"])
                    if got[-1] == "end":
                        break
            await sender
            return got

    assert on_client(test) == [*map(str, range(100)), "end"]


def test_blocking_pops(on_client):
    async def test(client):
        waiting = [
            asyncio.create_task(client.blpop("queue", timeout=20))
            for _ in range(10)
        ]
        await asyncio.sleep(0.05)
        for number in range(10):
            await client.rpush("queue", number)
        got = await asyncio.gather(*waiting)
        assert await client.blpop("queue", timeout=0.05) is None
        return sorted(int(value) for _, value in got)

    assert on_client(test) == list(range(10))


def test_a_blocking_pop_that_is_cancelled(on_client):
    async def test(client):
        task = asyncio.create_task(client.blpop("none", timeout=0))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await client.ping()

    assert on_client(test) is True


def test_a_lock_is_held_by_one(on_client):
    async def test(client):
        inside, most = 0, 0

        async def enter():
            nonlocal inside, most
            async with client.lock("lock", timeout=20, sleep=0.002):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        await asyncio.gather(*(enter() for _ in range(10)))
        return most

    assert on_client(test) == 1


def test_tls(on_client, redis_server):
    value = "x" * 1_000_000

    async def test(client):
        await client.set("secret", value)
        return await client.get("secret")

    assert on_client(
        test, host="localhost", port=redis_server.tls_port, ssl=True,
        ssl_ca_certs=redis_server.cert,
    ) == value


def test_a_connection_that_the_server_ends_is_made_anew(on_client):
    async def test(client):
        other = await client.client()
        await other.ping()
        await client.client_kill_filter(_type="normal", skipme=False)
        async with other:
            return await other.ping()

    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    assert on_client(test, retry=Retry(NoBackoff(), 3)) is True
