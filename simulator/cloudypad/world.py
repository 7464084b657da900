"""The facts of the simulated world that the imitation needs and the real tool does not.

The launcher passes them on in the environment. Without them the ports and the clock are the real ones.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path
from typing import Any

CLOCK_FACTOR = "SIMULATOR_CLOCK_FACTOR"
MACHINES_FOLDER = "SIMULATOR_MACHINES"
CONTROL_URL = "SIMULATOR_CONTROL_URL"
SSH_PORT = 22
CONTROL_TIMEOUT_S = 10


def factor() -> float:
    return float(os.environ.get(CLOCK_FACTOR, "1"))


def sleep(simulated_s: float) -> None:
    time.sleep(simulated_s / factor())


def ssh_port(host: str, name: str) -> int:
    """Return the port that leads to port 22 of a machine. It differs where machines share an address."""
    ports = _ports_at(host)
    if len(ports) == 1:
        return ports[0]
    return _port_by_name(name) if ports else SSH_PORT


def _ports_at(host: str) -> list[int]:
    folder = os.environ.get(MACHINES_FOLDER)
    addresses = [json.loads(path.read_text()) for path in Path(folder).glob("*/address.json")] if folder else []
    return [int(one["ports"].get(str(SSH_PORT), SSH_PORT)) for one in addresses if one["ip"] == host]


def _port_by_name(name: str) -> int:
    """Return the port of the machine that its cloud calls like the instance, among those that share an address."""
    machines: list[dict[str, Any]] = []
    for cloud in ("machines", "gcp/machines"):
        url = f"{os.environ[CONTROL_URL]}/{cloud}"
        with urllib.request.urlopen(url, timeout=CONTROL_TIMEOUT_S) as answer:  # noqa: S310 - the simulator's own
            machines += json.load(answer)["machines"]
    found = [machine for machine in machines if machine["name"] == name and machine.get("ports")]
    return int(found[-1]["ports"].get(str(SSH_PORT), SSH_PORT)) if found else SSH_PORT
