"""From the start of a child to its end: who hears what, and in which order."""

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from asyncio.subprocess import DEVNULL, PIPE

import pytest

from support import loops
from support.net import in_loop, settle, until


class Notes(asyncio.SubprocessProtocol):
    def __init__(self, loop):
        self.calls = []
        self.data = {1: b"", 2: b""}
        self.exited = loop.create_future()
        self.lost = loop.create_future()

    def connection_made(self, transport):
        self.calls.append("made")

    def pipe_data_received(self, fd, data):
        if self.calls[-1] != ("data", fd):
            self.calls.append(("data", fd))
        self.data[fd] += data

    def pipe_connection_lost(self, fd, error):
        self.calls.append(("pipe lost", fd, error))

    def process_exited(self):
        self.calls.append("exited")
        self.exited.set_result(None)

    def connection_lost(self, error):
        self.calls.append(("lost", error))
        self.lost.set_result(None)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


@in_loop
async def test_a_transport_is_what_asyncio_says(loop):
    transport, protocol = await loop.subprocess_exec(
        lambda: Notes(loop), "/bin/cat"
    )
    assert isinstance(transport, asyncio.SubprocessTransport)
    assert protocol.calls == ["made"]
    assert transport.get_protocol() is protocol
    assert transport.get_returncode() is None
    assert isinstance(transport.get_pid(), int)
    assert not transport.is_closing()
    assert isinstance(transport.get_pipe_transport(0), asyncio.WriteTransport)
    assert isinstance(transport.get_pipe_transport(1), asyncio.ReadTransport)
    assert transport.get_pipe_transport(3) is None
    popen = transport.get_extra_info("subprocess")
    assert isinstance(popen, subprocess.Popen)
    assert popen is transport.get_extra_info("subprocess")
    assert popen.pid == transport.get_pid() and popen.returncode is None
    assert popen.stdin.fileno() >= 0 and popen.args == ("/bin/cat",)
    assert transport.get_extra_info("other", 5) == 5
    transport.get_pipe_transport(0).close()
    await protocol.lost
    assert popen.returncode == 0 == transport.get_returncode()
    with pytest.raises(ProcessLookupError):
        transport.kill()
    transport.close()
    assert transport.is_closing()


@in_loop
async def test_calls_come_in_asyncios_order(loop):
    transport, protocol = await loop.subprocess_shell(
        lambda: Notes(loop), "echo out; echo err >&2; exit 7"
    )
    await protocol.lost
    assert protocol.calls[0] == "made"
    assert protocol.calls[-1] == ("lost", None)
    assert protocol.data == {1: b"out\n", 2: b"err\n"}
    for fd in (1, 2):
        assert protocol.calls.index(("data", fd)) < protocol.calls.index(
            ("pipe lost", fd, None)
        )
    assert protocol.calls.count("exited") == 1
    assert ("pipe lost", 0, None) in protocol.calls
    assert transport.get_returncode() == 7
    transport.close()


@in_loop
async def test_a_pipe_that_a_grandchild_keeps_delays_only_the_end(loop):
    transport, protocol = await loop.subprocess_shell(
        lambda: Notes(loop), "cat <&0 & exit 0", stdin=PIPE, stderr=DEVNULL
    )
    # The grandchild has the standard input of /dev/null: ends by itself.
    await protocol.exited
    await protocol.lost
    assert protocol.calls[-1] == ("lost", None)
    transport.close()


@pytest.mark.native_only(
    reason="asyncio's wait() waited for the pipes up to 3.13"
)
@in_loop
async def test_wait_does_not_wait_for_a_grandchilds_pipes(loop):
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_shell(
        "cat & exit 3", stdin=reader, stdout=PIPE
    )
    # `&` takes the input away from cat, which is given it back.
    os.close(reader)
    assert await asyncio.wait_for(process.wait(), 10) == 3
    os.close(writer)
    assert await process.stdout.read() == b""


@in_loop
async def test_a_child_may_close_its_output_early(loop):
    transport, protocol = await loop.subprocess_shell(
        lambda: Notes(loop), "exec >&-; read line", stderr=DEVNULL
    )
    await until(lambda: ("pipe lost", 1, None) in protocol.calls)
    assert not protocol.exited.done()
    transport.get_pipe_transport(0).write(b"\n")
    await protocol.lost
    assert transport.get_returncode() == 0
    transport.close()


