"""Small programs that touch each part of the core, for leaks.py and oom.py.

A scenario is a function of a loop that leaves the loop usable and keeps
nothing. What it runs is checked by the tests, not here.
"""

import asyncio
import contextvars
import functools
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable

Loop = asyncio.AbstractEventLoop
SCENARIOS: dict[str, Callable[[Loop], None]] = {}


def scenario(function: Callable[[Loop], None]) -> Callable[[Loop], None]:
    if function.__name__ in SCENARIOS:
        raise ValueError(f"two scenarios are called {function.__name__}")
    SCENARIOS[function.__name__] = function
    return function


def turn(loop: Loop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def nothing(*_) -> None:
    pass


class Expected(Exception):
    """Raised by callbacks and tasks of the scenarios."""


def fail() -> None:
    raise Expected


@scenario
def empty(loop: Loop) -> None:
    """Only the making, one turn and the closing."""
    turn(loop)


@scenario
def callbacks(loop: Loop) -> None:
    for count in range(8):
        loop.call_soon(nothing, *range(count))
        loop.call_soon_threadsafe(nothing, *range(count))
    turn(loop)


@scenario
def cancelled_handles(loop: Loop) -> None:
    handles = [loop.call_soon(nothing, n, [n]) for n in range(50)]
    for handle in handles[::2]:
        handle.cancel()
    turn(loop)
    for handle in handles:
        handle.cancel()
        repr(handle)


@scenario
def handles_left_in_the_queue(loop: Loop) -> None:
    loop.call_soon(nothing, [])
    loop.call_later(60, nothing, [])
    loop.call_soon_threadsafe(nothing, [])


@scenario
def a_cycle_through_a_handle(loop: Loop) -> None:
    holder: list = []
    holder.append(loop.call_later(60, nothing, holder))
    holder.append(loop.call_soon(nothing, holder))
    holder[0].cancel()
    turn(loop)


@scenario
def weak_references(loop: Loop) -> None:
    handle = loop.call_soon(nothing)
    kept = [weakref.ref(handle), weakref.ref(loop)]
    turn(loop)
    del handle, kept


@scenario
def contexts(loop: Loop) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    loop.call_soon(variable.set, 1)
    context = contextvars.copy_context()
    context.run(variable.set, 2)
    loop.call_soon(variable.get, context=context)
    turn(loop)


@scenario
def timers(loop: Loop) -> None:
    for number in range(40):
        loop.call_later(number / 1e6, nothing, number)
    long = [loop.call_later(3600 + n, nothing, n) for n in range(40)]
    for timer in long[1:]:
        timer.cancel()
    loop.call_later(0.0005, loop.stop)
    loop.run_forever()
    sorted(long)
    hash(long[0])


@scenario
def errors_in_callbacks(loop: Loop) -> None:
    loop.set_exception_handler(nothing)
    loop.call_soon(fail)
    loop.call_later(0, fail)
    turn(loop)
    turn(loop)
    loop.set_exception_handler(None)


@scenario
def an_exit_from_a_callback(loop: Loop) -> None:
    def leave() -> None:
        raise SystemExit

    loop.call_soon(leave)
    loop.call_soon(nothing)
    try:
        loop.run_forever()
    except SystemExit:
        pass
    turn(loop)


# Not lambdas in the scenario: without memory for one, CPython 3.11 to 3.13
# crash, or raise SystemError.
REFUSED = (
    ("call_later", "soon", nothing),
    ("call_later", None, nothing),
    ("call_soon",),
    ("add_reader", -1, nothing),
    ("add_reader", "no descriptor", nothing),
    ("run_until_complete", 1),
    ("set_task_factory", 1),
    ("set_exception_handler", 1),
    ("add_signal_handler", "USR1", nothing),
)


@scenario
def refused_arguments(loop: Loop) -> None:
    for name, *wrong in REFUSED:
        try:
            getattr(loop, name)(*wrong)
        except (TypeError, ValueError, OSError, AttributeError):
            pass
    turn(loop)


@scenario
def futures(loop: Loop) -> None:
    async def wait(future) -> None:
        await future

    for _ in range(10):
        future = loop.create_future()
        loop.call_soon(future.set_result, [])
        loop.run_until_complete(wait(future))
    loop.create_future()
    loop.create_future().cancel()


@scenario
def tasks(loop: Loop) -> None:
    async def small(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main() -> None:
        await asyncio.gather(*map(small, range(20)))
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(small(number), name=f"small {number}")

    loop.run_until_complete(main())


@scenario
def cancelled_tasks(loop: Loop) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError:
            pass

    loop.run_until_complete(main())


@scenario
def failing_tasks(loop: Loop) -> None:
    async def wrong() -> None:
        await asyncio.sleep(0)
        raise Expected

    for _ in range(10):
        try:
            loop.run_until_complete(wrong())
        except Expected:
            pass


@scenario
def queues_and_locks(loop: Loop) -> None:
    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(2)
        lock = asyncio.Lock()

        async def produce() -> None:
            for number in range(20):
                async with lock:
                    await queue.put(number)

        producer = asyncio.create_task(produce())
        for _ in range(20):
            await queue.get()
        await producer

    loop.run_until_complete(main())


@scenario
def async_generators(loop: Loop) -> None:
    async def numbers():
        for number in range(10):
            yield number

    async def main() -> None:
        async for number in numbers():
            if number == 5:
                break

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())


@scenario
def readers_and_writers(loop: Loop) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        for _ in range(5):
            loop.add_reader(left, nothing, [])
            loop.add_writer(left, nothing)
            loop.add_reader(left, left.recv, 100)
            right.send(b"x")
            turn(loop)
            turn(loop)
            loop.remove_reader(left)
            loop.remove_writer(left)
            loop.remove_reader(left)


@scenario
def a_reader_left_at_close(loop: Loop) -> None:
    read, write = os.pipe()
    try:
        loop.add_reader(read, nothing, [])
        loop.add_writer(write, nothing, [])
        turn(loop)
        loop.close()
    finally:
        os.close(read)
        os.close(write)


class Pausing(asyncio.DatagramProtocol):
    """Answers a datagram, and lets the next ones wait."""

    def __init__(self) -> None:
        self.transport = None

    def datagram_received(self, data: bytes, address) -> None:
        self.transport.pause_reading()
        self.transport.sendto(data, address)
        if data == b"fail":
            raise Expected

    def error_received(self, error: Exception) -> None:
        self.transport.sendto(b"", ("127.0.0.1", 0))


@scenario
def datagrams(loop: Loop) -> None:
    loop.set_exception_handler(nothing)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with ours:
            ours.bind(("127.0.0.1", 0))
            ours.setblocking(False)
            protocol = Pausing()
            transport = loop._make_datagram_transport(ours, protocol)
            # Here, for connection_made may be what fails.
            protocol.transport = transport
            for data in (b"one", b"fail", b"two", bytes(3000)):
                peer.sendto(data, ours.getsockname())
            for _ in range(5):
                turn(loop)
                transport.resume_reading()
                for data in (b"six", b"ten", bytearray(b"more"), bytes(70000)):
                    transport.sendto(data, peer.getsockname())
                transport.sendto(b"by name", ("localhost", 9))
            transport.close()
            turn(loop)
            turn(loop)
            protocol.transport = None


@scenario
def socket_operations(loop: Loop) -> None:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)

    async def main() -> None:
        for number in range(4):
            task = loop.create_task(loop.sock_recv(left, 100))
            await asyncio.sleep(0)
            if number == 2:
                task.cancel()
            await loop.sock_sendall(right, b"x")
            await asyncio.wait([task])
            await loop.sock_recv_into(left, bytearray(1)) if (
                task.cancelled()
            ) else None
        try:
            await loop.sock_sendall(left, "text")  # type: ignore[arg-type]
        except TypeError:
            pass
        loop.sock_recv(left, 1).close()

    with left, right:
        loop.run_until_complete(main())


