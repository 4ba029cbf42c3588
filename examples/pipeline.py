"""A pipeline of processes, fed and read by asyncio.

    python examples/pipeline.py

Shows child processes joined by pipes as in a shell, both ends served at
once, a process that is stopped when it takes too long, and several that run
side by side. Only standard Unix programs are used.
"""

import argparse
import asyncio
import collections
import os
import random

import asyncloop

LINES = 200_000
WORDS = ["loop", "task", "future", "socket", "timer", "signal"]


async def count_words(lines: int) -> list[tuple[int, str]]:
    """What `sort | uniq -c | sort -rn` says of many words."""
    first_read, first_write = os.pipe()
    second_read, second_write = os.pipe()
    pipe = asyncio.subprocess.PIPE
    sort = await asyncio.create_subprocess_exec(
        "sort", stdin=pipe, stdout=first_write
    )
    uniq = await asyncio.create_subprocess_exec(
        "uniq", "-c", stdin=first_read, stdout=second_write
    )
    rank = await asyncio.create_subprocess_exec(
        "sort", "-rn", stdin=second_read, stdout=pipe
    )
    # They are the children's now; the readers wait for their ends.
    for fd in (first_read, first_write, second_read, second_write):
        os.close(fd)
    chosen = random.choices(WORDS, range(1, len(WORDS) + 1), k=lines)

    async def feed() -> None:
        for start in range(0, lines, 1000):
            part = chosen[start:start + 1000]
            sort.stdin.write(("\n".join(part) + "\n").encode())
            await sort.stdin.drain()
        sort.stdin.close()

    _, output = await asyncio.gather(feed(), rank.stdout.read())
    for process in (sort, uniq, rank):
        assert await process.wait() == 0
    table = [line.split() for line in output.decode().splitlines()]
    counted = [(int(count), word) for count, word in table]
    assert collections.Counter(chosen) == {w: c for c, w in counted}
    return counted


async def run_limited(seconds: float, *command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(seconds):
            return f"ended with {await process.wait()}"
    except TimeoutError:
        process.terminate()
        return f"stopped by signal {-await process.wait()}"


async def main() -> None:
    counted = await count_words(LINES)
    print(", ".join(f"{word} {count}" for count, word in counted))
    print("sleep 60, given 0.1 s:", await run_limited(0.1, "sleep", "60"))
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(
        *(run_limited(10, "sleep", "0.2") for _ in range(20))
    )
    print(f"20 times sleep 0.2 at once: {loop.time() - start:.1f} s")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncloop.run(main())
