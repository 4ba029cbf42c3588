"""SQLAlchemy's async engines and its ORM, on three drivers."""

import asyncio

import pytest
from sqlalchemy import ForeignKey, func, insert, select, text
from sqlalchemy.ext.asyncio import (
    AsyncAttrs,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
    selectinload,
)


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    books: Mapped[list["Book"]] = relationship(cascade="all")

    __mapper_args__ = {"eager_defaults": True}


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    pages: Mapped[int]


# MariaDB wants to know how long a name may be.
Author.__table__.c.name.type.length = 100


@pytest.fixture(params=["asyncpg", "aiomysql", "aiosqlite"])
def url(request, tmp_path):
    if request.param == "asyncpg":
        server = request.getfixturevalue("postgres_server")
        return server.url("postgresql+asyncpg") + "?ssl=disable"
    if request.param == "aiomysql":
        server = request.getfixturevalue("mariadb_server")
        return server.url("mysql+aiomysql")
    return f"sqlite+aiosqlite:///{tmp_path}/database"


@pytest.fixture
def on_engine(run, url):
    """Runs test(engine) with the tables made."""

    def on_engine(test):
        async def main():
            engine = create_async_engine(url, pool_size=5)
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.drop_all)
                await connection.run_sync(Base.metadata.create_all)
            try:
                return await test(engine)
            finally:
                await engine.dispose()

        return run(main())

    return on_engine


def test_statements_and_a_rollback(on_engine):
    async def test(engine):
        async with engine.begin() as connection:
            await connection.execute(
                insert(Author), [{"name": f"name {n}"} for n in range(100)]
            )
        with pytest.raises(ZeroDivisionError):
            async with engine.begin() as connection:
                await connection.execute(insert(Author), {"name": "none"})
                raise ZeroDivisionError
        async with engine.connect() as connection:
            return await connection.scalar(select(func.count(Author.id)))

    assert on_engine(test) == 100


def test_a_session_of_the_orm(on_engine):
    async def test(engine):
        session_of = async_sessionmaker(engine, expire_on_commit=False)
        async with session_of() as session, session.begin():
            session.add(Author(name="one", books=[
                Book(pages=number) for number in (10, 20, 30)
            ]))
        async with session_of() as session:
            author = await session.scalar(
                select(Author).options(selectinload(Author.books))
            )
            author.name = "changed"
            author.books[0].pages = 11
            await session.commit()
        async with session_of() as session:
            author = await session.scalar(select(Author))
            books = await author.awaitable_attrs.books
            return author.name, sorted(book.pages for book in books)

    assert on_engine(test) == ("changed", [11, 20, 30])


def test_rows_are_streamed(on_engine):
    async def test(engine):
        async with engine.begin() as connection:
            await connection.execute(
                insert(Author), [{"name": str(n)} for n in range(1000)]
            )
            result = await connection.stream(
                select(Author.name).order_by(Author.id)
            )
            return [int(row.name) async for row in result]

    assert on_engine(test) == list(range(1000))


def test_sessions_at_the_same_time(on_engine, url):
    if "sqlite" in url:
        tasks = 1  # one writer at a time is what SQLite has
    else:
        tasks = 40

    async def test(engine):
        session_of = async_sessionmaker(engine)

        async def add(number):
            async with session_of() as session, session.begin():
                session.add(Author(name=str(number)))

        await asyncio.gather(*(add(number) for number in range(tasks)))
        async with session_of() as session:
            return await session.scalar(select(func.count(Author.id))), tasks

    count, tasks = on_engine(test)
    assert count == tasks


def test_a_query_that_takes_too_long_is_cancelled(on_engine, url):
    sleep = {
        "postgresql": "select pg_sleep(60)", "mysql": "select sleep(60)",
    }.get(url.partition("+")[0])
    # SQLite has no sleep; a query without an end stands for it.
    sleep = sleep or (
        "with recursive n(i) as (select 1 union all select i + 1 from n "
        "where i < 3000000) select max(i) from n"
    )

    async def test(engine):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                async with engine.connect() as connection:
                    await connection.execute(text(sleep))
        async with engine.connect() as connection:
            return await connection.scalar(text("select 1"))

    assert on_engine(test) == 1
