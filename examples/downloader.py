"""A downloader with a limit on the rate and on what runs at once.

    python examples/downloader.py

Shows a token bucket made of the loop's clock, a semaphore, progress while it
runs, and files written by threads. It downloads from a server of its own, so
that it runs offline.
"""

import argparse
import asyncio
import hashlib
import pathlib
import tempfile

import asyncloop

FILES = 40
SIZE = 64 * 1024
AT_ONCE = 8
RATE = 200  # downloads begun in a second
CONTENT = bytes(range(256)) * (SIZE // 256)


class RateLimit:
    """Lets `rate` callers through in a second, evenly spaced."""

    def __init__(self, rate: float) -> None:
        self.gap = 1 / rate
        self.next = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        self.next = max(self.next + self.gap, now)
        await asyncio.sleep(self.next - now)


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readline()
    for start in range(0, SIZE, 16 * 1024):
        writer.write(CONTENT[start:start + 16 * 1024])
        await writer.drain()
    writer.close()


async def download(name: str, address: tuple, folder: pathlib.Path) -> str:
    """Stores the file; its digest."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(name.encode() + b"\n")
    data = await reader.read()
    writer.close()
    await asyncio.to_thread((folder / name).write_bytes, data)
    return hashlib.sha256(data).hexdigest()


async def main() -> None:
    limit = RateLimit(RATE)
    slots = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()
    running = most = 0

    async def limited(name: str) -> str:
        nonlocal running, most
        async with slots:
            await limit.wait()
            running += 1
            most = max(most, running)
            try:
                return await download(name, address, folder)
            finally:
                running -= 1

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    start = loop.time()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        async with server:
            work = [limited(f"file-{n}") for n in range(FILES)]
            digests = []
            for done in asyncio.as_completed(work):
                digests.append(await done)
                if len(digests) % 10 == 0:
                    print(f"{len(digests)} of {FILES}")
        stored = sum(path.stat().st_size for path in folder.iterdir())
    seconds = loop.time() - start
    assert set(digests) == {hashlib.sha256(CONTENT).hexdigest()}
    assert seconds >= (FILES - 1) / RATE and most <= AT_ONCE
    print(f"{stored // 1024} KiB in {seconds:.2f} s, at most {most} at once,"
          f" never more than {RATE} in a second")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncloop.run(main())
