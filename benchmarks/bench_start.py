"""What it costs to start."""

from __future__ import annotations

import statistics
import subprocess
import sys

from registry import Goal, Loop, measured

TIMES = 7

# CPU time, since what the disk does is not the loop's doing; the compiled
# files are there, because this process has imported them.
SCRIPT = """
import asyncio, sys, time
start = time.process_time_ns()
__import__(sys.argv[1])
print(time.process_time_ns() - start)
"""


def import_time(loop: Loop) -> dict[str, float]:
    """Milliseconds to import the loop's package where asyncio is imported.

    The least of several fresh processes: everything that disturbs an import
    makes it longer.
    """
    package = type(loop).__module__.partition(".")[0]
    command = [sys.executable, "-c", SCRIPT, package]
    found = []
    for _ in range(TIMES):
        run = subprocess.run(
            command, capture_output=True, text=True, check=True
        )
        found.append(int(run.stdout) / 1e6)
    return {"value": min(found), "median": statistics.median(found)}


measured(
    "import",
    "import of the package over import asyncio",
    "ms CPU",
    import_time,
    Goal("value", 3),
    without=("asyncio",),
)
