"""One service, several processes: the kernel shares out the connections.

    python examples/distributed.py

Shows SO_REUSEPORT: each worker process has a loop and a listening socket of
its own on the same port, so that all cores serve; an orderly end on SIGTERM;
and a map over the workers whose parts run in parallel.
"""

import argparse
import asyncio
import collections
import multiprocessing
import os
import signal
import socket

import asyncloop

WORKERS = 3
REQUESTS = 120


def is_prime(number: int) -> bool:
    return number > 1 and all(
        number % d for d in range(2, int(number ** 0.5) + 1)
    )


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One question a connection: how many primes are in this range?"""
    first, last = map(int, (await reader.readline()).split())
    count = sum(map(is_prime, range(first, last)))
    writer.write(b"%d %d\n" % (os.getpid(), count))
    writer.close()


async def serve(port: int, ready: object) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(
        answer, "127.0.0.1", port, reuse_port=True
    )
    async with server:
        ready.release()
        await stop.wait()


def work(port: int, ready: object) -> None:
    """The body of a worker process."""
    asyncloop.run(serve(port, ready))


async def ask(port: int, first: int, last: int) -> tuple[int, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"%d %d\n" % (first, last))
    pid, count = map(int, (await reader.readline()).split())
    writer.close()
    return pid, count


async def count_primes(port: int) -> None:
    answers = await asyncio.gather(
        *(ask(port, n * 500, (n + 1) * 500) for n in range(REQUESTS))
    )
    shares = collections.Counter(pid for pid, _ in answers)
    total = sum(count for _, count in answers)
    print(f"{total} primes below {REQUESTS * 500}; requests by worker:"
          f" {', '.join(str(n) for n in sorted(shares.values()))}")


def main() -> None:
    # Bound, never listening: it keeps the number for the workers.
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        ready = context.Semaphore(0)
        workers = [
            context.Process(target=work, args=(port, ready))
            for _ in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for _ in workers:
            ready.acquire()
        try:
            asyncloop.run(count_primes(port))
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join()
    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    print(f"{WORKERS} workers ended in good order")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    main()
