"""The executable `cloudypad`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from simulator.cloudypad import world

FILE = "cloudypad"
ROOT = Path(__file__).resolve().parents[2]


def install(folder: Path, *, machines: Path, control_url: str, clock_factor: float) -> Path:
    """Write the launcher into `folder` and return its path. It needs nothing of its caller's environment."""
    variables = {
        "PYTHONPATH": str(ROOT),
        world.MACHINES_FOLDER: str(machines.resolve()),
        world.CONTROL_URL: control_url,
        world.CLOCK_FACTOR: str(clock_factor),
    }
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    command = f"exec {shlex.quote(sys.executable)} -m simulator.cloudypad"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    draft = path.with_suffix(".new")
    draft.write_text(f'#!/bin/sh\n{exports}{command} "$@"\n')
    draft.chmod(0o755)
    draft.replace(path)
    return path
