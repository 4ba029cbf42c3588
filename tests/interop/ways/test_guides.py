"""The commands of docs/guides, run as they are written there.

A block of Python after a line "`name.py`:" is that file. The lines of a block
of sh are commands. One that is followed by curl is a server, whose answer must
tell that the loop is ours; so must what other commands print, but pytest,
whose tests do. Only the port is another one than in the text.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.child import search_path

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guides"
SECONDS = 60

pytestmark = pytest.mark.native_only(reason="the guides are asyncloop's")

BLOCK = re.compile(
    r"(?:^`(?P<file>[\w/]+\.py)`:\n\n)?^```(?P<kind>python|sh)\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Step:
    """The commands of a block, and the files that stand before it."""

    page: str
    commands: list[str]
    files: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page}: {self.commands[0]}"


def steps() -> list[Step]:
    found = []
    for path in sorted(GUIDES.glob("*.md")):
        files: dict[str, str] = {}
        text = path.read_text("utf-8")
        for match in BLOCK.finditer(text):
            if match["kind"] == "sh":
                commands = match["text"].splitlines()
                found.append(Step(path.stem, commands, dict(files)))
            elif match["file"]:
                files[match["file"]] = match["text"]
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Shell:
    """Runs commands in a folder with the files of a step."""

    def __init__(self, folder: Path, step: Step) -> None:
        self.folder = folder
        self.port = str(free_port())
        for name, text in step.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(self.ported(text), "utf-8")
        # The scripts of the environment, as if it were activated.
        scripts = os.path.dirname(sys.executable)
        self.env = {
            **os.environ,
            "PATH": os.pathsep.join((scripts, os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join(
                (search_path("asyncloop"), str(folder))
            ),
        }
        self.env.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)

    def ported(self, text: str) -> str:
        return text.replace("8000", self.port)

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            shlex.split(self.ported(command)), cwd=self.folder, env=self.env,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )

    def run(self, command: str) -> str:
        with self.start(command) as process:
            try:
                out = process.communicate(timeout=SECONDS)[0]
            finally:
                end(process)
        assert process.returncode == 0, out
        return out

    def serve(self, command: str, ask: str) -> str:
        """What the server answers."""
        with self.start(command) as process:
            try:
                self.wait_for_port(process)
                answer = self.run(ask)
            finally:
                end(process)
        return answer

    def wait_for_port(self, process: subprocess.Popen[str]) -> None:
        limit = time.monotonic() + SECONDS
        while time.monotonic() < limit and process.poll() is None:
            try:
                socket.create_connection(
                    ("127.0.0.1", int(self.port)), 1
                ).close()
                return
            except OSError:
                time.sleep(0.05)
        end(process)
        raise AssertionError(f"no server: {process.stdout.read()}")


def end(process: subprocess.Popen[str]) -> None:
    """Ask it to end, then its whole group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.mark.parametrize("step", steps(), ids=str)
def test_its_commands_run_on_asyncloop(kind, tmp_path, step) -> None:
    shell = Shell(tmp_path, step)
    command, *ask = step.commands
    if ask:
        assert ask[0].startswith("curl ") and len(ask) == 1
        assert shell.serve(command, ask[0]) == "asyncloop"
        return
    out = shell.run(command)
    if "pytest" in command:
        assert "1 passed" in out
    elif "unittest" in command:
        assert "Ran 1 test" in out and "OK" in out
    else:
        assert out.splitlines()[-1] == "asyncloop"


def test_there_are_commands(kind) -> None:
    """Or a change of the format would leave nothing to test."""
    assert len(steps()) >= 18
