"""A certificate for the tests, made once by the openssl program."""

import functools
import os
import shutil
import ssl
import subprocess
import tempfile

import pytest

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
