"""psycopg 3 against PostgreSQL: all its waiting is add_reader and kin."""

import asyncio

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool


def with_connection(run, postgres_server, test, **options):
    async def main():
        async with await psycopg.AsyncConnection.connect(
            postgres_server.url(), autocommit=True, **options
        ) as connection:
            return await test(connection)

    return run(main())


def test_a_pool_serves_many_at_once(run, postgres_server):
    async def query(pool, number):
        async with pool.connection() as connection:
            cursor = await connection.execute("select %s::int * 2", [number])
            return (await cursor.fetchone())[0]

    async def main():
        async with AsyncConnectionPool(
            postgres_server.url(), min_size=2, max_size=6
        ) as pool:
            return await asyncio.gather(*(
                query(pool, number) for number in range(300)
            ))

    assert run(main()) == [number * 2 for number in range(300)]


def test_a_pipeline(run, postgres_server):
    async def test(connection):
        async with connection.pipeline():
            cursors = [
                await connection.execute("select %s::int + 1", [number])
                for number in range(200)
            ]
            return [(await cursor.fetchone())[0] for cursor in cursors]

    assert with_connection(run, postgres_server, test) == list(range(1, 201))


def test_notifies(run, postgres_server):
    async def send():
        async with await psycopg.AsyncConnection.connect(
            postgres_server.url(), autocommit=True
        ) as connection:
            for number in range(50):
                await connection.execute(
                    "select pg_notify('notes', %s)", [str(number)]
                )

    async def test(connection):
        await connection.execute("listen notes")
        sender = asyncio.create_task(send())
        got = []
        async for note in connection.notifies(timeout=20):
            got.append(int(note.payload))
            if len(got) == 50:
                break
        await sender
        return got

    assert with_connection(run, postgres_server, test) == list(range(50))


def test_transactions(run, postgres_server):
    async def test(connection):
        await connection.execute("create temp table t (number int)")
        async with connection.transaction():
            await connection.execute("insert into t values (1)")
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await connection.execute("insert into t values (2)")
                raise ZeroDivisionError
        cursor = await connection.execute("select number from t")
        return await cursor.fetchall()

    assert with_connection(run, postgres_server, test) == [(1,)]


def test_copy_in_and_out(run, postgres_server):
    lines = [(number, f"line {number}") for number in range(10_000)]

    async def test(connection):
        await connection.execute("create temp table t (id int, line text)")
        cursor = connection.cursor()
        async with cursor.copy("copy t from stdin") as copy:
            for line in lines:
                await copy.write_row(line)
        async with cursor.copy("copy t to stdout") as copy:
            copy.set_types(["int4", "text"])
            return [row async for row in copy.rows()]

    assert with_connection(run, postgres_server, test) == lines


def test_a_running_query_is_cancelled(run, postgres_server):
    async def test(connection):
        task = asyncio.create_task(connection.execute("select pg_sleep(60)"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cursor = await connection.execute("select 5")
        return await cursor.fetchone()

    assert with_connection(run, postgres_server, test) == (5,)


def test_tls(run, postgres_server):
    async def test(connection):
        cursor = await connection.execute(
            "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        )
        return await cursor.fetchone()

    assert with_connection(
        run, postgres_server, test, host="localhost", sslmode="verify-full",
        sslrootcert=postgres_server.cert,
    ) == (True,)


def test_rows_are_streamed(run, postgres_server):
    async def test(connection):
        cursor = connection.cursor()
        return [
            row[0] async for row in cursor.stream(
                "select generate_series(1, 3000)"
            )
        ]

    assert with_connection(run, postgres_server, test) == list(range(1, 3001))
