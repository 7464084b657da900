"""A service process for tests, run as a module: shares stub children, says so, and leaves when it is asked to.

usage: python -m tests.embedded.service_process FOLDER [NAME ...]
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from embedded.child import ChildSpec
from embedded.sharing import SharedChildren
from tests.embedded.stub import stub


async def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    asked_to_leave = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, asked_to_leave.set)

    async def specs() -> list[ChildSpec]:
        return [stub(folder / name) for name in names]

    async with SharedChildren(folder, specs):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asked_to_leave.wait()


if __name__ == "__main__":
    asyncio.run(main())
