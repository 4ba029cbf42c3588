"""asyncpg against PostgreSQL."""

import asyncio
import io

import asyncpg
import pytest
from support import tls


def with_connection(run, postgres_server, test, **options):
    async def main():
        options.setdefault("ssl", False)
        connection = await asyncpg.connect(postgres_server.url(), **options)
        try:
            return await test(connection)
        finally:
            await connection.close()

    return run(main())


def test_types_come_back_as_they_went(run, postgres_server):
    values = [1, "text \u20ac", 2.5, None, b"\0\xff", [1, 2, 3], True]

    async def test(connection):
        return list(await connection.fetchrow(
            "select $1::int, $2::text, $3::float8, $4::int, $5::bytea,"
            " $6::int[], $7::bool", *values,
        ))

    assert with_connection(run, postgres_server, test) == values


def test_a_pool_serves_many_at_once(run, postgres_server):
    async def query(pool, number):
        async with pool.acquire() as connection:
            return await connection.fetchval("select $1::int * 2", number)

    async def main():
        async with asyncpg.create_pool(
            postgres_server.url(), min_size=2, max_size=8, ssl=False
        ) as pool:
            answers = await asyncio.gather(*(
                query(pool, number) for number in range(500)
            ))
            return answers, pool.get_size()

    answers, size = run(main())
    assert answers == [number * 2 for number in range(500)]
    assert 2 <= size <= 8


def test_a_pool_waits_when_it_is_used_up(run, postgres_server):
    async def main():
        async with asyncpg.create_pool(
            postgres_server.url(), min_size=1, max_size=1, ssl=False
        ) as pool:
            async with pool.acquire():
                with pytest.raises(asyncio.TimeoutError):
                    await pool.acquire(timeout=0.05)
            return await pool.fetchval("select 7")

    assert run(main()) == 7


def test_transactions(run, postgres_server):
    async def test(connection):
        await connection.execute("create temp table numbers (number int)")
        async with connection.transaction():
            await connection.execute("insert into numbers values (1)")
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await connection.execute("insert into numbers values (2)")
                raise ZeroDivisionError
        async with connection.transaction():
            await connection.execute("insert into numbers values (3)")
            with pytest.raises(asyncpg.PostgresSyntaxError):
                async with connection.transaction():
                    await connection.execute("insert into numbers values (4)")
                    await connection.execute("nonsense")
        return await connection.fetch("select number from numbers order by 1")

    rows = with_connection(run, postgres_server, test)
    assert [row["number"] for row in rows] == [1, 3]


def test_a_cursor_is_iterated(run, postgres_server):
    async def test(connection):
        async with connection.transaction():
            return [
                row[0] async for row in connection.cursor(
                    "select generate_series(1, 5000)", prefetch=100
                )
            ]

    assert with_connection(run, postgres_server, test) == list(range(1, 5001))


def test_listen_and_notify(run, postgres_server):
    async def test(connection):
        got = asyncio.Queue()
        await connection.add_listener(
            "channel", lambda *arguments: got.put_nowait(arguments[3])
        )
        sender = await asyncpg.connect(postgres_server.url(), ssl=False)
        for number in range(100):
            await sender.execute(
                "select pg_notify('channel', $1)", f"note {number}"
            )
        await sender.close()
        notes = [await asyncio.wait_for(got.get(), 20) for _ in range(100)]
        await connection.reset()
        return notes

    assert with_connection(run, postgres_server, test) == [
        f"note {number}" for number in range(100)
    ]


def test_copy_in_and_out(run, postgres_server):
    records = [(number, f"line {number}") for number in range(20_000)]

    async def test(connection):
        await connection.execute("create temp table t (id int, line text)")
        await connection.copy_records_to_table("t", records=records)
        output = io.BytesIO()
        await connection.copy_from_table("t", output=output, format="csv")
        return output.getvalue()

    assert with_connection(run, postgres_server, test) == b"".join(
        b"%d,%s\n" % (number, line.encode()) for number, line in records
    )


def test_a_running_query_is_cancelled(run, postgres_server):
    async def test(connection):
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetch("select pg_sleep(60)", timeout=0.1)
        task = asyncio.create_task(connection.fetch("select pg_sleep(60)"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The server let go of it: the connection is good for more.
        return await connection.fetchval("select 5")

    assert with_connection(run, postgres_server, test) == 5


def test_tls(run, postgres_server):
    async def test(connection):
        await connection.execute("create temp table t (data bytea)")
        data = bytes(range(256)) * 20_000
        await connection.execute("insert into t values ($1)", data)
        assert await connection.fetchval("select data from t") == data
        return await connection.fetchval(
            "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        )

    assert with_connection(
        run, postgres_server, test, host="localhost",
        port=postgres_server.port, ssl=tls.client_context()
    ) is True


def test_a_server_that_ends_the_connection(run, postgres_server):
    async def test(connection):
        other = await asyncpg.connect(postgres_server.url(), ssl=False)
        pid = other.get_server_pid()
        waiting = asyncio.create_task(other.fetch("select pg_sleep(60)"))
        await asyncio.sleep(0.05)
        await connection.execute("select pg_terminate_backend($1)", pid)
        with pytest.raises(asyncpg.PostgresError):
            await waiting
        return other.is_closed()

    assert with_connection(run, postgres_server, test) is True
