"""A real-time processor: readings come in by UDP, figures go out on time.

    python examples/realtime.py

Shows datagrams, a clock that does not drift, windows of time, what is late
or lost counted and not waited for, and the loop's own metrics, which tell
whether the processor keeps up.
"""

import argparse
import asyncio
import math
import statistics
import struct

import asyncloop

SENSORS = 5
RATE = 200  # readings of each sensor in a second
WINDOW = 0.1
WINDOWS = 8
# sensor, serial number, time of the reading, value
READING = struct.Struct("!HIdd")


class Inbox(asyncio.DatagramProtocol):
    """Collects readings; notices those that are missing."""

    def __init__(self) -> None:
        self.readings: list[tuple[float, float]] = []
        self.last: dict[int, int] = {}
        self.lost = 0

    def datagram_received(self, data: bytes, address: object) -> None:
        sensor, serial, when, value = READING.unpack(data)
        self.lost += max(serial - self.last.get(sensor, -1) - 1, 0)
        self.last[sensor] = serial
        self.readings.append((when, value))

    def take(self) -> list[tuple[float, float]]:
        taken, self.readings = self.readings, []
        return taken


async def sense(sensor: int, transport: asyncio.DatagramTransport) -> None:
    """Sends readings on time: each deadline comes from the first one."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    serial = 0
    while True:
        await asyncio.sleep(start + serial / RATE - loop.time())
        value = math.sin(serial / 20) + sensor
        # Every hundredth is lost on its way.
        if serial % 100 != 99:
            transport.sendto(READING.pack(sensor, serial, loop.time(), value))
        serial += 1


async def process(inbox: Inbox) -> list[float]:
    """The delay of each window's figures, in milliseconds."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    late = []
    for number in range(1, WINDOWS + 1):
        due = start + number * WINDOW
        await asyncio.sleep(due - loop.time())
        readings = inbox.take()
        delays = [loop.time() - when for when, _ in readings]
        mean = statistics.fmean(value for _, value in readings)
        late.append((loop.time() - due) * 1e3)
        print(f"{number * WINDOW:.1f} s: {len(readings)} readings,"
              f" mean {mean:.2f}, oldest {max(delays) * 1e3:.0f} ms")
    return late


async def main() -> None:
    loop = asyncio.get_running_loop()
    receiver, inbox = await loop.create_datagram_endpoint(
        Inbox, local_addr=("127.0.0.1", 0)
    )
    sender, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol,
        remote_addr=receiver.get_extra_info("sockname"),
    )
    sensors = [
        asyncio.create_task(sense(number, sender))
        for number in range(SENSORS)
    ]
    late = await process(inbox)
    for sensor in sensors:
        sensor.cancel()
    await asyncio.gather(*sensors, return_exceptions=True)
    sender.close()
    receiver.close()
    print(f"{inbox.lost} readings lost; figures were {max(late):.2f} ms late"
          f" at worst")
    if isinstance(loop, asyncloop.Loop):
        latency = loop.metrics().loop_latency
        print(f"loop latency: half below {latency.p50 * 1e3:.3f} ms,"
              f" 99 % below {latency.p99 * 1e3:.3f} ms")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    asyncloop.run(main())
