"""A plugin of pytest: says how many loops of the kind a run has made.

None at all means that the suite makes its loops in a way of its own, and has
proved nothing.
"""

import asyncio
import os
import sys

MADE = []


def pytest_configure(config):
    kind = os.environ["INTEROP_LOOP"]
    original = asyncio.events.new_event_loop

    def new_event_loop():
        loop = original()
        if type(loop).__module__.partition(".")[0] == kind:
            MADE.append(None)
        return loop

    asyncio.new_event_loop = asyncio.events.new_event_loop = new_event_loop
    if sys.version_info >= (3, 14):
        return
    policy = asyncio.get_event_loop_policy()
    of_policy = policy.new_event_loop

    def counted():
        MADE.append(None)
        return of_policy()

    if kind != "asyncio":
        policy.new_event_loop = counted


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"loops made: {len(MADE)}")