@scenario
def sock_accept_and_connect(loop: Loop) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    listener.setblocking(False)
    client.setblocking(False)

    async def main() -> None:
        accept = loop.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await accept
        server.close()

    with listener, client:
        loop.run_until_complete(main())


@scenario
def signal_handlers(loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGUSR1)
    loop.add_signal_handler(signal.SIGUSR2, nothing, [])


@scenario
def another_thread(loop: Loop) -> None:
    def work() -> None:
        for _ in range(20):
            loop.call_soon_threadsafe(nothing, [])
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=work)
    thread.start()
    loop.run_forever()
    thread.join()


@scenario
def an_executor(loop: Loop) -> None:
    loop.run_until_complete(loop.run_in_executor(None, nothing))
    loop.run_until_complete(loop.shutdown_default_executor())


def drain(listener: socket.socket) -> None:
    """Take in and close who has connected."""
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return


@scenario
def connections(loop: Loop) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    listener.setblocking(False)
    address = listener.getsockname()
    infos = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", each)
        for each in (("127.0.0.1", 1), ("127.0.0.1", 2), address)
    ]

    async def resolve(*args, **options):
        return infos

    async def main() -> None:
        for host, options in (
            (address[0], {}),
            ("some.name", {}),
            ("some.name", {"happy_eyeballs_delay": 0.1}),
            ("some.name", {"local_addr": ("127.0.0.1", 0)}),
        ):
            transport, _ = await loop.create_connection(
                asyncio.Protocol, host, address[1], **options
            )
            transport.abort()
        del infos[2:]
        try:
            await loop.create_connection(asyncio.Protocol, "some.name", 1)
        except OSError:
            pass
        await asyncio.sleep(0)

    loop.getaddrinfo = resolve  # type: ignore[method-assign]
    try:
        loop.run_until_complete(main())
    finally:
        del loop.getaddrinfo  # type: ignore[method-assign]
        turn(loop)
        drain(listener)
        listener.close()


