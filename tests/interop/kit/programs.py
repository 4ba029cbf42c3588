"""Programs of the systems under test, on one kind of loop."""

import os
import pathlib
import subprocess
import sys

from interop.kit.daemons import Daemon
from support.child import search_path

SITE = pathlib.Path(__file__).with_name("site")


def module_of(loop: object) -> str:
    """The name of the loop's package: which kind it is."""
    return type(loop).__module__.partition(".")[0]


class Programs:
    """Starts programs, and stops what the test leaves running."""

    def __init__(self, kind: str, folder: pathlib.Path) -> None:
        self.kind = kind
        self.folder = folder
        self.running: list[Daemon] = []

    def environment(self, *, site: bool = False, **more: str) -> dict:
        """`site` makes our loop the one that nobody asked for."""
        path = [str(self.folder), search_path(self.kind)]
        if site:
            path.insert(0, str(SITE))
        return {
            **os.environ, "PYTHONPATH": os.pathsep.join(path),
            "PYTHONUNBUFFERED": "1", "INTEROP_LOOP": self.kind,
            # Some leave files there.
            "HOME": str(self.folder), **more,
        }

    def factory(self, asyncio_name: str = "asyncio") -> str:
        """What an option for a loop factory takes for this kind."""
        if self.kind == "asyncio":
            return asyncio_name
        return f"{self.kind}:new_event_loop"

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def start(
        self, *arguments: str, port: int | None = None, site: bool = False,
        **env: str,
    ) -> Daemon:
        """Run python with the arguments, until the port answers."""
        daemon = Daemon(
            [sys.executable, "-P", *arguments],
            self.folder / f"log-{len(self.running)}",
            port=port, env=self.environment(site=site, **env),
            cwd=self.folder,
        )
        self.running.append(daemon)
        return daemon

    def run(
        self, *arguments: str, site: bool = False, seconds: float = 120,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run python with the arguments to the end; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-P", *arguments], text=True,
            env=self.environment(site=site, **env), cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=seconds,
        )
        assert done.returncode == 0, done.stdout
        return done

    def stop(self) -> None:
        for daemon in self.running:
            if daemon.process.poll() is None:
                daemon.stop(group=True)
