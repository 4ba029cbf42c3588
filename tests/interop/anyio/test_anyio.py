"""anyio, and httpx over it: backend options, groups, threads, sockets."""

import subprocess
import sys
import threading

import anyio
import anyio.from_thread
import anyio.to_process
import anyio.to_thread
import httpx
import httpx2
import pytest
from anyio.streams.tls import TLSListener, TLSStream
from interop.kit.programs import module_of
from support import loops, tls


@pytest.fixture
def options(kind):
    return {"loop_factory": lambda: loops.new(kind)}


@pytest.fixture
def run_anyio(kind, options):
    def run_anyio(test):
        async def main():
            import asyncio

            assert module_of(asyncio.get_running_loop()) == kind
            return await test()

        return anyio.run(main, backend="asyncio", backend_options=options)

    return run_anyio


def test_a_task_group(run_anyio):
    async def test():
        order = []

        async def child(number):
            await anyio.sleep(0.01 * (3 - number))
            order.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(child, number)
        return order

    assert run_anyio(test) == [2, 1, 0]


def test_a_group_that_fails_cancels_its_tasks(run_anyio):
    async def test():
        ended = []

        async def endless():
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("cancelled")

        async def fail():
            await anyio.sleep(0.01)
            raise LookupError

        with pytest.raises(ExceptionGroup) as info:
            async with anyio.create_task_group() as group:
                group.start_soon(endless)
                group.start_soon(fail)
        return ended, info.group_contains(LookupError)

    assert run_anyio(test) == (["cancelled"], True)


def test_cancel_scopes(run_anyio):
    async def test():
        with anyio.move_on_after(0.01) as outer:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
            await anyio.sleep_forever()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await anyio.sleep_forever()
        return outer.cancelled_caught

    assert run_anyio(test) is True


def test_threads_are_pooled(run_anyio):
    """Also for a task that anyio's runner did not make, as in a server."""

    async def test():
        import asyncio

        idents = set()

        async def calls():
            for _ in range(200):
                idents.add(await anyio.to_thread.run_sync(
                    threading.get_ident
                ))

        await calls()
        await asyncio.create_task(calls())
        return len(idents), threading.active_count()

    used, alive = run_anyio(test)
    assert used <= 2
    assert alive <= 4


def test_a_thread_calls_back(run_anyio):
    async def double(number):
        await anyio.sleep(0)
        return number * 2

    def in_thread(number):
        return anyio.from_thread.run(double, number)

    async def test():
        return [
            await anyio.to_thread.run_sync(in_thread, number)
            for number in range(50)
        ]

    assert run_anyio(test) == [number * 2 for number in range(50)]


def test_a_portal_from_a_thread_without_a_loop(options, kind):
    async def name():
        import asyncio

        return module_of(asyncio.get_running_loop())

    with anyio.from_thread.start_blocking_portal(
        "asyncio", options
    ) as portal:
        assert portal.call(name) == kind
        future = portal.start_task_soon(anyio.sleep_forever)
        future.cancel()


def test_a_worker_process(run_anyio):
    async def test():
        return await anyio.to_process.run_sync(pow, 3, 4)

    assert run_anyio(test) == 81


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_streams(run_anyio, secure):
    size = 2_000_000

    async def echo(stream):
        async with stream:
            async for data in stream:
                await stream.send(data)

    async def test():
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        if secure:
            listener = TLSListener(listener, tls.server_context())
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, echo)
            stream = await anyio.connect_tcp("127.0.0.1", port)
            if secure:
                stream = await TLSStream.wrap(
                    stream, hostname="localhost",
                    ssl_context=tls.client_context(),
                )
            async with stream:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(stream.send, b"x" * size)
                    received = 0
                    while received < size:
                        received += len(await stream.receive())
            group.cancel_scope.cancel()
        await listener.aclose()
        return received

    assert run_anyio(test) == size


def test_udp(run_anyio):
    async def test():
        async with await anyio.create_udp_socket(
            local_host="127.0.0.1"
        ) as one, await anyio.create_connected_udp_socket(
            "127.0.0.1", one.extra(anyio.abc.SocketAttribute.local_port)
        ) as two:
            await two.send(b"ping")
            data, address = await one.receive()
            await one.sendto(data[::-1], *address)
            return await two.receive()

    assert run_anyio(test) == b"gnip"


def test_a_process(run_anyio):
    code = "import sys; sys.stdout.write(sys.stdin.read().upper())"

    async def test():
        done = await anyio.run_process(
            [sys.executable, "-c", code], input=b"text" * 50_000
        )
        failed = await anyio.run_process(
            [sys.executable, "-c", "raise SystemExit(3)"], check=False,
            stderr=subprocess.DEVNULL,
        )
        return done.stdout, failed.returncode

    assert run_anyio(test) == (b"TEXT" * 50_000, 3)


def test_signals(run_anyio):
    import os
    import signal

    async def test():
        with anyio.open_signal_receiver(signal.SIGUSR1) as received:
            os.kill(os.getpid(), signal.SIGUSR1)
            async for signum in received:
                return signum

    assert run_anyio(test) == signal.SIGUSR1


def test_files(run_anyio, tmp_path):
    async def test():
        path = anyio.Path(tmp_path) / "file"
        await path.write_text("line\n" * 100)
        async with await anyio.open_file(path) as file:
            return len([line async for line in file])

    assert run_anyio(test) == 100


@pytest.mark.parametrize("package", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_httpx(run_anyio, package, secure):
    """A hundred requests on a pool of ten connections to a small server."""

    async def serve(stream):
        async with stream:
            buffered = b""
            while True:
                while b"\r\n\r\n" not in buffered:
                    try:
                        buffered += await stream.receive()
                    except anyio.EndOfStream:
                        return
                head, _, buffered = buffered.partition(b"\r\n\r\n")
                body = head.split()[1]
                await stream.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(body), body)
                )

    async def test():
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        scheme = "http"
        if secure:
            scheme = "https"
            listener = TLSListener(
                listener, tls.server_context(), standard_compatible=False
            )
        answers = {}
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, serve)
            async with package.AsyncClient(
                base_url=f"{scheme}://localhost:{port}",
                verify=tls.client_context(),
                limits=package.Limits(max_connections=10), timeout=30,
            ) as client:
                async def get(number):
                    answer = await client.get(f"/{number}")
                    answers[number] = answer.text

                async with anyio.create_task_group() as inner:
                    for number in range(100):
                        inner.start_soon(get, number)
            group.cancel_scope.cancel()
        await listener.aclose()
        return answers

    assert run_anyio(test) == {
        number: f"/{number}" for number in range(100)
    }
