"""pymongo's AsyncMongoClient and motor; MongoDB itself is not tested.

nx-27017 has the semantics, on one connection at a time; the responder has
none to speak of, on as many as there are.
"""

import asyncio

import pytest
from interop.kit.daemons import free_port
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError, OperationFailure


@pytest.fixture(params=[AsyncMongoClient, AsyncIOMotorClient])
def client_type(request):
    return request.param


@pytest.fixture
def on_client(run, client_type):
    """Runs test(client, database) on the server of the port."""

    def on_client(port, test, **options):
        async def main():
            client = client_type(
                "127.0.0.1", port, serverSelectionTimeoutMS=20_000, **options
            )
            try:
                return await test(client, client["interop"])
            finally:
                # motor's is no coroutine.
                closing = client.close()
                if closing is not None:
                    await closing

        return run(main())

    return on_client


@pytest.fixture
def nx(programs, tmp_path):
    port = free_port()
    programs.start(
        "-m", "nx_27017.nx_27017", "--db", "memory", "-p", str(port),
        "--log-file", str(tmp_path / "nx.log"), "--pid-file",
        str(tmp_path / "nx.pid"), port=port,
    )
    return port


@pytest.fixture
def responder(programs):
    port = free_port()
    programs.start("-m", "interop.mongo.responder", str(port), port=port)
    return port


def test_documents_on_nx_27017(on_client, nx):
    async def test(client, database):
        books = database["books"]
        await books.insert_many([
            {"_id": number, "shelf": number % 5} for number in range(500)
        ])
        await books.update_many({"shelf": 3}, {"$set": {"read": True}})
        await books.delete_many({"shelf": 4})
        read = await books.count_documents({"read": True})
        cursor = books.find({"_id": {"$gte": 490}}).sort("_id", -1)
        return read, [document["_id"] async for document in cursor]

    assert on_client(nx, test, maxPoolSize=1) == (
        100, [498, 497, 496, 495, 493, 492, 491, 490]
    )


def test_many_tasks_share_one_connection(on_client, nx):
    async def test(client, database):
        books = database["books"]
        await books.insert_many([{"_id": number} for number in range(200)])
        found = await asyncio.gather(*(
            books.find_one({"_id": number}) for number in range(200)
        ))
        return [document["_id"] for document in found]

    assert on_client(nx, test, maxPoolSize=1) == list(range(200))


def test_an_error_of_nx_27017_is_raised(on_client, nx):
    async def test(client, database):
        await database["books"].insert_one({"_id": 1})
        with pytest.raises((BulkWriteError, OperationFailure)):
            await database["books"].insert_many([{"_id": 1}])
        return (await client.admin.command("ping"))["ok"]

    assert on_client(nx, test, maxPoolSize=1) == 1


def test_many_connections_at_once(on_client, responder, client_type):
    async def test(client, database):
        await asyncio.gather(*(
            database.command("sleep", 0.05) for _ in range(40)
        ))
        return (await database.command("load"))["most"]

    most = on_client(responder, test, maxPoolSize=20)
    if client_type is AsyncMongoClient:
        assert most == 20
    else:
        # motor's threads may be fewer.
        assert 5 <= most <= 20


def test_a_pool_that_is_used_at_once(on_client, responder):
    async def test(client, database):
        books = database["books"]
        await asyncio.gather(*(
            books.insert_one({"_id": number, "text": "x" * 1000})
            for number in range(300)
        ))
        found = await asyncio.gather(*(
            books.find_one({"_id": number}) for number in range(300)
        ))
        return [document["_id"] for document in found]

    assert on_client(responder, test) == list(range(300))


def test_a_cursor_fetches_batches(on_client, responder):
    async def test(client, database):
        books = database["books"]
        await books.insert_many([
            {"_id": number, "text": "y" * 2000} for number in range(3000)
        ])
        cursor = books.find({}, batch_size=200)
        return [document["_id"] async for document in cursor]

    assert on_client(responder, test) == list(range(3000))


def test_a_task_that_waits_is_cancelled(on_client, responder, client_type):
    async def test(client, database):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(database.command("sleep", 0.4), 0.05)
        return (await database.command("ping"))["ok"]

    assert on_client(responder, test) == 1
