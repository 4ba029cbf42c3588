"""getaddrinfo and getnameinfo: what they answer, and who waits for whom."""

import asyncio
import itertools
import logging
import socket
import textwrap
import threading
from unittest import mock

import pytest
from tests.support import loops

HOSTS = [
    None, "", b"", "127.0.0.1", b"127.0.0.1", "127.1", "1", "0x7f.1",
    "0177.0.0.1", "127.0.0.01", "127.0.0.1 ", "127.0.0.1 x", "256.0.0.1",
    "0.0.0.0", "255.255.255.255", "::", "::1", b"::1", "0:0::0:1",
    "2001:DB8::00FF", "::ffff:1.2.3.4", "fe80::1%lo", "fe80::1%nothing",
    "::1%1", "127.0.0.1%lo", "localhost", b"localhost", "\uff11.2.3.4",
    "a..b", "x" * 70, "127.0.0.1\0x", "*", bytearray(b"::1"), 5, 1.5,
]
PORTS = [
    None, 0, 80, 65535, 65536, -1, 2**70, "80", b"80", " 80", "", b"",
    "http", b"http", "80x", "no-such-service", "\u0661", "80\0", True, 1.5,
]
HINTS = [
    {},
    {"type": socket.SOCK_STREAM},
    {"type": socket.SOCK_DGRAM},
    {"type": socket.SOCK_RAW},
    {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP},
    {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_UDP},
    {"proto": socket.IPPROTO_UDP},
    {"type": 77},
    {"type": "stream"},
    {"family": socket.AF_INET},
    {"family": socket.AF_INET6, "type": socket.SOCK_STREAM},
    {"family": socket.AF_UNIX},
    {"family": 2**40},
]
FLAGS = [
    0,
    socket.AI_PASSIVE,
    socket.AI_NUMERICHOST,
    socket.AI_NUMERICSERV,
    socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    socket.AI_CANONNAME | socket.AI_NUMERICHOST,
    socket.AI_ADDRCONFIG | socket.AI_NUMERICHOST,
    socket.AI_V4MAPPED | socket.AI_ALL | socket.AI_NUMERICHOST,
    1 << 20,
]


def outcome(call, *args, **kwargs):
    """What a call returns, with the types, or what it raises."""
    try:
        return repr(call(*args, **kwargs))
    except Exception as exc:
        return type(exc), exc.args, getattr(exc, "errno", None), str(exc)


async def awaited(awaitable):
    try:
        return repr(await awaitable)
    except Exception as exc:
        return type(exc), exc.args, getattr(exc, "errno", None), str(exc)


def test_answers_are_those_of_the_socket_module(loop, shut):
    async def main():
        differ = []
        sweep = itertools.product(HOSTS, PORTS, HINTS)
        for number, (host, port, hints) in enumerate(sweep):
            # Each combination with one of the flags.
            options = dict(hints, flags=FLAGS[number % len(FLAGS)])
            ours = await awaited(loop.getaddrinfo(host, port, **options))
            theirs = outcome(socket.getaddrinfo, host, port, **options)
            if ours != theirs:
                differ.append((host, port, options, ours, theirs))
        return number + 1, differ

    count, differ = loop.run_until_complete(main())
    assert count > 5000
    assert differ == []


def test_literals_with_each_flag_are_those_of_the_socket_module(loop, shut):
    quick = socket.AI_ADDRCONFIG | socket.AI_V4MAPPED | socket.AI_ALL

    async def main():
        for host, port, hints, flags in itertools.product(
            ["127.0.0.1", "::1", "127.1", "fe80::1%lo", None],
            [None, 0, 80, "80", b""],
            HINTS,
            [*FLAGS, quick, socket.AI_CANONNAME],
        ):
            options = dict(hints, flags=flags)
            ours = await awaited(loop.getaddrinfo(host, port, **options))
            assert ours == outcome(socket.getaddrinfo, host, port, **options)

    loop.run_until_complete(main())


def test_names_of_addresses_are_those_of_the_socket_module(loop, shut):
    both = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    addresses = [
        ("127.0.0.1", 80), ("::1", 80), ("::1", 80, 0, 0),
        ("fe80::1", 80, 0, 1), ("127.0.0.1", 70000), ("127.0.0.1", -1),
        ("localhost", 80), ("x", 80), ("127.0.0.1",), (1, 2), "x", None,
        ["127.0.0.1", 80], ("::1", 80, 2**21, 0), ("127.0.0.1", 80, 0),
    ]
    flags = [both, both | socket.NI_DGRAM, socket.NI_NUMERICHOST, "x", 2**40]

    async def main():
        for address, flag in itertools.product(addresses, flags):
            ours = await awaited(loop.getnameinfo(address, flag))
            assert ours == outcome(socket.getnameinfo, address, flag)

    loop.run_until_complete(main())


