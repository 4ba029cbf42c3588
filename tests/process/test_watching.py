"""How the end of a child is seen, where the usual way is not to be had."""

import asyncio
import errno
import os
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

from support.net import in_loop

pytestmark = pytest.mark.native_only(reason="how asyncio waits is its own")


def no_pidfd(pid, flags=0):
    raise OSError(errno.ENOSYS, "not here")


@in_loop
async def test_a_thread_waits_where_there_is_no_pidfd(loop, monkeypatch):
    monkeypatch.setattr(os, "pidfd_open", no_pidfd)
    children = [
        await asyncio.create_subprocess_exec("/bin/cat", stdin=PIPE)
        for _ in range(20)
    ]
    children[0].kill()
    assert await children[0].wait() == -9
    for process in children[1:]:
        process.stdin.close()
    assert await asyncio.gather(
        *[process.wait() for process in children[1:]]
    ) == [0] * 19
    process = await asyncio.create_subprocess_shell("exit 5", stdout=PIPE)
    assert await process.communicate() == (b"", None)
    assert process.returncode == 5


def test_without_pidfd_a_closed_loop_leaves_no_zombie(child):
    child.succeed(
        """
        import warnings
        warnings.simplefilter("ignore")
        del os.pidfd_open
        async def main():
            return await asyncio.create_subprocess_exec("/bin/cat", stdin=read)
        read, write = os.pipe()
        loop = new_loop()
        process = loop.run_until_complete(main())
        loop.close()
        os.close(read)
        os.close(write)
        end = time.monotonic() + 10
        while os.path.exists(f"/proc/{process.pid}"):
            assert time.monotonic() < end
            time.sleep(0.01)
        process._transport.kill()
        os._exit(0)
        """
    )


@in_loop
async def test_a_descriptor_too_many_is_an_error_and_no_child(
    loop, monkeypatch
):
    def no_more(*args):
        raise OSError(errno.EMFILE, "too many")

    pids = []

    def pidfd(pid, flags=0):
        pids.append(pid)
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os, "pidfd_open", pidfd)
    monkeypatch.setattr(type(loop), "_watch_child", no_more)
    with pytest.raises(OSError, match="too many"):
        await asyncio.create_subprocess_exec("/bin/sleep", "60", stdout=PIPE)
    assert not os.path.exists(f"/proc/{pids[0]}")


def test_children_that_the_kernel_waits_for_have_ended(child):
    child.run(
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        async def main():
            process = await asyncio.create_subprocess_exec("/bin/true")
            assert await asyncio.wait_for(process.wait(), 10) == 255
            process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
            process.kill()
            assert await asyncio.wait_for(process.wait(), 10) == 255
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
        """
    ).check_returncode()


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Python 3.14 has no child watchers"
)
def test_a_child_watcher_of_the_programs_own_is_honoured(child):
    child.succeed(
        """
        import warnings
        warnings.simplefilter("ignore")
        class Watcher(asyncio.ThreadedChildWatcher):
            seen = 0
            def add_child_handler(self, *args):
                Watcher.seen += 1
                super().add_child_handler(*args)
        asyncio.set_child_watcher(Watcher())
        async def main():
            process = await asyncio.create_subprocess_shell("exit 4")
            assert await process.wait() == 4
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
        assert Watcher.seen == 1
        """
    )