@in_loop
async def test_signals_end_a_child(loop):
    for send, number in (
        (lambda p: p.kill(), signal.SIGKILL),
        (lambda p: p.terminate(), signal.SIGTERM),
        (lambda p: p.send_signal(signal.SIGINT), signal.SIGINT),
    ):
        process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
        send(process)
        assert await process.wait() == -number
    process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
    with pytest.raises(OSError):
        process.send_signal(1000)
    process.kill()
    await process.wait()


@pytest.mark.native_only(
    reason="on 3.11 asyncio's send_signal may wait for the child: 255"
)
@in_loop
async def test_a_signal_after_the_end_goes_nowhere(loop):
    process = await asyncio.create_subprocess_exec("/bin/true")
    # It has ended, which the loop has not seen.
    while running(process.pid) not in ("Z", None):
        pass
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    await settle()
    with pytest.raises(ProcessLookupError):
        process.kill()


@in_loop
async def test_closing_kills_a_child(loop):
    transport, protocol = await loop.subprocess_exec(
        lambda: Notes(loop), "/bin/sleep", "60"
    )
    transport.close()
    transport.close()
    await protocol.lost
    assert transport.get_returncode() == -signal.SIGKILL
    assert protocol.calls[-1] == ("lost", None)


@pytest.mark.parametrize("turns", range(6))
@in_loop
async def test_communicate_may_be_cancelled_at_every_await(loop, turns):
    process = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    task = asyncio.ensure_future(process.communicate(b"x" * 300_000))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    process.kill()
    process._transport.close()
    await process.wait()
    await settle()


