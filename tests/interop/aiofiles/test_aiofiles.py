"""Files are read and written by threads, many at once."""

import asyncio

import aiofiles
import aiofiles.os
import aiofiles.tempfile

COUNT = 200
SIZE = 20_000


def test_concurrent_writes_and_reads(run, tmp_path):
    async def write(number):
        async with aiofiles.open(tmp_path / str(number), "wb") as file:
            for _ in range(4):
                await file.write(bytes([number]) * (SIZE // 4))

    async def read(number):
        async with aiofiles.open(tmp_path / str(number), "rb") as file:
            return await file.read()

    async def main():
        await asyncio.gather(*map(write, range(COUNT)))
        return await asyncio.gather(*map(read, range(COUNT)))

    assert run(main()) == [bytes([number]) * SIZE for number in range(COUNT)]


def test_lines_are_iterated(run, tmp_path):
    path = tmp_path / "lines"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))

    async def main():
        async with aiofiles.open(path) as file:
            return [line async for line in file]

    assert run(main()) == path.read_text().splitlines(keepends=True)


def test_the_functions_of_os(run, tmp_path):
    async def main():
        path = tmp_path / "folder"
        await aiofiles.os.makedirs(path)
        async with aiofiles.open(path / "file", "w") as file:
            await file.write("text")
        await aiofiles.os.rename(path / "file", path / "renamed")
        names = await aiofiles.os.listdir(path)
        status = await aiofiles.os.stat(path / "renamed")
        await aiofiles.os.remove(path / "renamed")
        return names, status.st_size, await aiofiles.os.listdir(path)

    assert run(main()) == (["renamed"], 4, [])


def test_a_temporary_file(run):
    async def main():
        async with aiofiles.tempfile.TemporaryFile("w+") as file:
            await file.write("kept")
            await file.seek(0)
            return await file.read()

    assert run(main()) == "kept"


def test_an_error_of_the_file_system_is_raised(run, tmp_path):
    async def main():
        try:
            async with aiofiles.open(tmp_path / "none"):
                pass
        except FileNotFoundError as error:
            return error.errno

    assert run(main()) == 2
