"""Programs that need a process of their own: signals, fork, crashes."""

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass

from support import loops

# What each program starts with.  The names are used by the programs.
PRELUDE = """\
import asyncio, gc, os, signal, sys, threading, time
from support import loops
KIND = {kind!r}
Loop = loops.loop_class(KIND)
def new_loop():
    return loops.new(KIND)
"""

SECONDS = 60


def search_path(kind: str) -> str:
    """Where the child finds this folder and the package under test."""
    folders = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    if kind != "asyncio":
        package = sys.modules[loops.loop_class(kind).__module__.split(".")[0]]
        folders.insert(0, os.path.dirname(os.path.dirname(package.__file__)))
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join(folders + ([inherited] if inherited else []))


@dataclass
class Child:
    """Runs programs on one kind of loop."""

    kind: str

    def _command(
        self, program: str, options: tuple[str, ...], env: dict[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        code = PRELUDE.format(kind=self.kind) + textwrap.dedent(program)
        # Only the program's own request may turn debug mode on.
        full = {
            name: value for name, value in os.environ.items()
            if name not in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE")
        }
        full.update(env, PYTHONPATH=search_path(self.kind))
        # -P, or the package of the current folder would hide the one under
        # test, which may be a debug build.
        return [sys.executable, "-P", *options, "-c", code], full

    def run(
        self, program: str, *options: str, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever the end is."""
        command, full = self._command(program, options, env)
        return subprocess.run(
            command, env=full, text=True, timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def succeed(self, program: str, *options: str, **env: str) -> str:
        """Run, demand exit status 0 and nothing on stderr; the output."""
        done = self.run(program, *options, **env)
        assert done.returncode == 0 and done.stderr == "", (
            f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def start(
        self, program: str, *options: str, **env: str
    ) -> subprocess.Popen[str]:
        """Start a program that the test goes on to signal."""
        command, full = self._command(program, options, env)
        return subprocess.Popen(
            command, env=full, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
