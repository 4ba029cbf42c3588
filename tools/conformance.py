#!/usr/bin/env python3
"""Run CPython's own asyncio tests on asyncloop: see docs/conformance.md."""

import sys
from pathlib import Path

# The package beside this file has the same name; a package wins over a
# module in the same folder, and a plain script never imports itself.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from conformance.driver import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
