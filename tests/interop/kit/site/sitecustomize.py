"""Makes the loop that a program gets without asking one of ours.

Put in front by PYTHONPATH, for the programs that have no option for it.
"""

import os
import sys


def install() -> None:
    import asyncio
    import importlib

    module = importlib.import_module(os.environ["INTEROP_LOOP"])
    asyncio.new_event_loop = module.new_event_loop
    asyncio.events.new_event_loop = module.new_event_loop
    if sys.version_info < (3, 14):
        # Here get_event_loop() makes a loop, and the policy chooses it.
        asyncio.set_event_loop_policy(module.EventLoopPolicy())


if os.environ.get("INTEROP_LOOP", "asyncio") != "asyncio":
    install()
