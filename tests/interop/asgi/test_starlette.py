"""Starlette's test client, whose loop runs in a thread beside the test."""

import asyncio

import pytest
from interop.asgi.app import app
from interop.kit.programs import module_of
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from support import loops


@pytest.fixture
def options(kind):
    return {"loop_factory": lambda: loops.new(kind)}


def test_the_test_client_takes_a_loop_factory(kind, options):
    with TestClient(app, backend_options=options) as client:
        assert client.get("/loop").json()["loop"] == kind
        assert client.get("/state").json() == {"answer": 42}
        assert client.get("/def/5").json() == {"number": 5}


def test_a_websocket_of_the_test_client(kind, options):
    with TestClient(app, backend_options=options) as client:
        with client.websocket_connect("/websocket") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "HELLO"


def test_a_background_task_runs_after_the_answer(kind, options):
    ran = []

    async def later():
        await asyncio.sleep(0)
        ran.append(module_of(asyncio.get_running_loop()))

    async def endpoint(request):
        return JSONResponse({}, background=BackgroundTask(later))

    application = Starlette(routes=[Route("/", endpoint)])
    with TestClient(application, backend_options=options) as client:
        client.get("/")
    assert ran == [kind]
