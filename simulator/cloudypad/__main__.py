"""The executable."""

from __future__ import annotations

import os
import signal
import sys

from simulator.cloudypad.commands import run
from simulator.cloudypad.terminal import end_of_run

KILLED = 143


def main() -> int:
    # Node ends at once and leaves its children to themselves.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(KILLED))
    return end_of_run(lambda: run(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
