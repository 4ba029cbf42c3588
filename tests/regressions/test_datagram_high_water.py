"""anyio sets a high-water mark of 0 and looks, after sendto(), whether
pause_writing was called. It was called when the callback was through.
"""

import asyncio
import contextlib
import socket

from support.loops import run_until


class Pausing(asyncio.DatagramProtocol):
    paused = False

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False


def test_a_mark_of_zero_pauses_within_sendto(loop, tmp_path) -> None:
    ours, peer = (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)
    )
    ours.bind(str(tmp_path / "ours"))
    peer.bind(str(tmp_path / "peer"))
    ours.connect(str(tmp_path / "peer"))
    peer.setblocking(False)
    ours.setblocking(False)
    with peer:
        transport, protocol = loop.run_until_complete(
            loop.create_datagram_endpoint(Pausing, sock=ours)
        )
        transport.set_write_buffer_limits(0)

        async def fill() -> int:
            count = 0
            while not protocol.paused:
                transport.sendto(b"x" * 64)
                count += 1
                assert count < 10_000, "sendto() never paused the protocol"
            return count

        count = loop.run_until_complete(fill())
        with contextlib.suppress(BlockingIOError):
            while peer.recv(100):
                count -= 1
        assert count == 1, "more than one waited"
        run_until(loop, lambda: not protocol.paused)
        transport.close()
        run_until(loop, lambda: ours.fileno() == -1)
