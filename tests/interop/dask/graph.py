"""A client of Dask: a graph over four workers, all on one kind of loop.

    python -m interop.dask.graph ADDRESS WORKERS [CERTIFICATE KEY]
"""

import asyncio
import sys

from distributed import Client, Security


def loop_of_worker(dask_worker):
    """The package of the loop that the worker runs on."""
    loop = dask_worker.loop.asyncio_loop
    return type(loop).__module__.partition(".")[0]


def square(number):
    return number * number


async def main(address, workers, cert=None, key=None):
    security = cert and Security(
        tls_ca_file=cert, tls_client_cert=cert, tls_client_key=key,
        require_encryption=True,
    )
    async with Client(
        address, asynchronous=True, security=security, timeout=60
    ) as client:
        await client.wait_for_workers(int(workers), timeout=60)
        loops = await client.run(loop_of_worker)
        scheduler = await client.run_on_scheduler(
            lambda dask_scheduler: loop_of_worker(dask_scheduler)
        )
        squares = client.map(square, range(200))
        groups = [
            client.submit(sum, squares[start:start + 20])
            for start in range(0, 200, 20)
        ]
        total = await client.submit(sum, groups)
        large = await client.scatter(b"x" * 5_000_000, broadcast=True)
        length = await client.submit(len, large)
        who = await client.who_has(squares)
    used = {worker for places in who.values() for worker in places}
    ours = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    print("graph:", total, length, len(used), ours, scheduler,
          *sorted(set(loops.values())), len(loops))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