@pytest.mark.parametrize("turns", range(3))
@in_loop
async def test_starting_may_be_cancelled(loop, turns):
    task = asyncio.ensure_future(
        asyncio.create_subprocess_exec("/bin/cat", stdin=PIPE, stdout=PIPE)
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        process = await task
    except asyncio.CancelledError:
        pass
    else:
        await process.communicate(b"")
    await settle()


@in_loop
async def test_waiters_that_are_cancelled_are_forgotten(loop):
    process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
    for _ in range(3):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), 0.001)
    waits = [asyncio.ensure_future(process.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    process.kill()
    assert await asyncio.gather(*waits) == [-9] * 3
    assert await process.wait() == -9


@in_loop
async def test_failed_starts_leave_no_descriptor(loop):
    async def fail(program):
        with pytest.raises(OSError) as caught:
            await asyncio.create_subprocess_exec(
                program, stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
        return caught.value

    error = await fail("/nonexistent/program")
    assert type(error) is FileNotFoundError
    assert error.filename == "/nonexistent/program"
    assert type(await fail("/etc/passwd")) is PermissionError
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        await fail("/nonexistent/program")
    assert len(os.listdir("/proc/self/fd")) == before


@in_loop
async def test_many_children_end_at_once(loop):
    await burst(200)


@pytest.mark.slow
@pytest.mark.native_only(reason="one loop is enough for so many")
@in_loop
async def test_ten_thousand_children_end_in_bursts(loop):
    for _ in range(20):
        await burst(500)


async def burst(count):
    reader, writer = os.pipe()
    children = [
        await asyncio.create_subprocess_exec(
            "/bin/cat", stdin=reader, stdout=DEVNULL
        )
        for _ in range(count)
    ]
    os.close(reader)
    os.close(writer)
    codes = await asyncio.gather(*[process.wait() for process in children])
    assert codes == [0] * count
    assert not any(running(process.pid) for process in children)


def test_loops_in_threads_start_children_side_by_side(new_loop):
    results = []

    async def work():
        for n in range(20):
            process = await asyncio.create_subprocess_shell(
                f"exit {n}", stdin=DEVNULL
            )
            results.append(await process.wait() == n)

    def run(loop):
        loop.run_until_complete(work())
        loop.close()

    threads = [
        threading.Thread(target=run, args=(new_loop(),)) for _ in range(3)
    ]
    if sys.version_info < (3, 12):
        asyncio.get_child_watcher()  # not made by two threads at once
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 60


@in_loop
async def test_variables_of_the_context_reach_the_protocol(loop):
    import contextvars

    variable = contextvars.ContextVar("variable", default="none")
    seen = set()

    class Looks(Notes):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.add(("made", variable.get()))

        def pipe_data_received(self, fd, data):
            super().pipe_data_received(fd, data)
            seen.add(("data", variable.get()))
            variable.set("changed")

        def connection_lost(self, error):
            super().connection_lost(error)
            seen.add(("lost", variable.get()))

    variable.set("mine")
    transport, protocol = await loop.subprocess_shell(
        lambda: Looks(loop), "echo a; echo b >&2"
    )
    variable.set("later")
    await protocol.lost
    transport.close()
    if loops.PY312 or "asyncloop" in type(loop).__module__:
        # In a thread of asyncio's child watcher no variables are known.
        assert ("lost", "mine") in seen
    seen = {(what, value) for what, value in seen if what != "lost"}
    assert {what for what, _ in seen} == {"made", "data"}
    assert {value for _, value in seen} == {"mine"}


@in_loop
async def test_the_representation_tells_the_state(loop):
    transport, protocol = await loop.subprocess_exec(
        lambda: Notes(loop), "/bin/cat", stderr=None
    )
    text = repr(transport)
    assert f" pid={transport.get_pid()} running stdin=<" in text
    assert " stdout=<" in text and "stderr" not in text
    transport.get_pipe_transport(0).close()
    await protocol.lost
    transport.close()
    assert f" closed pid={transport.get_pid()} returncode=0 " in repr(transport)


@in_loop
async def test_debug_mode_logs_start_and_end(loop, caplog):
    loop.set_debug(True)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
        process._transport.close()
        await process.wait()
        await settle()
    loop.set_debug(False)
    text = caplog.text
    assert f"process '/bin/sleep' created: pid {process.pid}" in text
    assert "execute program '/bin/sleep'" in text
    assert "Close running child process: kill <" in text
    assert "exited with return code -9" in text


@in_loop
async def test_an_unclosed_transport_warns(loop):
    transport, protocol = await loop.subprocess_exec(
        lambda: Notes(loop), "/bin/true"
    )
    await protocol.lost
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport
        gc.collect()
    assert [str(w.message)[:20] for w in caught] == ["unclosed transport <"]


@in_loop
async def test_exceptions_of_the_protocol_are_reported(loop):
    errors = []
    loop.set_exception_handler(lambda _, context: errors.append(context))

    class Raises(Notes):
        def process_exited(self):
            super().process_exited()
            raise ZeroDivisionError

    transport, protocol = await loop.subprocess_exec(
        lambda: Raises(loop), "/bin/true"
    )
    await protocol.lost
    transport.close()
    assert [type(context["exception"]) for context in errors] == [
        ZeroDivisionError
    ]


@in_loop
async def test_a_replaced_connect_read_pipe_is_called(loop):
    calls = []
    real = loop.connect_read_pipe

    async def connect(*args):
        calls.append(args)
        return await real(*args)

    loop.connect_read_pipe = connect
    process = await asyncio.create_subprocess_exec(
        "/bin/cat", stdin=PIPE, stdout=PIPE
    )
    assert await process.communicate(b"text") == (b"text", None)
    del loop.connect_read_pipe
    assert len(calls) == 1


@pytest.mark.native_only(reason="asyncio says 255, and warns")
@in_loop
async def test_a_child_that_its_popen_waited_for_keeps_its_status(loop):
    process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
    popen = process._transport.get_extra_info("subprocess")
    process.terminate()
    assert popen.wait() == -15
    assert await process.wait() == -15


@pytest.mark.native_only(reason="asyncio's thread of 3.11 waits first")
@in_loop
async def test_a_child_that_somebody_waited_for_is_255(loop, caplog):
    process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
    process.kill()
    os.waitpid(process.pid, 0)
    assert await process.wait() == 255
    assert "exit status already read" in caplog.text


@pytest.mark.native_only(reason="asyncio's stays one until the next Popen")
def test_a_closed_loop_leaves_no_zombie(child):
    text = child.succeed(
        """
        import gc, warnings
        warnings.simplefilter("ignore")
        async def main():
            return await asyncio.create_subprocess_exec("/bin/cat", stdin=read)
        read, write = os.pipe()
        loop = new_loop()
        process = loop.run_until_complete(main())
        loop.close()
        os.close(read)
        os.close(write)
        path = f"/proc/{process.pid}"
        end = time.monotonic() + 10
        while os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.01)
        os.write(1, b"zombie" if os.path.exists(path) else b"done")
        os._exit(0)
        """
    )
    assert text == "done"


def test_a_forked_child_neither_kills_nor_waits(child):
    text = child.succeed(
        """
        import gc
        async def main():
            return await asyncio.create_subprocess_exec("/bin/sleep", "60")
        loop = new_loop()
        process = loop.run_until_complete(main())
        pid = os.fork()
        if pid == 0:
            process._transport.close()
            os._exit(0)
        os.waitpid(pid, 0)
        assert process.returncode is None
        process.terminate()
        assert loop.run_until_complete(process.wait()) == -15
        process._transport.close()
        loop.close()
        """
    )
    assert text == ""
