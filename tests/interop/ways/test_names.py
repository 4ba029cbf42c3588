"""Tools that know loops by names of their own, and ours under those."""

import re
from pathlib import Path

import pytest
from interop.ways.shell import Shell

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guides"
AS_UVLOOP = "python -m asyncloop run --as-uvloop -m"
ASK = "curl -s http://127.0.0.1:8000/"

pytestmark = pytest.mark.native_only(reason="names that stand for asyncloop")


def application() -> dict[str, str]:
    """The one of the guide for servers."""
    text = (GUIDES / "servers.md").read_text("utf-8")
    match = re.search(r"`app.py`:\n\n```python\n(.*?)```", text, re.DOTALL)
    return {"app.py": match[1]}


@pytest.mark.parametrize(
    "command",
    [
        "uvicorn app:app --port 8000 --loop uvloop",
        "uvicorn app:app --port 8000 --loop auto",
        "uvicorn app:app --port 8000 --loop uvloop --workers 2",
        "uvicorn app:app --port 8000 --loop uvloop --reload",
        "gunicorn app:app -b 127.0.0.1:8000 -k asgi --asgi-loop uvloop",
        "gunicorn app:app -b 127.0.0.1:8000 -k uvicorn_worker.UvicornWorker",
        "hypercorn app:app -b 127.0.0.1:8000 -k uvloop",
        "granian app:app --interface asgi --port 8000 --loop uvloop",
    ],
)
def test_servers_that_choose_uvloop_get_asyncloop(
    kind, tmp_path, command
) -> None:
    shell = Shell(tmp_path, application())
    assert shell.serve(f"{AS_UVLOOP} {command}", ASK) == "asyncloop"


def test_anyio_that_uses_uvloop_gets_asyncloop(kind, tmp_path) -> None:
    shell = Shell(tmp_path, {"script.py": """
import asyncio
import anyio

async def main():
    print(type(asyncio.get_running_loop()).__module__)

anyio.run(main, backend_options={"use_uvloop": True})
"""})
    out = shell.run("python -m asyncloop run --as-uvloop script.py")
    assert out == "asyncloop\n"


def test_faststreams_option_takes_the_factory(kind, tmp_path) -> None:
    """The program ends before it would need a broker."""
    shell = Shell(tmp_path, {"app.py": """
import asyncio
import os
from faststream import FastStream

app = FastStream()

@app.on_startup
async def whose():
    print(type(asyncio.get_running_loop()).__module__, flush=True)
    os._exit(0)
"""})
    command = "faststream run app:app --loop asyncloop:new_event_loop"
    assert "asyncloop" in shell.run(command).splitlines()
