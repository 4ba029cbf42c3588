"""TLS for tests: a certificate, made once by the openssl program, and
connections."""

import asyncio
import contextlib
import functools
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable

import pytest

from support.net import Recorder, pair, settle

NAME = "localhost"


@functools.cache
def _made() -> tuple[bytes, bytes]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the openssl program, which makes the certificate, "
                    "is not installed")
    with tempfile.TemporaryDirectory() as folder:
        key, cert = (os.path.join(folder, name) for name in ("k", "c"))
        subprocess.run(
            [program, "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
             "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
             "-keyout", key, "-out", cert],
            check=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        with open(key, "rb") as one, open(cert, "rb") as two:
            return one.read(), two.read()


def write_files(folder: str) -> tuple[str, str]:
    """Certificate and key as files of the folder, for other programs."""
    key, cert = (os.path.join(folder, name) for name in ("key.pem", "cert.pem"))
    for path, text in zip((key, cert), _made(), strict=True):
        with open(path, "wb") as file:
            file.write(text)
    return cert, key


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key, cert = _made()
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + cert)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def client_context() -> ssl.SSLContext:
    """One that trusts the server's certificate, and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=_made()[1].decode())
    return context


def trusting_server_context() -> ssl.SSLContext:
    """A server's that can check the certificates of clients."""
    context = server_context()
    context.load_verify_locations(cadata=_made()[1].decode())
    return context


def known_client_context() -> ssl.SSLContext:
    """A client's that has a certificate, too."""
    context = client_context()
    key, cert = _made()
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + cert)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def records(wire: bytes) -> list[tuple[int, int]]:
    """Type and length of each whole record."""
    found = []
    while len(wire) >= 5:
        size = int.from_bytes(wire[3:5], "big")
        if len(wire) < 5 + size:
            break
        found.append((wire[0], size))
        wire = wire[5 + size:]
    return found


class Peer:
    """The other end, by the ssl module over a plain socket.

    What arrives is kept as it was on the wire; nothing is sent but by the
    methods, so that a test can hold it back or spoil it.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_side: bool = False,
        name: str | None = NAME,
    ) -> None:
        self.sock = sock
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.wire = bytearray()
        self.eof = False
        self.object = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server_side,
            server_hostname=None if server_side else name,
        )

    def flush(self) -> None:
        if self.outgoing.pending:
            data = self.outgoing.read()
            while data:
                try:
                    data = data[self.sock.send(data):]
                except BlockingIOError:
                    pass

    def take(self) -> bool:
        """Take in what has arrived; was there anything?"""
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return False
        if not data:
            self.eof = True
            self.incoming.write_eof()
            return True
        self.wire += data
        self.incoming.write(data)
        return True

    async def do(self, call, *args):
        """Call, and wait for the wire as long as it asks for more."""
        loop = asyncio.get_running_loop()
        end = loop.time() + 20
        while True:
            try:
                result = call(*args)
            except ssl.SSLWantReadError:
                self.flush()
                while not self.take():
                    assert loop.time() < end, "nothing more has come"
                    await asyncio.sleep(0.001)
            except BaseException:
                self.flush()
                raise
            else:
                self.flush()
                return result

    async def handshake(self) -> None:
        await self.do(self.object.do_handshake)

    def send(self, data: bytes) -> None:
        while data:
            data = data[self.object.write(data):]
        self.flush()

    async def receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = await self.do(self.object.read, count - len(data))
            assert piece, f"{len(data)} of {count} bytes came"
            data += piece
        return bytes(data)

    async def unwrap(self) -> None:
        await self.do(self.object.unwrap)

    def close(self) -> None:
        self.sock.close()


@contextlib.asynccontextmanager
async def tls_link(
    loop: asyncio.AbstractEventLoop,
    factory: Callable = Recorder,
    server_side: bool = False,
    ours: ssl.SSLContext | None = None,
    theirs: ssl.SSLContext | None = None,
    family: str = "tcp",
    **options,
) -> AsyncIterator[tuple]:
    """A transport, its protocol, and a Peer that has shaken hands."""
    one, two = pair(family)
    one.setblocking(False)
    if ours is None:
        ours = server_context() if server_side else client_context()
    if theirs is None:
        theirs = client_context() if server_side else server_context()
    peer = Peer(two, theirs, not server_side)
    if server_side:
        connect = loop.connect_accepted_socket(
            lambda: factory(loop), one, ssl=ours, **options
        )
    else:
        connect = loop.create_connection(
            lambda: factory(loop), sock=one, ssl=ours, server_hostname=NAME,
            **options
        )
    (transport, protocol), _ = await asyncio.gather(connect, peer.handshake())
    try:
        yield transport, protocol, peer
    finally:
        abort(transport)
        peer.close()
        if not protocol.lost.done():
            await protocol.lost
        await settle()


def abort(transport: asyncio.Transport) -> None:
    # asyncio of early 3.11 has forgotten its protocol once it is closed twice,
    # and then abort() fails.
    if getattr(transport, "_ssl_protocol", transport) is not None:
        transport.abort()


@contextlib.asynccontextmanager
async def tls_pair(
    loop: asyncio.AbstractEventLoop,
    server_factory: Callable = Recorder,
    client_factory: Callable = Recorder,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
    **options,
) -> AsyncIterator[tuple]:
    """Both ends on the loop: server and client protocols, connected."""
    one, two = pair()
    one.setblocking(False)
    accepted, connected = await asyncio.gather(
        loop.connect_accepted_socket(
            lambda: server_factory(loop), one,
            ssl=server or server_context(), **options
        ),
        loop.create_connection(
            lambda: client_factory(loop), sock=two,
            ssl=client or client_context(), server_hostname=NAME, **options
        ),
    )
    protocols = accepted[1], connected[1]
    try:
        yield protocols
    finally:
        for transport, protocol in (accepted, connected):
            abort(transport)
            if not protocol.lost.done():
                await protocol.lost
        await settle()
