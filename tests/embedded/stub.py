"""Specs of stub children, and what a test can see of a child from outside."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from embedded.child import ChildSpec
from embedded.locks import FileLock

SERVER = Path(__file__).with_name("stub_server.py")


def stub(folder: Path, *manner: str, version: str = "1", **more: Any) -> ChildSpec:
    def command(port: int) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", str(SERVER), str(port), *manner)

    return ChildSpec(folder.name, "the stub", folder, version, command, **more)


def process_id(folder: Path) -> int:
    return int((folder / "lock").read_text())


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def gone(folder: Path, within_s: float = 5) -> bool:
    """Whether the child of this folder ends, or has ended."""
    lock = FileLock(folder / "lock")
    try:
        return await lock.wait(within_s)
    finally:
        lock.close()


def port_of(folder: Path) -> int:
    return int(json.loads((folder / "record.json").read_text())["port"])
