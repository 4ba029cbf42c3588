"""TLS 1.3: echo, handshakes, uvicorn, and the memory of idle connections."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import traffic
from bench_network import KIB, Echo, Once, listening
from registry import KEPT, Goal, Loop, served
from traffic import Load, Wrk

FEW = 10
IDLE = 1_000
REFERENCE = ("{folder}/cert.pem",)


def context(folder: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "cert.pem")
    return made


def serve(
    loop: Loop, folder: Path, protocol: type[asyncio.BaseProtocol]
) -> str:
    sock, address = listening()
    create = loop.create_server(protocol, sock=sock, ssl=context(folder))
    KEPT.append(loop.run_until_complete(create))
    return address


def load(size: int, mode: traffic.Mode, connections: int) -> Load:
    return traffic.echo(size, mode, connections, tls=True)


@served(
    "TLS echo 1 KiB, 10 connections",
    Goal("uvloop", 5.4),
    kept=(Goal("uvloop", 1.32),),
    load=load(KIB, "exchange", FEW),
    reference=("echo", *REFERENCE),
)
def tls_echo_1k(loop: Loop, folder: Path) -> str:
    return serve(loop, folder, Echo)


@served(
    "TLS echo 64 KiB, 10 connections",
    Goal("uvloop", 3.8),
    kept=(Goal("uvloop", 1.35),),
    load=load(64 * KIB, "exchange", FEW),
    reference=("echo", *REFERENCE),
)
def tls_echo_64k(loop: Loop, folder: Path) -> str:
    return serve(loop, folder, Echo)


@served(
    "TLS handshake, 1 KiB each way, close",
    Goal("uvloop", 1.38),
    load=load(KIB, "storm", FEW),
    reference=("storm", str(KIB), *REFERENCE),
)
def tls_handshake(loop: Loop, folder: Path) -> str:
    return serve(loop, folder, Once)


@served(
    "uvicorn and httptools over TLS, 'Hello', wrk with 50 connections",
    Goal("uvloop", 1.35),
    load=Wrk(b"Hello", tls=True),
    needs=("uvicorn", "httptools", "wrk"),
)
def uvicorn_tls(loop: Loop, folder: Path) -> str:
    import bench_web
    import uvicorn as package

    def load_config(self: Any) -> None:
        plain(self)
        self.ssl = context(folder)

    plain = package.Config.load
    package.Config.load = load_config  # type: ignore[method-assign]
    return bench_web.uvicorn(loop, folder)


@served(
    f"memory per idle TLS connection, {IDLE} that echoed 1 KiB",
    Goal("value", 31),
    load=load(KIB, "idle", IDLE),
    reference=("echo", *REFERENCE),
)
def tls_memory_1k(loop: Loop, folder: Path) -> str:
    return serve(loop, folder, Echo)


@served(
    f"memory per idle TLS connection, {IDLE} that echoed 64 KiB",
    Goal("value", 32),
    load=load(64 * KIB, "idle", IDLE),
    reference=("echo", *REFERENCE),
)
def tls_memory_64k(loop: Loop, folder: Path) -> str:
    return serve(loop, folder, Echo)
