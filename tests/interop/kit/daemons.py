"""Programs in the background, which end with the tests."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

# Starting, even of a database on a busy machine, takes no longer than this.
SECONDS = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def as_user(user: str | None) -> list[str]:
    """Runs a program as the user, when we are root, and ends it with us."""
    command = [shutil.which("setpriv") or "setpriv", "--pdeathsig", "TERM"]
    if user is not None and os.geteuid() == 0:
        command += ["--reuid", user, "--regid", user, "--clear-groups"]
    return command


class Daemon:
    """A program in a process group of its own, its output in a file."""

    def __init__(
        self,
        command: list[str],
        log: pathlib.Path,
        *,
        port: int | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        cwd: pathlib.Path | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                as_user(user) + command, env=env, cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
        if port is not None:
            self.wait_until(lambda: answers(port), f"port {port}")

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_until(self, test, what: str, seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not test():
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"{self.process.args} ended with "
                    f"{self.process.returncode}:\n{self.output()}"
                )
            if time.monotonic() > end:
                output = self.output()
                self.stop(signal.SIGKILL)
                raise TimeoutError(f"no {what}:\n{output}")
            time.sleep(0.02)

    def says(self, text: str, times: int = 1) -> None:
        """Wait until the output has the text, so many times."""
        self.wait_until(
            lambda: self.output().count(text) >= times, f"{text!r}"
        )

    def stop(
        self, how: int = signal.SIGTERM, seconds: float = 30,
        *, group: bool = False,
    ) -> int:
        """Signal it, or its whole group; the exit status.

        Children that are still there afterwards are killed.
        """
        pid = self.process.pid
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(pid, how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"{self.process.args} runs on after signal {how}:\n"
                + self.output()
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            self.process.wait()
