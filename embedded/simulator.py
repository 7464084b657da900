"""The simulated clouds as a child process, for developers without an account at a cloud."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedded.child import ChildSpec

PROJECT: Final = Path(__file__).resolve().parents[1]
READY_LINE: Final = "# the simulator serves on"


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How much faster than real time the simulator runs, and its random seed."""

    clock_factor: float = 10.0
    seed: int = 1


def simulator_spec(folder: Path, options: SimulatorOptions) -> ChildSpec:
    """Return how to run the simulator."""

    def command(port: int) -> tuple[str, ...]:
        return (
            *(sys.executable, "-m", "simulator", "--port", str(port)),
            *("--state-dir", str(folder / "data")),
            *("--clock-factor", str(options.clock_factor), "--seed", str(options.seed)),
        )

    return ChildSpec("simulator", "the cloud simulator", folder, "1", command, working_folder=PROJECT, ready=_ready)


async def _ready(_port: int, output: str) -> bool:
    return READY_LINE in output


def simulator_environment(output: str) -> Mapping[str, str]:
    """Return the settings that point at the simulator, from the lines `export NAME=value` that it prints."""
    variables = {}
    for line in output.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["export"]:
            name, _, value = words[1].partition("=")
            variables[name] = value
    return variables