@functools.cache
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's with a certificate, and a client's that asks for none."""
    with tempfile.TemporaryDirectory() as folder:
        key, cert = os.path.join(folder, "k"), os.path.join(folder, "c")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-nodes",
             "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2",
             "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
            check=True, capture_output=True,
        )
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


@scenario
def tls(loop: Loop) -> None:
    """An exchange, TLS within TLS, an abort, a stall and plain text."""
    server_context, client_context = tls_contexts()

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    class Client(asyncio.Protocol):
        def __init__(self):
            self.got = loop.create_future()
            self.lost = loop.create_future()

        def data_received(self, data):
            if not self.got.done():
                self.got.set_result(None)

        def connection_lost(self, error):
            self.lost.set_result(None)

    async def connect(sock, protocol, **options):
        options.setdefault("ssl", client_context)
        return await loop.create_connection(
            lambda: protocol, sock=sock, server_hostname="localhost",
            **options
        )

    async def exchange():
        one, two = socket.socketpair()
        client = Client()
        (transport, _), (other, echo) = await asyncio.gather(
            connect(one, client),
            loop.connect_accepted_socket(Echo, two, ssl=server_context),
        )
        transport.write(b"data")
        await client.got
        transport.get_extra_info("peercert")
        inner = Client()
        up, down = await asyncio.gather(
            loop.start_tls(transport, inner, client_context),
            loop.start_tls(other, echo, server_context, server_side=True),
        )
        echo.transport = down
        up.write(b"data")
        await inner.got
        up.close()
        await inner.lost

    async def ends():
        one, two = socket.socketpair()
        client = Client()
        (transport, _), (other, _) = await asyncio.gather(
            connect(one, client),
            loop.connect_accepted_socket(Echo, two, ssl=server_context),
        )
        transport.abort()
        await client.lost
        for noise in (b"", b"no TLS at all", b"\x16\x03\x01\x02\x00\x01"):
            one, two = socket.socketpair()
            two.send(noise)
            try:
                await connect(one, Client(), ssl_handshake_timeout=0.001)
            except OSError:
                pass
            two.close()
        await asyncio.sleep(0.001)

    for part in (exchange, ends):
        try:
            loop.run_until_complete(part())
        except ConnectionError:
            pass  # the other end had no memory
    loop.run_until_complete(asyncio.sleep(0.001))


@scenario
def streams(loop: Loop) -> None:
    """Lines there and back, a read that is cancelled, one that is too long,
    and a reader that is dropped with something in it."""

    async def handler(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async for line in reader:
                writer.write(line)
                await writer.drain()
        finally:
            writer.close()

    async def talk(ours: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=ours, limit=100)
        try:
            writer.write(b"line\n" * 30)
            await writer.drain()
            for _ in range(30):
                await reader.readline()
            task = loop.create_task(reader.readexactly(5000))
            writer.write(b"x" * 150 + b"\n")
            await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])
            try:
                await reader.readuntil(b";")
            except asyncio.LimitOverrunError:
                pass
            reader._buffer.extend(b"more")
            reader.feed_data(b"x" * 300)
        except ConnectionError:
            pass  # the other end had no memory
        finally:
            writer.transport.abort()

    async def main() -> None:
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        peer.setblocking(False)

        def factory() -> asyncio.StreamReaderProtocol:
            reader = asyncio.StreamReader(loop=loop)
            return asyncio.StreamReaderProtocol(reader, handler, loop=loop)

        transport, _ = await loop.connect_accepted_socket(factory, peer)
        try:
            await talk(ours)
        finally:
            transport.abort()
            for _ in range(4):
                await asyncio.sleep(0)

    loop.run_until_complete(main())
    turn(loop)


@scenario
def an_executor_in_every_way(loop: Loop) -> None:
    """Results, exceptions, functions cancelled before and while they run,
    and a loop that closes before the outcome comes."""
    if type(loop).__module__ == "asyncloop":
        from asyncloop import ThreadPoolExecutor
    else:
        from concurrent.futures import ThreadPoolExecutor

    async def main() -> None:
        release = threading.Event()
        futures = [loop.run_in_executor(pool, nothing, n) for n in range(20)]
        futures.append(loop.run_in_executor(pool, fail))
        futures.append(loop.run_in_executor(pool, release.wait, 10))
        futures += [loop.run_in_executor(pool, nothing, [n]) for n in range(9)]
        for future in futures[-10:-4]:
            future.cancel()
        release.set()
        await asyncio.gather(*futures, return_exceptions=True)
        pool.submit(nothing, 1).result()

    with ThreadPoolExecutor(2) as pool:
        loop.run_until_complete(main())
        loop.run_in_executor(pool, nothing)


@scenario
def names(loop: Loop) -> None:
    """Addresses, a name, what is refused, and look-ups that nobody awaits to
    the end."""

    async def main() -> None:
        await loop.getaddrinfo("127.0.0.1", 80)
        await loop.getaddrinfo("::1", 80, type=socket.SOCK_STREAM)
        await loop.getaddrinfo("127.1", "80")
        await loop.getaddrinfo("localhost", 80)
        await loop.getnameinfo(("127.0.0.1", 80))
        try:
            await loop.getaddrinfo("x", 80, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass
        task = loop.create_task(loop.getaddrinfo("localhost", 80))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        loop.getaddrinfo("localhost", 80).close()

    loop.run_until_complete(main())
    threads = [t for t in threading.enumerate() if "resolver" in t.name]
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    for thread in threads:
        thread.join()


@scenario
def processes(loop: Loop) -> None:
    """One that is talked to, one that is killed, one whose transport is
    closed, and one that cannot be started."""
    pipe = asyncio.subprocess.PIPE

    async def main() -> None:
        cat = await asyncio.create_subprocess_exec(
            "cat", stdin=pipe, stdout=pipe
        )
        await cat.communicate(b"x" * 1000)
        sleeper = await asyncio.create_subprocess_exec("sleep", "60")
        sleeper.kill()
        await sleeper.wait()
        transport, _ = await loop.subprocess_shell(
            asyncio.SubprocessProtocol, "cat", stderr=None
        )
        transport.close()
        await transport._wait()  # type: ignore[attr-defined]
        try:
            await asyncio.create_subprocess_exec("/nobody/has/this")
        except FileNotFoundError:
            pass
        await asyncio.sleep(0)

    loop.run_until_complete(main())


@scenario
def debug_mode(loop: Loop) -> None:
    loop.set_debug(True)
    loop.call_soon(nothing, 1, 2)
    loop.call_later(0, nothing)
    repr(loop.call_soon(nothing))
    turn(loop)
    turn(loop)
    loop.set_debug(False)


@scenario
def attributes_of_a_loop(loop: Loop) -> None:
    loop.own = loop  # type: ignore[attr-defined]
    loop.time = loop.time  # type: ignore[method-assign]
    turn(loop)


@scenario
def metrics(loop: Loop) -> None:
    turn(loop)
    snapshot = getattr(loop, "metrics", dict)()
    repr(snapshot)
