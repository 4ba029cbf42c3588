"""aiomysql and asyncmy against MariaDB.

Both start TLS by closing the transport of a socket that they have copied.
"""

import asyncio

import aiomysql
import asyncmy
import pytest
from support import tls

DRIVERS = {"aiomysql": aiomysql, "asyncmy": asyncmy}


@pytest.fixture(params=DRIVERS)
def driver(request):
    return DRIVERS[request.param]


@pytest.fixture
def on_connection(run, mariadb_server, driver):
    def on_connection(test, **options):
        async def main():
            connection = await driver.connect(
                autocommit=True, **{**mariadb_server.settings(), **options}
            )
            try:
                async with connection.cursor() as cursor:
                    return await test(connection, cursor)
            finally:
                await connection.ensure_closed()

        return run(main())

    return on_connection


def test_a_query(on_connection):
    async def test(connection, cursor):
        await cursor.execute("select %s, %s", (1, "text \u20ac"))
        return await cursor.fetchone()

    assert on_connection(test) == (1, "text \u20ac")


def test_a_pool_serves_many_at_once(run, mariadb_server, driver):
    async def query(pool, number):
        async with pool.acquire() as connection:
            async with connection.cursor() as cursor:
                await cursor.execute("select %s * 2", (number,))
                return (await cursor.fetchone())[0]

    async def main():
        pool = await driver.create_pool(
            minsize=1, maxsize=6, **mariadb_server.settings()
        )
        answers = await asyncio.gather(*(
            query(pool, number) for number in range(300)
        ))
        pool.close()
        await pool.wait_closed()
        return answers

    assert run(main()) == [number * 2 for number in range(300)]


def test_transactions(on_connection):
    async def test(connection, cursor):
        await cursor.execute("create temporary table t (number int)")
        await connection.begin()
        await cursor.execute("insert into t values (1)")
        await connection.commit()
        await connection.begin()
        await cursor.execute("insert into t values (2)")
        await connection.rollback()
        await cursor.execute("select number from t")
        return list(await cursor.fetchall())

    assert on_connection(test) == [(1,)]


def test_many_rows(on_connection):
    rows = [(number, "x" * 100) for number in range(5000)]

    async def test(connection, cursor):
        await cursor.execute("create temporary table t (id int, line text)")
        await cursor.executemany("insert into t values (%s, %s)", rows)
        await cursor.execute("select id, line from t order by id")
        return list(await cursor.fetchall())

    assert on_connection(test) == rows


def test_the_upgrade_to_tls(on_connection):
    async def test(connection, cursor):
        await cursor.execute("show status like 'Ssl_cipher'")
        cipher = (await cursor.fetchone())[1]
        await cursor.execute("select %s", ("y" * 1_000_000,))
        return bool(cipher), len((await cursor.fetchone())[0])

    assert on_connection(
        test, host="localhost", ssl=tls.client_context()
    ) == (True, 1_000_000)


def test_an_error_of_the_server_is_raised(on_connection, driver):
    async def test(connection, cursor):
        errors = driver.errors if driver is asyncmy else driver
        with pytest.raises(errors.ProgrammingError):
            await cursor.execute("nonsense")
        await cursor.execute("select 1")
        return await cursor.fetchone()

    assert on_connection(test) == (1,)


def test_nobody_listens(run, driver):
    from interop.kit.daemons import free_port

    async def main():
        errors = driver.errors if driver is asyncmy else driver
        with pytest.raises(errors.OperationalError):
            await driver.connect(host="127.0.0.1", port=free_port())

    run(main())
