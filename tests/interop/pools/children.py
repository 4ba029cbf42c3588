"""What the processes of the pools run: importable by a fresh interpreter."""

import asyncio
import os


def square(number):
    return number * number, os.getpid()


def fail(text):
    raise LookupError(text)


def die():
    os._exit(3)


def run_a_loop(kind, number):
    """An echo server and its client on a loop of this process."""
    from support import loops

    async def main():
        async def echo(reader, writer):
            writer.write(await reader.readexactly(4))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname()
            )
            writer.write(b"%4d" % number)
            answer = await reader.readexactly(4)
            writer.close()
            await writer.wait_closed()
        module = type(asyncio.get_running_loop()).__module__
        return int(answer), module.partition(".")[0]

    with asyncio.Runner(loop_factory=lambda: loops.new(kind)) as runner:
        return runner.run(main())


def send_a_loop(kind, number, connection):
    connection.send(run_a_loop(kind, number))
    connection.close()
