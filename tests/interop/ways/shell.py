"""Runs commands as a reader of the documents would."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from support.child import search_path

SECONDS = 60


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Shell:
    """Runs commands in a folder with the files, on a port of its own."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder
        self.port = str(free_port())
        for name, text in files.items():
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

    def run(self, command: str, behind: Sequence[str] = ()) -> str:
        """What it prints, while those behind it run."""
        with contextlib.ExitStack() as stack:
            for other in behind:
                stack.callback(end, stack.enter_context(self.start(other)))
            process = stack.enter_context(self.start(command))
            stack.callback(end, process)
            out = process.communicate(timeout=SECONDS)[0]
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
