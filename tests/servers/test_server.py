"""A Server's life: serving, closing, waiting, and its clients."""

import asyncio
import contextlib
import gc
import socket
import warnings
import weakref

import asyncloop
import pytest

from support import loops
from support.loops import PY312, PY313, PY314, collect_errors
from support.net import (
    ACCEPT_FAILED, Recorder, in_loop, is_borrowed, is_open, quiet, receive,
    settle, until,
)


class Clients(list):
    """A protocol factory that keeps what it made."""

    def __init__(self, loop, cls=Recorder):
        self.loop = loop
        self.cls = cls

    def __call__(self):
        self.append(self.cls(self.loop))
        return self[-1]


async def serve(loop, cls=Recorder, **options):
    clients = Clients(loop, cls)
    server = await loop.create_server(clients, "127.0.0.1", 0, **options)
    return server, clients, server.sockets[0].getsockname()


def connect(address):
    """A plain client; to connect needs no help of the server's."""
    sock = socket.create_connection(address, timeout=10)
    sock.setblocking(False)
    return sock


async def finish(server, clients=(), *socks):
    server.close()
    for protocol in clients:
        if protocol.transport is not None and not protocol.lost.done():
            protocol.transport.abort()
    for sock in socks:
        sock.close()
    await settle()


@in_loop
async def test_a_client_gets_a_protocol_of_its_own(loop):
    server, clients, address = await serve(loop)
    one, two = connect(address), connect(address)
    await until(lambda: len(clients) == 2)
    await until(lambda: all(p.calls == ["made"] for p in clients))
    one.send(b"one")
    two.send(b"two")
    await until(
        lambda: {bytes(p.data) for p in clients} == {b"one", b"two"}
    )
    for protocol, sock in zip(clients, (one, two)):
        info = protocol.transport.get_extra_info
        assert info("peername") in (one.getsockname(), two.getsockname())
        assert info("sockname") == address
        assert isinstance(protocol.transport, asyncio.Transport)
    await finish(server, clients, one, two)


@in_loop
async def test_what_it_tells_while_it_serves(loop):
    server, clients, address = await serve(loop)
    assert isinstance(server, asyncio.AbstractServer)
    assert isinstance(server, asyncio.Server)
    assert server.get_loop() is loop
    assert server.is_serving() is True
    assert isinstance(server.sockets, tuple)
    [sock] = server.sockets
    assert type(sock) is asyncio.trsock.TransportSocket
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert sock.gettimeout() == 0
    assert repr(server) == f"<{type(server).__name__} sockets={(sock,)!r}>"
    with pytest.raises(AttributeError):
        server.sockets = ()
    fd = sock.fileno()
    assert server.close() is None
    assert server.sockets == ()
    assert server.is_serving() is False
    assert not is_open(fd)
    assert server.get_loop() is loop
    assert repr(server) == f"<{type(server).__name__} sockets=()>"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    server.close()


@in_loop
async def test_it_can_be_referred_to_weakly_and_marked(loop):
    server, clients, address = await serve(loop)
    server.mark = 1
    assert server.mark == 1
    dead = weakref.ref(server)
    assert dead() is server and {server: 2}[server] == 2
    server.close()
    del server
    await settle()
    gc.collect()
    assert dead() is None


@in_loop
async def test_start_serving_false_waits_for_start_serving(loop):
    server, clients, address = await serve(loop, start_serving=False)
    assert server.is_serving() is False
    [sock] = server.sockets
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    assert await server.start_serving() is None
    assert server.is_serving() is True
    await server.start_serving()
    peer = connect(address)
    await until(lambda: len(clients) == 1)
    await until(lambda: clients[0].calls == ["made"])
    await finish(server, clients, peer)


@in_loop
async def test_a_server_that_never_served_closes(loop):
    server, clients, address = await serve(loop, start_serving=False)
    fd = server.sockets[0].fileno()
    server.close()
    await server.wait_closed()
    assert not is_open(fd)


@in_loop
async def test_serve_forever_starts_serves_and_closes(loop):
    server, clients, address = await serve(loop, start_serving=False)
    task = asyncio.create_task(server.serve_forever())
    await settle()
    assert server.is_serving()
    peer = connect(address)
    await until(lambda: len(clients) == 1)
    await until(lambda: clients[0].calls == ["made"])
    with pytest.raises(
        RuntimeError, match=r"is already being awaited on serve_forever\(\)$"
    ):
        await server.serve_forever()
    peer.close()
    await clients[0].lost
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not server.is_serving() and server.sockets == ()
    with pytest.raises(RuntimeError, match="^server .* is closed$"):
        await server.serve_forever()


