"""Child processes: starting them, seeing their end, talking to them."""

from __future__ import annotations

import asyncio
import statistics
import time

from registry import Goal, Loop, measured, timed

KIB = 1024
MIB = 1024 * KIB
CAT_BYTES = 64 * MIB
CHUNK = 64 * KIB
EXITS = 100
BALLAST = 4096  # MiB


@timed("create_subprocess_exec('/bin/true'), wait", Goal("uvloop", 3.5))
def spawn(loop: Loop, n: int) -> None:
    """CPU of the parent, which is all that the process's clock counts."""

    async def main() -> None:
        for _ in range(n):
            process = await asyncio.create_subprocess_exec("/bin/true")
            await process.wait()

    loop.run_until_complete(main())


def exit_seen(loop: Loop) -> dict[str, float]:
    """From a child's end to the line behind `await process.wait()`.

    The child ends when it is killed; how long the kernel takes for that is in
    the figure of every loop.
    """

    async def main() -> list[float]:
        took = []
        for _ in range(EXITS):
            process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
            waiting = asyncio.ensure_future(process.wait())
            await asyncio.sleep(0.005)
            start = time.monotonic_ns()
            process.kill()
            await waiting
            took.append((time.monotonic_ns() - start) / 1000)
        return took

    took = sorted(loop.run_until_complete(main()))
    return {
        "value": statistics.median(took),
        "p90": took[len(took) * 9 // 10],
        "worst": took[-1],
    }


measured(
    "exit_seen",
    "a child's end is seen, p50",
    "us",
    exit_seen,
    Goal("asyncio", 1),
    figures=("p90", "worst"),
)


@timed("64 MiB through cat, by pipes", Goal("uvloop", 1.3), ops=64)
def cat(loop: Loop, n: int) -> None:
    """One operation is a MiB there and back."""
    chunk = bytes(CHUNK)

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            "/bin/cat",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None

        async def write() -> None:
            for _ in range(CAT_BYTES // CHUNK):
                stdin.write(chunk)
                await stdin.drain()
            stdin.close()

        writing = asyncio.ensure_future(write())
        total = 0
        while data := await stdout.read(MIB):
            total += len(data)
        await writing
        assert await process.wait() == 0 and total == CAT_BYTES

    for _ in range(n):
        loop.run_until_complete(main())


def spawn_large(loop: Loop) -> dict[str, float]:
    """CPU of a spawn of a parent that has 4 GiB resident."""
    ballast = bytearray(BALLAST * MIB)
    ballast[:: 4 * KIB] = b"x" * (len(ballast) // (4 * KIB))
    rounds = []
    for _ in range(5):
        start = time.process_time_ns()
        spawn(loop, 50)
        rounds.append((time.process_time_ns() - start) / 50 / 1000)
    assert ballast
    return {"value": min(rounds)}


measured(
    "spawn_large",
    "spawn of a parent with 4 GiB resident, CPU",
    "us",
    spawn_large,
)
