"""A chat server: what one client says, all others hear.

    python examples/chat.py            30 clients talk, offline, and it ends
    python examples/chat.py --port 8888     serve; try `nc 127.0.0.1 8888`

Shows start_server, a task for each client, and that a slow reader is dropped
and not waited for.
"""

import argparse
import asyncio

import asyncloop

CLIENTS = 30
# Who has this much unread is too slow.
LIMIT = 1024 * 1024


class Chat:
    def __init__(self) -> None:
        self.writers: dict[str, asyncio.StreamWriter] = {}

    def tell(self, line: str, but: str = "") -> None:
        data = line.encode() + b"\n"
        for name, writer in list(self.writers.items()):
            if name == but or writer.is_closing():
                continue
            if writer.transport.get_write_buffer_size() > LIMIT:
                writer.transport.abort()
            else:
                writer.write(data)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"your name?\n")
        name = (await reader.readline()).decode().strip()
        if not name or name in self.writers:
            writer.close()
            return
        self.writers[name] = writer
        self.tell(f"* {name} has come")
        try:
            while line := (await reader.readline()).decode().rstrip():
                self.tell(f"{name}: {line}", but=name)
        except ConnectionError:
            pass
        finally:
            del self.writers[name]
            self.tell(f"* {name} has left")
            writer.close()


async def talk(name: str, address: tuple, ready: asyncio.Barrier) -> int:
    """A client: says one thing, hears what all others say."""
    reader, writer = await asyncio.open_connection(*address)
    await reader.readline()
    writer.write(name.encode() + b"\n")
    while not (await reader.readline()).startswith(f"* {name}".encode()):
        pass
    await ready.wait()
    writer.write(f"hello from {name}\n".encode())
    heard = 0
    while heard < CLIENTS - 1:
        line = await reader.readline()
        heard += b": hello from" in line
    await ready.wait()
    writer.close()
    return heard


async def main(port: int | None) -> None:
    server = await asyncio.start_server(Chat().serve, "127.0.0.1", port or 0)
    address = server.sockets[0].getsockname()
    async with server:
        if port is not None:
            print(f"listening on {address[0]}:{address[1]}; Ctrl-C ends it")
            await server.serve_forever()
        ready = asyncio.Barrier(CLIENTS)
        heard = await asyncio.gather(
            *(talk(f"guest-{n}", address, ready) for n in range(CLIENTS))
        )
    print(f"{CLIENTS} clients said one thing each and heard {sum(heard)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, help="serve on this port")
    try:
        asyncloop.run(main(parser.parse_args().port))
    except KeyboardInterrupt:
        pass
