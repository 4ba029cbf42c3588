"""Sample suites that choose the loop in each documented way.

Each is run by a pytest of its own and has a test that asks which loop it is
on, so that none passes on another one.
"""

import pytest

CANARY = """\
import asyncio, os

def check_loop():
    name = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    assert name == os.environ["INTEROP_LOOP"], name
"""


@pytest.fixture
def run_suite(programs):
    """Runs the files with the plugins; so many tests must pass."""

    def run_suite(passed: int, *plugins: str, site=False, ini="", **files):
        programs.write("canary.py", CANARY)
        if "pytest_asyncio.plugin" in plugins:
            # Unset, it warns.
            ini += "asyncio_default_fixture_loop_scope = function\n"
        programs.write("pytest.ini", "[pytest]\n" + ini)
        for name, text in files.items():
            programs.write(name + ".py", text)
        options = [word for name in plugins for word in ("-p", name)]
        done = programs.run(
            "-m", "pytest", "-q", "-W", "error::pytest.PytestWarning",
            *options, "--rootdir", str(programs.folder),
            str(programs.folder), site=site,
        )
        assert f"{passed} passed" in done.stdout, done.stdout
        return done.stdout

    return run_suite


ASYNCIO_SUITE = """\
import asyncio
import pytest, pytest_asyncio
from canary import check_loop

@pytest_asyncio.fixture
async def connection():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname()
        )
        yield reader, writer
        writer.close()

@pytest.mark.asyncio
async def test_the_loop():
    check_loop()

@pytest.mark.asyncio
async def test_a_fixture(connection):
    reader, writer = connection
    writer.write(b"line\\n")
    assert await reader.readline() == b"line\\n"

@pytest.mark.asyncio(loop_scope="module")
class TestScope:
    loop = None

    async def test_one(self):
        check_loop()
        TestScope.loop = asyncio.get_running_loop()

    async def test_two(self):
        assert asyncio.get_running_loop() is TestScope.loop
"""


def test_pytest_asyncio_s_hook(run_suite, kind):
    run_suite(
        4, "pytest_asyncio.plugin", test_sample=ASYNCIO_SUITE, conftest=f"""\
from support import loops

# One function, or each test would have a factory, and a loop, of its own.
def chosen():
    return loops.new({kind!r})

def pytest_asyncio_loop_factories(config, item):
    return {{"chosen": chosen}}
""")


def test_pytest_asyncio_s_marker(run_suite, kind):
    run_suite(
        1, "pytest_asyncio.plugin", conftest=f"""\
import asyncio
from support import loops

def pytest_asyncio_loop_factories(config, item):
    return {{
        "other": asyncio.SelectorEventLoop,
        "chosen": lambda: loops.new({kind!r}),
    }}
""", test_sample="""\
import pytest
from canary import check_loop

@pytest.mark.asyncio(loop_factories=["chosen"])
async def test_the_loop():
    check_loop()
""")


def test_pytest_asyncio_with_new_event_loop_replaced(run_suite):
    run_suite(
        4, "pytest_asyncio.plugin", test_sample=ASYNCIO_SUITE, site=True
    )


def test_anyio_s_plugin(run_suite, kind):
    run_suite(
        3, "anyio.pytest_plugin", conftest=f"""\
import pytest
from support import loops

@pytest.fixture
def anyio_backend():
    return "asyncio", {{"loop_factory": lambda: loops.new({kind!r})}}
""", test_sample="""\
import anyio, pytest
from canary import check_loop

pytestmark = pytest.mark.anyio

@pytest.fixture
async def stream():
    send, receive = anyio.create_memory_object_stream(10)
    async with send, receive:
        yield send, receive

async def test_the_loop():
    check_loop()

async def test_a_fixture(stream):
    await stream[0].send(5)
    assert await stream[1].receive() == 5

async def test_threads():
    assert await anyio.to_thread.run_sync(max, 1, 2) == 2
""")


AIOHTTP_SUITE = """\
import asyncio
from aiohttp import web
from canary import check_loop

async def hello(request):
    check_loop()
    return web.Response(text=request.query["name"])

async def test_a_client(aiohttp_client):
    app = web.Application()
    app.router.add_get("/", hello)
    client = await aiohttp_client(app)
    answers = await asyncio.gather(*(
        client.get("/", params={"name": str(n)}) for n in range(20)
    ))
    assert [await answer.text() for answer in answers] == [
        str(number) for number in range(20)
    ]

async def test_a_server(aiohttp_server):
    app = web.Application()
    app.router.add_get("/", hello)
    server = await aiohttp_server(app)
    assert server.port
"""


def test_pytest_aiohttp(run_suite, kind):
    """It runs on pytest-asyncio, and so takes its hook."""
    run_suite(
        2, "pytest_asyncio.plugin", "pytest_aiohttp.plugin",
        ini="asyncio_mode = auto\n", test_sample=AIOHTTP_SUITE, conftest=f"""\
from support import loops

def pytest_asyncio_loop_factories(config, item):
    return {{"chosen": lambda: loops.new({kind!r})}}
""")


def test_aiohttp_s_own_plugin(run_suite):
    """Its option knows uvloop only: new_event_loop is made ours."""
    run_suite(
        2, "aiohttp.pytest_plugin", site=True, test_sample=AIOHTTP_SUITE
    )


def test_pytest_mock(run_suite, kind):
    run_suite(
        5, "pytest_asyncio.plugin", "pytest_mock", ini="asyncio_mode = auto\n",
        conftest=f"""\
from support import loops

def pytest_asyncio_loop_factories(config, item):
    return {{"chosen": lambda: loops.new({kind!r})}}
""", test_sample="""\
import asyncio
from canary import check_loop

class Service:
    async def fetch(self, number):
        await asyncio.sleep(0)
        return number

async def test_an_async_mock(mocker):
    check_loop()
    mocker.patch.object(Service, "fetch", mocker.AsyncMock(return_value=7))
    assert await asyncio.gather(Service().fetch(1), Service().fetch(2)) == [
        7, 7
    ]

async def test_a_spy(mocker):
    spy = mocker.spy(Service, "fetch")
    assert await asyncio.create_task(Service().fetch(3)) == 3
    assert spy.spy_return == 3

async def test_a_method_of_the_loop_is_patched(mocker):
    loop = asyncio.get_running_loop()
    patched = mocker.patch.object(loop, "call_later", wraps=loop.call_later)
    await asyncio.sleep(0.001)
    assert patched.call_count == 1

async def test_the_time_is_patched(mocker):
    loop = asyncio.get_running_loop()
    mocker.patch.object(loop, "time", return_value=12.5)
    assert loop.time() == 12.5

async def test_sleep_is_patched(mocker):
    mocker.patch("asyncio.sleep", mocker.AsyncMock())
    await asyncio.wait_for(asyncio.sleep(1000), 5)
""")


def test_unittest(run_suite, kind):
    """IsolatedAsyncioTestCase takes a loop_factory from 3.13 on."""
    run_suite(
        2, site=True, test_sample="""\
import asyncio, unittest
from canary import check_loop

class Test(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.queue = asyncio.Queue()

    async def test_the_loop(self):
        check_loop()

    async def test_a_queue(self):
        asyncio.get_running_loop().call_later(0.01, self.queue.put_nowait, 1)
        self.assertEqual(await self.queue.get(), 1)
""")