def test_wrong_arguments_raise_at_the_call(loop):
    with pytest.raises(TypeError, match="missing 1 required positional"):
        loop.getaddrinfo("127.0.0.1")
    with pytest.raises(TypeError, match="unexpected keyword"):
        loop.getaddrinfo("127.0.0.1", 80, kind=1)
    with pytest.raises(TypeError, match="positional argument"):
        loop.getaddrinfo("127.0.0.1", 80, 0)


def test_a_lookup_is_a_coroutine(loop, shut):
    async def main():
        asked = [("127.0.0.1", 80), ("localhost", 80)] * 3
        return await asyncio.gather(
            loop.create_task(loop.getaddrinfo(*asked[0])),
            asyncio.wait_for(loop.getaddrinfo(*asked[1]), 20),
            *[loop.getaddrinfo(*each) for each in asked],
        )

    assert asyncio.iscoroutine(unused := loop.getaddrinfo("::1", 1))
    unused.close()
    answers = loop.run_until_complete(main())
    assert answers[0] == socket.getaddrinfo("127.0.0.1", 80)
    assert answers[1] == socket.getaddrinfo("localhost", 80)


def test_a_closed_loop_refuses_when_awaited(loop):
    coro = loop.getaddrinfo("127.0.0.1", 80)
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        coro.send(None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_replaced_function_of_the_socket_module_is_called(loop, shut, host):
    with mock.patch("socket.getaddrinfo", return_value=["pinned"]) as fake:
        answer = loop.run_until_complete(loop.getaddrinfo(host, 80))
    assert answer == ["pinned"]
    fake.assert_called_once_with(host, 80, 0, 0, 0, 0)
    with mock.patch("socket.getnameinfo", return_value="name") as fake:
        answer = loop.run_until_complete(loop.getnameinfo((host, 80)))
    assert answer == "name"
    fake.assert_called_once_with((host, 80), 0)


def test_a_replaced_method_is_used_to_connect_and_to_serve(loop):
    asked = []

    async def getaddrinfo(host, port, **hints):
        asked.append(host)
        kind = hints.get("type") or socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 0, "", ("127.0.0.1", port))]

    class Served(asyncio.Protocol):
        def connection_made(self, transport):
            transport.close()

        def connection_lost(self, exc):
            lost.append(self)

    lost = []

    async def main():
        loop.getaddrinfo = getaddrinfo
        server = await loop.create_server(Served, "served.test", 0)
        port = server.sockets[0].getsockname()[1]
        transport, _ = await loop.create_connection(
            asyncio.Protocol, "connected.test", port
        )
        transport.close()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("datagram.test", port)
        )
        transport.close()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("sock.test", port))
            while len(lost) < 2:
                await asyncio.sleep(0.001)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert asked == [
        "served.test", "connected.test", "datagram.test", "sock.test"
    ]