@in_loop
async def test_close_ends_serve_forever(loop):
    server, clients, address = await serve(loop)
    task = asyncio.create_task(server.serve_forever())
    await settle()
    server.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@in_loop
async def test_a_cancelled_serve_forever_waits_for_clients_or_closes_them(
    loop
):
    """From 3.12 it waits for them, from 3.14 it closes them first."""
    server, clients, address = await serve(loop)
    task = asyncio.create_task(server.serve_forever())
    peer = connect(address)
    await until(lambda: len(clients) == 1)
    await until(lambda: clients[0].calls == ["made"])
    task.cancel()
    await quiet()
    assert not server.is_serving()
    if PY314:
        assert task.cancelled()
        assert clients[0].calls == ["made", "lost"]
        assert await receive(peer) == b""
    elif PY312:
        assert not task.done()
        assert clients[0].calls == ["made"]
        clients[0].transport.close()
        await asyncio.wait([task])
        assert task.cancelled()
    else:
        assert task.cancelled()
        assert clients[0].calls == ["made"]
    await finish(server, clients, peer)


@in_loop
async def test_async_with_closes_and_waits(loop):
    server, clients, address = await serve(loop)
    async with server as entered:
        assert entered is server
        assert server.is_serving()
    assert not server.is_serving() and server.sockets == ()


@in_loop
async def test_async_with_closes_after_an_error(loop):
    server, clients, address = await serve(loop)
    with pytest.raises(ZeroDivisionError):
        async with server:
            raise ZeroDivisionError
    assert server.sockets == ()


@in_loop
async def test_wait_closed_waits_for_close(loop):
    """Up to 3.11 it waited only when there were clients to wait for."""
    server, clients, address = await serve(loop)
    task = asyncio.create_task(server.wait_closed())
    await settle()
    assert not task.done()
    server.close()
    assert await asyncio.wait_for(task, 5) is None


@in_loop
async def test_wait_closed_waits_for_the_clients(loop):
    """From 3.12.1 on, whichever comes first."""
    server, clients, address = await serve(loop)
    peers = [connect(address) for _ in range(3)]
    await until(lambda: len(clients) == 3)
    await until(lambda: all(p.calls == ["made"] for p in clients))
    server.close()
    tasks = [asyncio.create_task(server.wait_closed()) for _ in range(2)]
    await settle()
    if not PY312:
        assert all(task.done() for task in tasks)
    for protocol in clients:
        assert not any(task.done() for task in tasks) or not PY312
        protocol.transport.close()
        await protocol.lost
        await settle()
    assert all(task.done() for task in tasks)
    await server.wait_closed()
    await finish(server, clients, *peers)


@in_loop
async def test_a_cancelled_wait_closed_disturbs_nobody(loop):
    server, clients, address = await serve(loop)
    first = asyncio.create_task(server.wait_closed())
    second = asyncio.create_task(server.wait_closed())
    await settle()
    first.cancel()
    await settle()
    assert first.cancelled() and not second.done()
    server.close()
    await second


@in_loop
async def test_closing_leaves_the_clients_connected(loop):
    server, clients, address = await serve(loop)
    peer = connect(address)
    await until(lambda: len(clients) == 1)
    await until(lambda: clients[0].calls == ["made"])
    server.close()
    await quiet()
    assert clients[0].calls == ["made"]
    peer.send(b"still")
    await until(lambda: clients[0].data == b"still")
    clients[0].transport.write(b"here")
    assert await receive(peer, 4) == b"here"
    await finish(server, clients, peer)


@pytest.mark.parametrize("name", ["close_clients", "abort_clients"])
@in_loop
async def test_clients_are_closed_or_aborted(loop, name):
    server, clients, address = await serve(loop)
    if not (PY313 or isinstance(loop, asyncloop.Loop)):  # asyncio is older
        assert not hasattr(server, name)
        server.close()
        return
    peers = [connect(address) for _ in range(3)]
    await until(lambda: len(clients) == 3)
    await until(lambda: all(p.calls == ["made"] for p in clients))
    sent = 8 << 20
    for protocol in clients:
        protocol.transport.write(bytes(sent))
    assert getattr(server, name)() is None
    assert all(protocol.transport.is_closing() for protocol in clients)
    assert server.is_serving()
    for peer, protocol in zip(peers, clients):
        # The order of clients and of peers is not the same.
        got = await receive(peer)
        assert (len(got) == sent) is (name == "close_clients")
    for protocol in clients:
        assert await protocol.lost is None
    # The server itself goes on.
    peers.append(connect(address))
    await until(lambda: len(clients) == 4)
    await until(lambda: clients[3].calls == ["made"])
    server.close()
    getattr(server, name)()
    await server.wait_closed()
    await finish(server, clients, *peers)


