"""grpcio's aio: a poller thread wakes the loop through a socket pair."""

import asyncio

import grpc
import grpc.aio
import pytest


def method(kind: str, handler):
    return getattr(grpc, f"{kind}_rpc_method_handler")(handler)


async def double(request, context):
    await asyncio.sleep(0)
    return request * 2


async def count(request, context):
    for number in range(int(request)):
        yield b"%d" % number


async def total(requests, context):
    length = 0
    async for request in requests:
        length += len(request)
    return b"%d" % length


async def echo(requests, context):
    async for request in requests:
        yield request[::-1]


async def fail(request, context):
    await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")


async def wait(request, context):
    await asyncio.sleep(60)


@pytest.fixture
def on_channel(run):
    """Runs test(channel) with a server of plain bytes."""

    def on_channel(test):
        async def main():
            server = grpc.aio.server()
            server.add_generic_rpc_handlers([
                grpc.method_handlers_generic_handler("interop", {
                    "double": method("unary_unary", double),
                    "count": method("unary_stream", count),
                    "total": method("stream_unary", total),
                    "echo": method("stream_stream", echo),
                    "fail": method("unary_unary", fail),
                    "wait": method("unary_unary", wait),
                })
            ])
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            try:
                async with grpc.aio.insecure_channel(
                    f"127.0.0.1:{port}"
                ) as channel:
                    return await test(channel)
            finally:
                await server.stop(None)

        return run(main())

    return on_channel


def test_calls_at_once(on_channel):
    async def test(channel):
        call = channel.unary_unary("/interop/double")
        return await asyncio.gather(*(
            call(b"%d" % number) for number in range(200)
        ))

    assert on_channel(test) == [b"%d" % number * 2 for number in range(200)]


def test_streams(on_channel):
    async def parts():
        for _ in range(50):
            yield b"x" * 10_000

    async def test(channel):
        counted = [
            int(part) async for part in
            channel.unary_stream("/interop/count")(b"500")
        ]
        length = await channel.stream_unary("/interop/total")(parts())
        call = channel.stream_stream("/interop/echo")()
        said = []
        for word in (b"one", b"two"):
            await call.write(word)
            said.append(await call.read())
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        return counted, length, said

    assert on_channel(test) == (
        list(range(500)), b"500000", [b"eno", b"owt"]
    )


def test_errors_timeouts_and_cancelling(on_channel):
    async def test(channel):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/interop/fail")(b"")
        wait = channel.unary_unary("/interop/wait")
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await wait(b"", timeout=0.05)
        call = wait(b"")
        asyncio.get_running_loop().call_later(0.05, call.cancel)
        with pytest.raises(asyncio.CancelledError):
            await call
        return failed.value.code(), late.value.code()

    assert on_channel(test) == (
        grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DEADLINE_EXCEEDED
    )
