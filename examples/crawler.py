"""A crawler: follow every link of a site, a few pages at a time.

    python examples/crawler.py

Shows tasks that feed one another through a queue, a limit on what happens
at once, a time-out for each page, and retries. The site is made up and
served by this program, so that it runs offline.
"""

import argparse
import asyncio
import re
import time

import asyncloop

PAGES = 200
WORKERS = 20
failures = {7, 77}  # pages that fail once


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """The site: page n links to 2n + 1 and 2n + 2."""
    request = await reader.readuntil(b"\r\n\r\n")
    number = int(request.split()[1].strip(b"/") or 0)
    await asyncio.sleep(0.002)  # a server takes its time
    if number in failures:
        failures.discard(number)
        writer.close()
        return
    links = [n for n in (2 * number + 1, 2 * number + 2) if n < PAGES]
    body = "".join(f'<a href="/{n}">page {n}</a>' for n in links).encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    writer.close()


async def fetch(host: str, port: int, path: str) -> str:
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(b"GET %s HTTP/1.1\r\n\r\n" % path.encode())
            answer = await reader.read()
        finally:
            writer.close()
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        raise ConnectionError(f"{path}: no answer")
    return body.decode()


async def fetch_patiently(host: str, port: int, path: str) -> str:
    for attempt in range(3):
        try:
            return await fetch(host, port, path)
        except (OSError, TimeoutError):
            await asyncio.sleep(0.01 * 2 ** attempt)
    raise ConnectionError(f"{path}: gave up")


async def crawl(host: str, port: int) -> dict[str, int]:
    """The pages that were found, with the number of links of each."""
    found: dict[str, int] = {}
    seen = {"/0"}
    queue: asyncio.Queue[str] = asyncio.Queue()
    queue.put_nowait("/0")

    async def work() -> None:
        while True:
            path = await queue.get()
            try:
                page = await fetch_patiently(host, port, path)
                links = re.findall(r'href="([^"]+)"', page)
                found[path] = len(links)
                for link in links:
                    if link not in seen:
                        seen.add(link)
                        queue.put_nowait(link)
            finally:
                queue.task_done()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(WORKERS)]
        await queue.join()
        for worker in workers:
            worker.cancel()
    return found


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    start = time.perf_counter()
    async with server:
        found = await crawl(*server.sockets[0].getsockname())
    seconds = time.perf_counter() - start
    print(f"{len(found)} pages, {sum(found.values())} links,"
          f" {WORKERS} at a time: {seconds:.2f} s")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncloop.run(main())
