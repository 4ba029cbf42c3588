"""Names and addresses: addresses that are literal, and one from a file."""

from __future__ import annotations

import socket

from registry import Goal, Loop, timed

MANY = 100


@timed("getaddrinfo of a literal, bare", Goal("uvloop", 10), ops=MANY)
def resolve_literal(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n * MANY):
            await loop.getaddrinfo("127.0.0.1", 80)

    loop.run_until_complete(main())


@timed(
    "getaddrinfo of a literal, type=SOCK_STREAM",
    Goal("uvloop", 1.8),
    ops=MANY,
)
def resolve_literal_typed(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n * MANY):
            await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    loop.run_until_complete(main())


@timed("getaddrinfo('localhost')", Goal("uvloop", 1.5), threads=True)
def resolve_localhost(loop: Loop, n: int) -> None:
    async def main() -> None:
        for _ in range(n):
            await loop.getaddrinfo("localhost", 80)

    loop.run_until_complete(main())
