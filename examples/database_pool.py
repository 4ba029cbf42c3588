"""A pool of database connections, shared by many tasks.

    python examples/database_pool.py

Shows a pool with a limit, a context manager that gives connections back,
transactions, and a blocking library (sqlite3) in threads: each connection
works for one task at a time, the loop never waits.
"""

import argparse
import asyncio
import contextlib
import pathlib
import sqlite3
import tempfile
import time

import asyncloop

CONNECTIONS = 4
TASKS = 30
TRANSFERS = 10
ACCOUNTS = 10


class Pool:
    def __init__(self, path: pathlib.Path, size: int) -> None:
        self.path = path
        self.free: asyncio.Queue[sqlite3.Connection] = asyncio.Queue()
        self.size = size
        self.waited = 0

    def connect(self) -> sqlite3.Connection:
        # One task at a time has it, but not always the same thread.
        connection = sqlite3.connect(
            self.path, timeout=30, check_same_thread=False,
            isolation_level=None,
        )
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"
        )
        return connection

    async def __aenter__(self) -> "Pool":
        for _ in range(self.size):
            self.free.put_nowait(await asyncio.to_thread(self.connect))
        return self

    async def __aexit__(self, *error: object) -> None:
        for _ in range(self.size):
            (await self.free.get()).close()

    @contextlib.asynccontextmanager
    async def connection(self):
        self.waited += self.free.empty()
        connection = await self.free.get()
        try:
            yield connection
        finally:
            self.free.put_nowait(connection)

    async def transaction(self, *statements: tuple) -> None:
        """All of the statements, or none of them."""

        def work() -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in statements:
                    connection.execute(*statement)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

        async with self.connection() as connection:
            await asyncio.to_thread(work)

    async def query(self, *statement: object) -> list:
        async with self.connection() as connection:
            return await asyncio.to_thread(
                lambda: connection.execute(*statement).fetchall()
            )


MOVE = "UPDATE account SET balance = balance + ? WHERE id = ?"


async def transfer(pool: Pool, task: int) -> int:
    """Moves money about; how often that was refused."""
    refused = 0
    for number in range(TRANSFERS):
        giver, taker = (task + number) % ACCOUNTS, (task * 7) % ACCOUNTS
        try:
            await pool.transaction((MOVE, (20, taker)), (MOVE, (-20, giver)))
        except sqlite3.IntegrityError:
            refused += 1
    return refused


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "bank.db")
        async with Pool(path, CONNECTIONS) as pool:
            await pool.transaction(
                ("CREATE TABLE account (id INTEGER PRIMARY KEY,"
                 " balance INTEGER CHECK (balance >= 0))",),
                *(("INSERT INTO account VALUES (?, 100)", (n,))
                  for n in range(ACCOUNTS)),
            )
            start = time.perf_counter()
            refused = await asyncio.gather(
                *(transfer(pool, task) for task in range(TASKS))
            )
            seconds = time.perf_counter() - start
            [[total]] = await pool.query("SELECT sum(balance) FROM account")
    assert total == 100 * ACCOUNTS, "money was lost or made"
    print(f"{TASKS} tasks on {CONNECTIONS} connections: {TASKS * TRANSFERS}"
          f" transfers in {seconds:.2f} s, {sum(refused)} rolled back,"
          f" {pool.waited} waits for a connection, no money lost")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncloop.run(main())
