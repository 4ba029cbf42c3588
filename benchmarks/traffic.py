"""What the network rows send, and what has to come back."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["exchange", "storm", "datagrams", "idle"]


def text(size: int) -> bytes:
    """The same digits each time; no pattern that could hide a mix-up."""
    digits = hashlib.shake_128(b"asyncloop").hexdigest((size + 1) // 2)
    return digits[:size].encode()


@dataclass(frozen=True)
class Load:
    """Messages for clients/load.c, which says what the fields mean.

    They are made only where they are sent: a server that had made a large
    one would have taught malloc to keep its heap, see README.md.
    """

    mode: Mode
    messages: Callable[[], tuple[bytes, bytes]]  # request and reply
    request_stamp: int = 0
    reply_stamp: int = 0
    prelude: bytes = b""
    connections: int = 50
    in_flight: int = 4
    ops: int = 1  # operations that one message stands for
    wall: bool = False  # the figure is wall time: the server never rests
    tls: bool = False

    @property
    def unit(self) -> str:
        if self.mode == "idle":
            return "KiB"
        return "us wall/op" if self.wall else "us CPU/op"

    @property
    def figures(self) -> tuple[str, ...]:
        return () if self.mode == "idle" else ("rate", "busy")

    def write(self, folder: Path) -> None:
        """Put the messages where ``arguments`` says that they are."""
        request, reply = self.messages()
        (folder / "request").write_bytes(request)
        (folder / "reply").write_bytes(reply)
        if self.prelude:
            (folder / "prelude").write_bytes(self.prelude)
        if self.tls:
            make_certificate(folder)

    def arguments(self, folder: Path) -> list[str]:
        """The options of load.c."""
        found = [
            *("--request", f"{folder}/request"),
            *("--reply", f"{folder}/reply"),
            *("--request-stamp", str(self.request_stamp)),
            *("--reply-stamp", str(self.reply_stamp)),
            *("--connections", str(self.connections)),
            *("--in-flight", str(self.in_flight)),
            *("--settle", str(int(not self.wall))),
        ]
        if self.prelude:
            found += ["--prelude", f"{folder}/prelude"]
        return found


def make_certificate(folder: Path) -> None:
    """Key and certificate of the server, ECDSA on P-256, in one file."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes"]
    command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    with cert.open("ab") as both:
        both.write(key.read_bytes())


@dataclass(frozen=True)
class Wrk:
    """wrk's GET requests; ``body`` is what the page has to say."""

    body: bytes
    connections: int = 50
    tls: bool = False
    unit: str = "us CPU/op"
    figures: tuple[str, ...] = ("rate", "busy")


def echo(
    size: int,
    mode: Mode = "exchange",
    connections: int = 50,
    tls: bool = False,
) -> Load:
    """Each message comes back as it is."""
    return Load(
        mode, lambda: (text(size),) * 2, connections=connections, tls=tls
    )


def line(size: int) -> bytes:
    """``size`` includes the end of the line."""
    return text(size - 1) + b"\n"


def lines(size: int) -> Load:
    """Echo of lines."""
    return Load("exchange", lambda: (line(size),) * 2)


def burst(count: int, size: int) -> Load:
    """One message is ``count`` lines; only the last is answered."""
    return Load(
        "exchange",
        lambda: (line(size) * count, line(size)),
        request_stamp=(count - 1) * size,
        connections=1,
        ops=count,
    )


def framed(size: int) -> Load:
    """Echo of messages behind their length, as in database protocols."""

    def message() -> bytes:
        return struct.pack("!I", size) + text(size)

    return Load("exchange", lambda: (message(),) * 2, 4, 4)


def web_socket(size: int) -> Load:
    """Echo of binary frames; ours are masked with zeros."""

    def messages() -> tuple[bytes, bytes]:
        sent = struct.pack("!BBHI", 0x82, 0x80 | 126, size, 0)
        got = struct.pack("!BBH", 0x82, 126, size)
        return sent + text(size), got + text(size)

    prelude = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: YSBmaXhlZCBub25jZSBvaw==\r\n\r\n"
    )
    return Load("exchange", messages, 8, 4, prelude)


def download(size: int, connections: int) -> Load:
    """A line asks for the same ``size`` bytes each time."""
    return Load(
        "exchange",
        lambda: (line(16), text(size)),
        reply_stamp=-1,
        connections=connections,
    )
