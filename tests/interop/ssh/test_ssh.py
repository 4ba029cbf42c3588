"""asyncssh: a server and its client, commands, files, forwarding."""

import asyncio
import sys

import asyncssh
import pytest


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == ("tester", "secret")

    def connection_requested(self, *addresses):
        return True


async def run_command(process):
    """What the client asks to run is run for real."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", process.command,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await process.redirect(child.stdin, child.stdout, child.stderr)
    status = await child.wait()
    # From Python 3.14 on, and on our loop, what it wrote may still be on its
    # way when it has ended.
    await process.stdout.drain()
    await process.stderr.drain()
    process.exit(status)


@pytest.fixture
def on_connection(run, tmp_path):
    def on_connection(test):
        async def main():
            key = asyncssh.generate_private_key("ssh-ed25519")
            server = await asyncssh.create_server(
                Server, "127.0.0.1", 0, server_host_keys=[key],
                process_factory=run_command,
                sftp_factory=lambda channel: asyncssh.SFTPServer(
                    channel, chroot=str(tmp_path)
                ),
            )
            async with server, asyncssh.connect(
                "127.0.0.1", server.get_port(), username="tester",
                password="secret", config=None,
                known_hosts=([key.convert_to_public()], [], []),
            ) as connection:
                return await test(connection)

        return run(main())

    return on_connection


def test_commands_at_once(on_connection):
    async def test(connection):
        done = await asyncio.gather(*(
            connection.run(f"print({number} * 2)") for number in range(5)
        ))
        failed = await connection.run("raise SystemExit(3)")
        return [int(one.stdout) for one in done], failed.exit_status

    assert on_connection(test) == ([0, 2, 4, 6, 8], 3)


def test_input_goes_to_a_command(on_connection):
    code = "import sys; sys.stdout.write(sys.stdin.read().upper())"

    async def test(connection):
        return (await connection.run(code, input="text" * 20_000)).stdout

    assert on_connection(test) == "TEXT" * 20_000


def test_files_by_sftp(on_connection, tmp_path):
    data = bytes(range(256)) * 4000
    (tmp_path / "one").write_bytes(data)

    async def test(connection):
        async with connection.start_sftp_client() as sftp:
            async with sftp.open("one", "rb") as file:
                read = await file.read()
            async with sftp.open("two", "wb") as file:
                await file.write(read[::-1])
            return sorted(set(await sftp.listdir()) - {".", ".."})

    assert on_connection(test) == ["one", "two"]
    assert (tmp_path / "two").read_bytes() == data[::-1]


def test_a_forwarded_port(on_connection):
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    async def test(connection):
        target = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with target:
            port = target.sockets[0].getsockname()[1]
            listener = await connection.forward_local_port(
                "127.0.0.1", 0, "127.0.0.1", port
            )
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", listener.get_port()
            )
            writer.write(b"hello\n")
            said = await reader.readline()
            writer.close()
            listener.close()
            await listener.wait_closed()
            return said

    assert on_connection(test) == b"HELLO\n"


def test_a_wrong_password_is_refused(run):
    async def main():
        key = asyncssh.generate_private_key("ssh-ed25519")
        async with await asyncssh.create_server(
            Server, "127.0.0.1", 0, server_host_keys=[key]
        ) as server:
            with pytest.raises(asyncssh.PermissionDenied):
                await asyncssh.connect(
                    "127.0.0.1", server.get_port(), username="tester",
                    password="wrong", known_hosts=None, config=None,
                    client_keys=None, agent_path=None,
                )

    run(main())
