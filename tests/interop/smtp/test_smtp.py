"""aiosmtplib sends to aiosmtpd, both on the same loop.

aiosmtpd starts TLS by putting asyncio's own SSLProtocol on our transport.
"""

import asyncio
from email.message import EmailMessage

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from support import tls


class Box:
    """Keeps what was delivered."""

    def __init__(self):
        self.messages = []

    async def handle_DATA(self, server, session, envelope):
        self.messages.append((
            envelope.mail_from, envelope.rcpt_tos, envelope.content,
            session.ssl is not None,
        ))
        return "250 kept"


def letter(number: int, size: int = 100) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "sender@localhost.localdomain"
    message["To"] = f"receiver{number}@localhost.localdomain"
    message["Subject"] = f"number {number}"
    message.set_content("line of text\n" * (size // 12))
    return message


def deliver(run, test, *, implicit=False, **options):
    """Runs test(port) with a server; what it got."""

    async def main():
        box = Box()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(box, hostname="localhost", **options),
            "127.0.0.1", 0, ssl=tls.server_context() if implicit else None,
        )
        try:
            await test(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await server.wait_closed()
        return box.messages

    return run(main())


def client(port: int, **options) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname="localhost", port=port, timeout=20,
        tls_context=tls.client_context(), **options,
    )


def test_plain(run):
    async def test(port):
        async with client(port, start_tls=False) as smtp:
            for number in range(20):
                await smtp.send_message(letter(number))

    messages = deliver(run, test)
    assert [message[1] for message in messages] == [
        [f"receiver{number}@localhost.localdomain"] for number in range(20)
    ]
    assert not any(message[3] for message in messages)


def test_many_clients(run):
    async def send(port, number):
        async with client(port, start_tls=False) as smtp:
            await smtp.send_message(letter(number))

    async def test(port):
        await asyncio.gather(*(send(port, number) for number in range(50)))

    assert len(deliver(run, test)) == 50


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_starttls(run, size):
    async def test(port):
        async with client(port, start_tls=True) as smtp:
            await smtp.send_message(letter(1, size))

    [message] = deliver(
        run, test, tls_context=tls.server_context(), require_starttls=True
    )
    assert message[3]
    assert message[2].count(b"line of text") == size // 12


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_implicit_tls(run, size):
    async def test(port):
        async with client(port, use_tls=True) as smtp:
            await smtp.send_message(letter(1, size))

    [message] = deliver(run, test, implicit=True)
    assert message[2].count(b"line of text") == size // 12


def test_authentication_over_tls(run):
    def check(server, session, envelope, mechanism, data):
        # Not handled: the server is to answer a refusal.
        return AuthResult(success=data.password == b"secret", handled=False)

    async def test(port):
        async with client(port, start_tls=True) as smtp:
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await smtp.login("user", "wrong")
            await smtp.login("user", "secret")
            await smtp.send_message(letter(1))

    messages = deliver(
        run, test, tls_context=tls.server_context(), authenticator=check,
        auth_required=True,
    )
    assert len(messages) == 1


def test_a_refused_recipient_is_told(run):
    class Strict(Box):
        async def handle_RCPT(self, server, session, envelope, *rest):
            return "550 nobody here"

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Strict(), hostname="localhost"), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        async with client(port, start_tls=False) as smtp:
            with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as info:
                await smtp.send_message(letter(1))
        server.close()
        await server.wait_closed()
        return info.value.recipients[0].code

    assert run(main()) == 550