@in_loop
async def test_clients_that_were_left_are_not_closed_again(loop):
    server, clients, address = await serve(loop)
    peer = connect(address)
    await until(lambda: len(clients) == 1)
    peer.close()
    await until(lambda: clients[0].lost is not None)
    await clients[0].lost
    await settle()
    if PY313:
        server.close_clients()
        server.abort_clients()
        await settle()
    assert clients[0].calls == ["made", "eof", "lost"]
    server.close()
    await server.wait_closed()


@in_loop
async def test_a_server_does_not_keep_an_abandoned_transport_alive(loop):
    server, clients, address = await serve(loop)
    peer = connect(address)
    await until(lambda: len(clients) == 1)
    await until(lambda: clients[0].calls == ["made"])
    transport = clients[0].transport
    transport.pause_reading()
    await settle()
    dead = weakref.ref(transport)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clients[0].transport = None
        clients.clear()
        del transport
        gc.collect()
    texts = "".join(str(w.message) for w in caught)
    assert "unclosed transport" in texts
    # A warning holds its source.
    caught.clear()
    gc.collect()
    assert dead() is None
    assert await receive(peer) == b""
    peer.close()
    server.close()
    if PY313 or not is_borrowed(server):
        # Gone is as good as closed.
        await asyncio.wait_for(server.wait_closed(), 5)


# -- errors while accepting -------------------------------------------------

