"""`python -m simulator`: the simulated world as a process, for gateways elsewhere on this machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shlex
import signal
import sys
from pathlib import Path
from typing import Final

from simulator.clock import DEFAULT_FACTOR
from simulator.delays import NAMED
from simulator.simulation import Simulation, SimulationError, SimulationOptions

USUAL_PORT: Final = 8790
FASTEST: Final = 100_000


def main() -> int:
    options = _options(_arguments())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)  # a dozen lines for each command on a machine
    try:
        asyncio.run(_serve(options))
    except SimulationError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 1
    return 0


async def _serve(options: SimulationOptions) -> None:
    ended = asyncio.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, ended.set)
    async with Simulation(options) as simulation:
        for name, value in simulation.environment().items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
        sys.stdout.write(f"# the simulator serves on {simulation.url}, its controls on {simulation.control_url}\n")
        sys.stdout.flush()
        await ended.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description="Simulated clouds on loopback. Prints the variables that point to them."
    )
    parser.add_argument("--port", type=_port, default=USUAL_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--state-dir", type=Path, default=Path(".data/simulator"), help="what outlives a restart (default: %(default)s)"
    )
    parser.add_argument(
        "--clock-factor", type=_factor, default=DEFAULT_FACTOR, help="times real time; 1 is real (default: %(default)s)"
    )
    parser.add_argument(
        "--delays", choices=NAMED, default="short", help="how long things take on machines (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of all chance (default: %(default)s)")
    return parser.parse_args()


def _options(arguments: argparse.Namespace) -> SimulationOptions:
    return SimulationOptions(
        state_dir=arguments.state_dir,
        port=arguments.port,
        clock_factor=arguments.clock_factor,
        seed=arguments.seed,
        delays=NAMED[arguments.delays],
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a number from 0 to 65535")
    return int(text)


def _factor(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= FASTEST:
            return float(text)
    raise argparse.ArgumentTypeError(f"a number above 0, up to {FASTEST}")


if __name__ == "__main__":
    sys.exit(main())