def test_a_method_of_a_subclass_is_used(kind):
    class Pinned(loops.loop_class(kind)):
        async def getaddrinfo(self, host, port, **hints):
            return await super().getaddrinfo("127.0.0.1", port, **hints)

    loop = Pinned()
    try:

        async def main():
            server = await loop.create_server(asyncio.Protocol, "some.test", 0)
            name = server.sockets[0].getsockname()
            server.close()
            await server.wait_closed()
            return name[0]

        assert loop.run_until_complete(main()) == "127.0.0.1"
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_debug_mode_logs_a_lookup(loop, shut, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    with caplog.at_level(logging.DEBUG, "asyncio"):
        loop.run_until_complete(
            loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        )
    texts = [record.getMessage() for record in caplog.records]
    assert any(t.startswith("Get address info 127.0.0.1:80") for t in texts)
    assert any(
        record.levelno == logging.INFO
        and record.getMessage().startswith("Getting address info 127.0.0.1:80")
        for record in caplog.records
    )


def test_an_audit_hook_hears_of_each_lookup(child):
    child.succeed(textwrap.dedent("""
        import asyncio, socket, sys
        heard = []
        def hook(event, args):
            if event == "socket.getaddrinfo":
                heard.append(args)
        async def main():
            loop = asyncio.get_running_loop()
            await loop.getaddrinfo("127.0.0.1", 80)
            await loop.getaddrinfo("127.1", "80", type=1)
            await loop.getaddrinfo("localhost", 80)
        sys.addaudithook(hook)
        new_loop().run_until_complete(main())
        assert heard == [("127.0.0.1", 80, 0, 0, 0), ("127.1", "80", 0, 1, 0),
                         ("localhost", 80, 0, 0, 0)], heard
    """))


class Stuck:
    """Stands for a name server that does not answer, until it is let go."""

    def __init__(self):
        self.release = threading.Event()
        self.entered = threading.Semaphore(0)
        self.ran = 0

    def __call__(self, *args):
        self.ran += 1
        self.entered.release()
        assert self.release.wait(60)
        return ["late"]


@pytest.fixture
def stuck():
    function = Stuck()
    with mock.patch("socket.getaddrinfo", function):
        yield function
        function.release.set()


NO_POOL = "asyncio looks names up in the default executor"


@pytest.mark.native_only(reason=NO_POOL)
def test_slow_names_do_not_delay_functions_nor_the_reverse(loop, shut, stuck):
    release = threading.Event()

    async def main():
        names = [
            loop.create_task(loop.getaddrinfo("slow.test", 1))
            for _ in range(100)
        ]
        await asyncio.sleep(0)
        await loop.run_in_executor(None, stuck.entered.acquire)
        functions = [
            loop.run_in_executor(None, release.wait, 60) for _ in range(100)
        ]
        stuck.release.set()
        answers = await asyncio.gather(*names)
        assert not any(future.done() for future in functions)
        release.set()
        await asyncio.gather(*functions)
        return answers

    assert loop.run_until_complete(main()) == [["late"]] * 100


@pytest.mark.native_only(reason=NO_POOL)
def test_closing_does_not_wait_for_a_name(loop, stuck):
    async def main():
        loop.set_resolver_threads(1)
        running = loop.create_task(loop.getaddrinfo("slow.test", 1))
        queued = loop.create_task(loop.getaddrinfo("queued.test", 1))
        await asyncio.sleep(0)
        stuck.entered.acquire()
        running.cancel()
        queued.cancel()
        await asyncio.gather(running, queued, return_exceptions=True)
        return running.cancelled() and queued.cancelled()

    assert loop.run_until_complete(main())
    threads = [
        t for t in threading.enumerate() if "resolver" in t.name
    ]
    assert [t.daemon for t in threads] == [True]
    loop.close()
    stuck.release.set()  # the answer comes after the end
    threads[0].join(20)
    assert not threads[0].is_alive()
    assert stuck.ran == 1


@pytest.mark.native_only(reason=NO_POOL)
def test_the_number_of_threads_can_be_set(loop, stuck):
    with pytest.raises(ValueError, match="greater than 0"):
        loop.set_resolver_threads(0)
    with pytest.raises(TypeError):
        loop.set_resolver_threads("4")

    def count():
        return sum("resolver" in t.name for t in threading.enumerate())

    async def main():
        loop.set_resolver_threads(3)
        names = [
            loop.create_task(loop.getaddrinfo("slow.test", 1))
            for _ in range(10)
        ]
        await asyncio.sleep(0)
        assert count() == 3
        loop.set_resolver_threads(1)
        stuck.release.set()
        assert await asyncio.gather(*names) == [["late"]] * 10
        assert await loop.getaddrinfo("again.test", 1) == ["late"]

    loop.run_until_complete(main())
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.set_resolver_threads(2)


@pytest.mark.native_only(reason=NO_POOL)
def test_the_end_of_the_program_does_not_wait_for_a_name(child):
    child.succeed(textwrap.dedent("""
        import asyncio, socket, threading, asyncloop
        entered = threading.Event()
        def never(*args):
            entered.set()
            threading.Event().wait()
        socket.getaddrinfo = never
        async def main():
            loop = asyncio.get_running_loop()
            task = loop.create_task(loop.getaddrinfo("slow.test", 1))
            await asyncio.to_thread(entered.wait)
            task.cancel()
        asyncloop.run(main())
    """))


@pytest.mark.native_only(reason=NO_POOL)
def test_a_forked_child_looks_names_up_with_a_loop_of_its_own(child):
    child.succeed(textwrap.dedent("""
        import asyncio, os, warnings, asyncloop
        warnings.simplefilter("ignore")
        async def ask():
            return await asyncio.get_running_loop().getaddrinfo("localhost", 1)
        loop = asyncloop.new_event_loop()
        before = loop.run_until_complete(ask())
        pid = os.fork()
        if pid == 0:
            loop.close()
            ok = asyncloop.run(ask()) == before
            os._exit(0 if ok else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert loop.run_until_complete(ask()) == before
        loop.close()
    """))


def test_a_name_that_is_dropped_unawaited_is_warned_about(loop):
    coro = loop.getaddrinfo("127.0.0.1", 80)
    with pytest.warns(RuntimeWarning, match="getaddrinfo. was never awaited"):
        del coro
