"""What a child is started with: every option, as subprocess.Popen has it."""

import asyncio
import grp
import os
import pwd
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT

import pytest

from support.net import in_loop


async def output(program, *args, **options):
    process = await asyncio.create_subprocess_exec(
        program, *args, stdout=PIPE, **options
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


async def shell(text, **options):
    return await output("/bin/sh", "-c", text, **options)


@in_loop
async def test_the_environment_is_the_one_given(loop):
    env = {"ONE": "1", b"TWO": b"2"}
    assert set((await output("/usr/bin/env", env=env)).split()) == {
        "ONE=1", "TWO=2",
    }
    assert await output("/usr/bin/env", env={}) == ""
    with pytest.raises(ValueError, match="illegal environment variable"):
        await output("/usr/bin/env", env={"A=B": "1"})


@in_loop
async def test_the_working_directory_is_the_one_given(loop, tmp_path):
    assert await output("/bin/pwd", cwd=tmp_path) == str(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        await output("/bin/pwd", cwd=tmp_path / "none")
    assert caught.value.filename == tmp_path / "none"


@in_loop
async def test_a_program_is_looked_for_on_the_path(loop, tmp_path):
    program = tmp_path / "hello"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    path = f"{tmp_path}:/bin:/usr/bin"
    assert await output("hello", env={"PATH": path}) == "hello"
    assert await output(program) == "hello"
    assert await output("other", executable=program) == "hello"


@in_loop
async def test_a_new_session_and_a_process_group_are_made(loop):
    ask = "import os; print(os.getsid(0) == os.getpid(), os.getpgid(0) == " \
        "os.getpid())"
    python = sys.executable, "-S", "-c", ask
    assert await output(*python) == "False False"
    assert await output(*python, start_new_session=True) == "True True"
    assert await output(*python, process_group=0) == "False True"


@in_loop
async def test_the_umask_is_the_one_given(loop):
    assert await shell("umask", umask=0o27) == "0027"


@in_loop
async def test_preexec_fn_runs_in_the_child(loop):
    mark = os.getpid()
    text = await output(
        "/bin/pwd", preexec_fn=lambda: os.getpid() != mark and os.chdir("/")
    )
    assert text == "/"
    with pytest.raises(subprocess.SubprocessError):
        await output("/bin/pwd", preexec_fn=lambda: 1 / 0)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change its user")
@in_loop
async def test_user_and_groups_are_the_ones_given(loop):
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid)
    options = dict(
        user="nobody", group=group.gr_name, extra_groups=[group.gr_name]
    )
    assert await output("/usr/bin/id", "-u", **options) == str(nobody.pw_uid)
    assert await output("/usr/bin/id", "-G", **options) == str(group.gr_gid)
    assert await output("/usr/bin/id", "-u", user=nobody.pw_uid) == str(
        nobody.pw_uid
    )
    with pytest.raises(ValueError, match="cannot be negative"):
        # Without a pipe: the Popen of early 3.11 would leave it open.
        await asyncio.create_subprocess_exec("/usr/bin/id", user=-5)


@in_loop
async def test_descriptors_are_closed_but_for_those_that_are_passed(loop):
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        there = f"test -e /proc/self/fd/{writer} && echo open || echo closed"
        assert await shell(there) == "closed"
        assert await shell(there, pass_fds=[writer]) == "open"
        assert await shell(there, close_fds=False) == "open"
    finally:
        os.close(reader)
        os.close(writer)


@in_loop
async def test_a_child_has_no_descriptor_but_its_three(loop):
    other = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=PIPE, stdout=PIPE
    )
    # ls itself opens the directory.
    assert (await output("/bin/ls", "/proc/self/fd")).split() == [
        "0", "1", "2", "3",
    ]
    await other.communicate(b"")


@in_loop
async def test_signals_that_python_ignores_are_restored(loop):
    ignored = "grep SigIgn /proc/self/status"
    bit = 1 << (signal.SIGPIPE - 1)
    restored = int((await shell(ignored)).split()[1], 16)
    kept = int((await shell(ignored, restore_signals=False)).split()[1], 16)
    assert not restored & bit and kept & bit


@in_loop
async def test_the_pipes_have_the_size_that_is_asked_for(loop):
    fcntl = pytest.importorskip("fcntl")
    process = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=PIPE, stdout=PIPE, pipesize=8192
    )
    pipe = process._transport.get_pipe_transport(0).get_extra_info("pipe")
    assert fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) == 8192
    await process.communicate(b"")