@contextlib.contextmanager
def litter():
    """asyncio leaves the sockets of failed connections to the collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.mark.parametrize("debug", [False, True])
@in_loop
async def test_a_factory_that_raises_costs_one_connection(loop, debug):
    class Picky(Clients):
        raised = 0

        def __call__(self):
            if not self.raised:
                self.raised += 1
                raise ZeroDivisionError
            return super().__call__()

    loop.set_debug(debug)
    errors = collect_errors(loop)
    with litter():
        clients = Picky(loop)
        server = await loop.create_server(clients, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        one = connect(address)
        await until(lambda: clients.raised == 1)
        await settle()
        # asyncio is silent about it, but for debug mode.
        if debug:
            [context] = errors
            assert context["message"] == ACCEPT_FAILED
            assert type(context["exception"]) is ZeroDivisionError
            assert "transport" not in context and "protocol" not in context
            del context
        assert len(errors) <= 1
        # Its connection is not left open; the report has a hold on it.
        errors.clear()
        gc.collect()
        assert await receive(one) == b""
        two = connect(address)
        await until(lambda: len(clients) == 1)
        await until(lambda: clients[0].calls == ["made"])
        assert errors == []
        await finish(server, clients, one, two)
    loop.set_debug(False)


@in_loop
async def test_connection_made_that_raises_leaves_the_server_at_work(loop):
    class Raises(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError

    errors = collect_errors(loop)
    server, clients, address = await serve(loop, Raises)
    peers = [connect(address) for _ in range(3)]
    await until(lambda: len(errors) == 3)
    assert {type(c["exception"]) for c in errors} == {ZeroDivisionError}
    for peer in peers:
        peer.send(b"x")
    await until(lambda: all(p.data == b"x" for p in clients))
    await finish(server, clients, *peers)


@in_loop
async def test_connection_made_may_close_abort_or_end_the_server(loop):
    class Ends(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            number = len(clients)
            if number == 1:
                transport.close()
            elif number == 2:
                transport.abort()
            else:
                server.close()

    server, clients, address = await serve(loop, Ends)
    peers = []
    for number in (1, 2):
        peers.append(connect(address))
        await until(lambda: len(clients) == number)
        assert await clients[-1].lost is None
        assert clients[-1].calls == ["made", "lost"]
        assert await receive(peers[-1]) == b""
    peers.append(connect(address))
    await until(lambda: not server.is_serving())
    # The connection that ended the server is served all the same.
    peers[-1].send(b"x")
    await until(lambda: clients[-1].data == b"x")
    await finish(server, clients, *peers)


def test_a_server_closed_while_many_wait_to_be_accepted(child):
    """Whoever was accepted by then has a working connection, or none."""
    done = child.run("""
        import socket
        from support.net import Recorder, until
        loop = new_loop()
        clients = []
        def factory():
            if len(clients) == 1:
                server.close()
            clients.append(Recorder(loop))
            return clients[-1]
        async def main():
            global server
            server = await loop.create_server(factory, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            peers = [socket.create_connection(address) for _ in range(20)]
            await until(lambda: len(clients) >= 2)
            await asyncio.sleep(0.05)
            assert not server.is_serving()
            for protocol in clients:
                assert protocol.calls in ([], ["made"], ["made", "lost"])
            assert ["made"] in [protocol.calls for protocol in clients]
            for peer in peers:
                peer.close()
            for protocol in clients:
                if protocol.transport is not None:
                    await protocol.lost
            print(type(server).__module__)
        loop.run_until_complete(main())
        loop.close()
    """)
    assert done.returncode == 0, done.stderr
    # asyncio's server fails assertions here, silently or in finalizers.
    assert done.stderr == "" or done.stdout.startswith("asyncio.")


@in_loop
async def test_all_who_wait_are_accepted(loop):
    server, clients, address = await serve(loop, backlog=200)
    peers = [connect(address) for _ in range(200)]
    for number, peer in enumerate(peers):
        peer.send(b"%d" % number)
    await until(lambda: len(clients) == 200)
    await until(lambda: all(protocol.data for protocol in clients))
    assert {int(protocol.data) for protocol in clients} == set(range(200))
    await finish(server, clients, *peers)


@in_loop
async def test_clients_that_left_before_they_were_accepted(loop):
    server, clients, address = await serve(loop)
    for number in range(20):
        sock = connect(address)
        sock.send(b"gone")
        sock.close()
    await until(lambda: len(clients) == 20)
    for protocol in clients:
        assert await protocol.lost is None
        assert protocol.calls == ["made", "data", "eof", "lost"]
        assert protocol.data == b"gone"
    await finish(server)


OUT_OF_DESCRIPTORS = """
    import resource, socket
    from support.net import Recorder, until
    loop = new_loop()
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    clients = []
    def factory():
        clients.append(Recorder(loop))
        return clients[-1]
    async def main():
        server = await loop.create_server(
            factory, "127.0.0.1", 0, backlog=1)
        address = server.sockets[0].getsockname()
        waiting = [socket.socket() for _ in range(2)]
        spare = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        try:
            while True:
                spare.append(os.dup(0))
        except OSError:
            pass
        for sock in waiting:
            sock.connect(address)
        started = time.process_time()
        await until(lambda: bool(reports))
        await asyncio.sleep(0.5)
        # It rests instead of trying again and again.
        assert time.process_time() - started < 0.3
        borrowed = type(server).__module__.startswith("asyncio.")
        # asyncio reports each of backlog, or backlog + 1, attempts.
        assert len(reports) <= (2 if borrowed else 1), reports
        [kind] = {type(c["exception"]) for c in reports}
        assert kind is OSError
        context = reports[0]
        assert context["message"] == (
            "socket.accept() out of system resource"), context
        assert context["socket"].getsockname() == address
        assert set(context) == {"message", "exception", "socket"}
        assert server.is_serving() and not clients
        for fd in spare:
            os.close(fd)
        ENDING
    loop.run_until_complete(main())
    loop.close()
    print("done")
"""

RECOVERS = """
        await until(lambda: len(clients) == 2)
        await until(lambda: all(p.calls == ["made"] for p in clients))
        for sock in waiting:
            sock.close()
        for protocol in clients:
            await protocol.lost
        server.close()
"""

CLOSED = """
        server.close()
        for sock in waiting:
            sock.close()
        del reports[:]
        # Past the moment at which accepting would begin again.
        await asyncio.sleep(1.2)
        assert not clients
        assert reports == [] or borrowed, reports
"""


@pytest.mark.parametrize("ending", ["recovers", "closed meanwhile"])
def test_a_server_out_of_descriptors_rests_and_recovers(child, ending):
    import textwrap

    text = RECOVERS if ending == "recovers" else CLOSED
    program = textwrap.dedent(OUT_OF_DESCRIPTORS).replace(
        "    ENDING", textwrap.indent(textwrap.dedent(text), "    ")
    )
    assert child.succeed(program) == "done\n"


# -- dropped ----------------------------------------------------------------

@in_loop
async def test_a_dropped_server_goes_on_serving(loop):
    """The loop holds it, as long as it serves."""
    clients = Clients(loop)
    server = await loop.create_server(clients, "127.0.0.1", 0)
    sock = server.sockets[0]
    address = sock.getsockname()
    again = weakref.ref(server)
    del server
    gc.collect()
    peer = connect(address)
    await until(lambda: len(clients) == 1)
    await until(lambda: clients[0].calls == ["made"])
    peer.close()
    await clients[0].lost
    again().close()


def test_a_loop_closed_under_a_server_leaves_no_descriptor(kind):
    loop = loops.new(kind)
    clients = Clients(loop)
    server = loop.run_until_complete(
        loop.create_server(clients, "127.0.0.1", 0)
    )
    fd = server.sockets[0].fileno()
    loop.close()
    with warnings.catch_warnings():
        # asyncio's socket objects warn; who else does is not said.
        warnings.simplefilter("ignore", ResourceWarning)
        del server
        del loop
        gc.collect()
    assert not is_open(fd)
    assert clients == []
