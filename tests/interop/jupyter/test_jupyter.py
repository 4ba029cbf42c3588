"""pyzmq's sockets on the loop, and a kernel of IPython on it."""

import asyncio
import os
import pathlib
import re

import pytest
import zmq
import zmq.asyncio
from support.child import search_path

COMMANDS = pathlib.Path(__file__).parents[3] / "docs" / "command-line.md"


@pytest.fixture
def in_context(run):
    def in_context(test):
        async def main():
            context = zmq.asyncio.Context()
            try:
                return await test(context)
            finally:
                context.destroy(linger=0)

        return run(main())

    return in_context


def test_requests_and_replies(in_context):
    async def test(context):
        server = context.socket(zmq.REP)
        port = server.bind_to_random_port("tcp://127.0.0.1")

        async def serve():
            while True:
                await server.send((await server.recv())[::-1])

        task = asyncio.create_task(serve())
        client = context.socket(zmq.REQ)
        client.connect(f"tcp://127.0.0.1:{port}")
        answers = []
        for number in range(200):
            await client.send(b"%03d" % number)
            answers.append(await client.recv())
        task.cancel()
        return answers

    assert in_context(test) == [
        (b"%03d" % number)[::-1] for number in range(200)
    ]


def test_a_pipeline_of_many_messages(in_context):
    async def test(context):
        sink = context.socket(zmq.PULL)
        port = sink.bind_to_random_port("tcp://127.0.0.1")
        source = context.socket(zmq.PUSH)
        source.connect(f"tcp://127.0.0.1:{port}")

        async def push():
            for number in range(2000):
                await source.send_multipart([b"%d" % number, b"x" * 100])

        task = asyncio.create_task(push())
        got = [int((await sink.recv_multipart())[0]) for _ in range(2000)]
        await task
        return got

    assert in_context(test) == list(range(2000))


def test_a_poller(in_context):
    async def test(context):
        one, two = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        one.bind("inproc://pair")
        two.connect("inproc://pair")
        poller = zmq.asyncio.Poller()
        poller.register(one, zmq.POLLIN)
        assert await poller.poll(timeout=20) == []
        await two.send(b"ready")
        return dict(await poller.poll(timeout=20_000)) == {one: zmq.POLLIN}

    assert in_context(test)


CLIENT = """\
import asyncio, os, sys
from jupyter_client import AsyncKernelManager

CODE = '''
import asyncio
await asyncio.sleep(0.01)
print(type(asyncio.get_running_loop()).__module__.partition(".")[0])
await asyncio.gather(*(asyncio.sleep(0, n) for n in range(3)))
'''

async def main():
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    said = []

    def hear(message):
        content = message["content"]
        if message["msg_type"] == "stream":
            said.append(content["text"].strip())
        elif message["msg_type"] == "execute_result":
            said.append(content["data"]["text/plain"])

    reply = await client.execute_interactive(
        CODE, timeout=60, output_hook=hear
    )
    assert reply["content"]["status"] == "ok", reply
    client.stop_channels()
    await manager.shutdown_kernel()
    print("kernel:", *said)

asyncio.run(main())
"""


def test_a_kernel_runs_on_the_loop(programs, kind):
    """The client too: both get the loop that nobody asked for."""
    done = programs.run(
        str(programs.write("client.py", CLIENT)), site=True,
        PYDEVD_DISABLE_FILE_VALIDATION="1",
    )
    assert f"kernel: {kind} [0, 1, 2]" in done.stdout


@pytest.mark.native_only(reason="the guide is asyncloop's")
def test_a_kernel_under_the_documented_sitecustomize(programs, kind):
    """patch() reaches what calls get_event_loop() where no loop runs."""
    text = COMMANDS.read_text("utf-8")
    [made] = re.findall(r"^printf '(.*)' > site/sitecustomize.py$", text, re.M)
    site = programs.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(made.replace("\\n", "\n"))
    path = [str(site), search_path(kind)]
    done = programs.run(
        str(programs.write("client.py", CLIENT)),
        PYTHONPATH=os.pathsep.join(path), PYDEVD_DISABLE_FILE_VALIDATION="1",
    )
    assert f"kernel: {kind} [0, 1, 2]" in done.stdout