@in_loop
async def test_streams_may_be_files_descriptors_and_nothing(loop, tmp_path):
    path = tmp_path / "out"
    text = "cat; echo error >&2"
    source = tmp_path / "in"
    source.write_text("input\n")
    with path.open("wb") as file, source.open("rb") as feed:
        process = await asyncio.create_subprocess_shell(
            text, stdin=feed, stdout=file, stderr=STDOUT
        )
        assert process.stdin is process.stdout is process.stderr is None
        assert await process.wait() == 0
    assert path.read_text() == "input\nerror\n"
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    process = await asyncio.create_subprocess_shell(
        text, stdin=DEVNULL, stdout=DEVNULL, stderr=fd
    )
    assert await process.wait() == 0
    os.close(fd)
    assert path.read_text() == "error\n"


@in_loop
async def test_stderr_goes_where_stdout_goes(loop):
    process = await asyncio.create_subprocess_shell(
        "echo one; echo two >&2", stdout=PIPE, stderr=STDOUT
    )
    assert await process.communicate() == (b"one\ntwo\n", None)
    process = await asyncio.create_subprocess_shell(
        "echo one; echo two >&2", stdout=DEVNULL, stderr=PIPE
    )
    assert await process.communicate() == (None, b"two\n")


def test_stderr_alone_joins_our_standard_output(child):
    text = child.succeed(
        """
        async def main():
            process = await asyncio.create_subprocess_shell(
                "echo out; echo err >&2", stderr=asyncio.subprocess.STDOUT
            )
            await process.wait()
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
        """
    )
    assert text == "out\nerr\n"


def test_a_child_starts_where_our_own_streams_are_closed(child):
    text = child.succeed(
        """
        loop = new_loop()
        out = os.dup(1)
        os.close(0); os.close(1)
        async def main():
            process = await asyncio.create_subprocess_shell(
                "cat", stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            return await process.communicate(b"through")
        got, _ = loop.run_until_complete(main())
        loop.close()
        os.write(out, got)
        os.dup2(out, 1)
        """
    )
    assert text == "through"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"universal_newlines": True}, "universal_newlines must be False"),
        ({"shell": True}, "shell must be False"),
        ({"bufsize": 4096}, "bufsize must be 0"),
        ({"text": True}, "text must be False"),
        ({"encoding": "utf-8"}, "encoding must be None"),
        ({"errors": "strict"}, "errors must be None"),
    ],
)
@in_loop
async def test_what_asyncio_refuses_is_refused(loop, options, message):
    with pytest.raises(ValueError, match=message):
        await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "/bin/true", **options
        )


@in_loop
async def test_a_shell_command_is_text(loop):
    with pytest.raises(ValueError, match="cmd must be a string"):
        await loop.subprocess_shell(asyncio.SubprocessProtocol, ["true"])
    with pytest.raises(ValueError, match="shell must be True"):
        await loop.subprocess_shell(
            asyncio.SubprocessProtocol, "true", shell=False
        )


@in_loop
async def test_unknown_options_are_a_type_error(loop):
    with pytest.raises(TypeError, match="nonsense"):
        await output("/bin/true", nonsense=1)


@in_loop
async def test_arguments_of_the_wrong_type_are_a_type_error(loop):
    with pytest.raises(TypeError):
        await output("/bin/echo", 1)
    with pytest.raises(ValueError, match="null byte"):
        await output("/bin/echo", "a\0b")
    with pytest.raises(TypeError):
        await output("/bin/true", umask="x")


@in_loop
async def test_a_replaced_popen_is_what_starts_a_child(loop, monkeypatch):
    calls = []
    real = subprocess.Popen

    def popen(*args, **options):
        calls.append(args)
        return real(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    assert await output("/bin/echo", "hello") == "hello"
    assert len(calls) == 1


@in_loop
async def test_a_replaced_init_of_popen_is_called(loop, monkeypatch):
    calls = []
    real = subprocess.Popen.__init__

    def init(self, *args, **options):
        calls.append(args)
        real(self, *args, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", init)
    assert await output("/bin/echo", "hello") == "hello"
    assert len(calls) == 1


@in_loop
async def test_the_audit_event_is_raised(loop):
    seen = []
    active = True

    def hook(event, args):
        if active and event == "subprocess.Popen":
            seen.append(args)

    sys.addaudithook(hook)
    await output("/bin/echo", "hello", cwd="/")
    active = False
    assert [tuple(args)[0] for args in seen] == ["/bin/echo"]
    assert seen[0][2] == "/"
