"""An echo server over TLS, and clients that check its certificate.

    python examples/tls_echo.py

Shows both sides of TLS with streams, an upgrade of a plain connection
(STARTTLS), and that a client refuses a server whom nobody vouches for.
The certificate is for localhost and signed by itself; its key is below, so
it protects nothing but this example.
"""

import argparse
import asyncio
import os
import ssl
import tempfile

import asyncloop

CLIENTS = 20
MESSAGES = 50

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUO0aGgvQ1SwLc85gQhMsPsTEzH1wwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTAyMzEwMloYDzIxMjYxMTA1
MDIzMTAyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARxzsQQzX3t2srgbVVqGdNJ81Krihy39bN9Qp4EHbCsn1pRbxsdQ5z1
8QfbcEHhSHX3A/BQ55jBi4hOo/x9IIBTo28wbTAdBgNVHQ4EFgQUptT/eAWJJ5RS
BZ8Lx+9nkBbZTjowHwYDVR0jBBgwFoAUptT/eAWJJ5RSBZ8Lx+9nkBbZTjowDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAMh92/8pW+uqANLkxF2aG3MgjzD1a21JXpCoC91mgWhyAiAR
rSyNsvy4r0hklLgNmbNVuo91Al5I4W5wlszp1e2yvw==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQst0ZroPKFKzFyLp
RayoOr5PeAAsOPM9dEuarYMkHnahRANCAARxzsQQzX3t2srgbVVqGdNJ81Krihy3
9bN9Qp4EHbCsn1pRbxsdQ5z18QfbcEHhSHX3A/BQ55jBi4hOo/x9IIBT
-----END PRIVATE KEY-----
"""


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # OpenSSL reads certificates from files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(CERTIFICATE + KEY)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def echo(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while line := await reader.readline():
            if line == b"STARTTLS\n":
                writer.write(b"go ahead\n")
                await writer.drain()
                await writer.start_tls(server_context())
            else:
                writer.write(line)
                await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass  # the client did not trust us, or left
    finally:
        writer.close()


async def ask(port: int, trusted: ssl.SSLContext, upgrade: bool) -> str:
    """Talks to the server; the version of TLS that was spoken."""
    reader, writer = await asyncio.open_connection(
        "localhost", port, ssl=None if upgrade else trusted
    )
    if upgrade:
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go ahead\n"
        await writer.start_tls(trusted, server_hostname="localhost")
    for number in range(MESSAGES):
        message = b"%d %s\n" % (number, os.urandom(100).hex().encode())
        writer.write(message)
        assert await reader.readline() == message
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return version


async def main() -> None:
    trusted = ssl.create_default_context(cadata=CERTIFICATE)
    secure = await asyncio.start_server(
        echo, "localhost", 0, ssl=server_context()
    )
    plain = await asyncio.start_server(echo, "localhost", 0)
    async with secure, plain:
        port = secure.sockets[0].getsockname()[1]
        try:
            await ask(port, ssl.create_default_context(), False)
        except ssl.SSLCertVerificationError:
            print("a client that does not know the certificate: refused")
        versions = await asyncio.gather(
            *(ask(port, trusted, False) for _ in range(CLIENTS)),
            *(ask(plain.sockets[0].getsockname()[1], trusted, True)
              for _ in range(CLIENTS)),
        )
    print(f"{len(versions)} clients, {len(versions) * MESSAGES} messages,"
          f" {', '.join(sorted(set(versions)))}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncloop.run(main())
