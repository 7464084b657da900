"""How long cold launches take until the game is playable, where the time goes, and how an earlier commit compares.

    python -m bench.launch [--launches 3] [--factor 20] [--against COMMIT]

Starts the service as processes of its own on simulated clouds with the public figures as delays (simulator/delays.py),
`factor` times as fast as real time. Each launch is one of its own, on a new machine. A player then pairs a device and
starts the game: playable is when its picture would come, so that a build which leaves the image to that moment pays for
it. Prints the time line of each launch in simulated seconds, its critical path, and what was spent beside it. With
`--against` an earlier commit is launched in the same simulated world, and the ratio of the medians is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from embedded.ports import free_port
from embedded.services import EmbeddedServices, Running
from models.launches import LaunchStepName
from schema.ids import key_of
from tests.e2e.service import ROOT, Deployment, Gateway, deployment

_READY_WITHIN_S: Final = 600.0
_LOOK_EVERY_S: Final = 0.2
_PIN: Final = "1234"
_GAME: Final = {"console": "GB", "gameId": "block-garden", "provider": "TENSORDOCK"}
_ORDER: Final = "mutation($input: LaunchGameInput!) { launchGame(input: $input) { launch { id } errors { message } } }"
_LOOK: Final = """query($id: ID!) { launch(id: $id) {
  status failure requestedAt readyAt steps { name startedAt finishedAt } vm { id } } }"""
_PAIR: Final = 'mutation($id: ID!) { pairClient(input: {vmId: $id, pin: "1234"}) { errors { message } } }'
_DELETE: Final = "mutation($id: ID!) { deleteVm(input: {vmId: $id}) { errors { message } } }"
# What each step waits for. Where a build runs them one after another, each waits for all before it as well.
_AFTER: Final[dict[LaunchStepName, tuple[LaunchStepName, ...]]] = {
    LaunchStepName.CHOOSE_PLACEMENT: (),
    LaunchStepName.CREATE_VM: (LaunchStepName.CHOOSE_PLACEMENT,),
    LaunchStepName.BOOT: (LaunchStepName.CREATE_VM,),
    LaunchStepName.CONNECT: (LaunchStepName.BOOT,),
    LaunchStepName.INSTALL_STREAMING: (LaunchStepName.CONNECT,),
    LaunchStepName.MOUNT_LIBRARY: (LaunchStepName.CONNECT,),
    LaunchStepName.RESTORE_SAVES: (LaunchStepName.CONNECT,),
    LaunchStepName.CONFIGURE_GAME: (
        LaunchStepName.INSTALL_STREAMING,
        LaunchStepName.MOUNT_LIBRARY,
        LaunchStepName.RESTORE_SAVES,
    ),
    LaunchStepName.VERIFY_STREAM: (LaunchStepName.CONFIGURE_GAME,),
}


@dataclass(frozen=True, slots=True)
class Step:
    """Simulated seconds since the request."""

    name: LaunchStepName
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One launch. `start_s` is what the player waits for the picture after READY."""

    steps: tuple[Step, ...]
    ready_s: float
    start_s: float

    @property
    def playable_s(self) -> float:
        return self.ready_s + self.start_s


def critical_path(steps: Sequence[Step]) -> list[LaunchStepName]:
    """Return the chain of steps that decides when the last one ends.

    Before each comes the one that ended last of those that it waits for.
    """
    ended = {step.name: step.ended_s for step in steps}
    path = [LaunchStepName.VERIFY_STREAM]
    while before := _AFTER[path[0]]:
        path.insert(0, max(before, key=lambda name: ended[name]))
    return path


def beside_path_s(measured: Measured) -> float:
    """Return the time until READY in which no step of the critical path ran."""
    spent, until = 0.0, 0.0
    steps = {step.name: step for step in measured.steps}
    for name in critical_path(measured.steps):
        spent += max(0.0, steps[name].ended_s - max(until, steps[name].began_s))
        until = max(until, steps[name].ended_s)
    return measured.ready_s - spent


async def measure(deployed: Deployment, server: Path, launches: int, factor: float) -> list[Measured]:
    """Launch one after another with the service of one tree."""
    port = free_port()
    process = deployed.run_server(server, "--role", "gateway", PORT=str(port))
    deployed.run_server(server, "--role", "worker")
    gateway = Gateway(f"http://127.0.0.1:{port}", deployed.http, process)
    await gateway.until_up()
    return [await _launch(deployed, gateway, number, factor) for number in range(launches)]


async def _launch(deployed: Deployment, gateway: Gateway, number: int, factor: float) -> Measured:
    order = await _ask(gateway, _ORDER, input={**_GAME, "userId": f"player-{number}"})
    assert order["launchGame"]["errors"] == [], order
    launch_id = order["launchGame"]["launch"]["id"]
    launch = await _ended(gateway, launch_id)
    assert launch["status"] == "READY", launch
    start_s = await _start_game(deployed, gateway, launch["vm"]["id"])
    await _ask(gateway, _DELETE, id=launch["vm"]["id"])
    return _measured(launch, start_s, factor)


async def _ended(gateway: Gateway, launch_id: str) -> dict[str, Any]:
    async with asyncio.timeout(_READY_WITHIN_S):
        while True:
            launch: dict[str, Any] = (await _ask(gateway, _LOOK, id=launch_id))["launch"]
            if launch["status"] not in {"QUEUED", "RUNNING"}:
                return launch
            await asyncio.sleep(_LOOK_EVERY_S)


async def _start_game(deployed: Deployment, gateway: Gateway, vm_id: str) -> float:
    """Pair a device, which is not counted, start the game, and return how long that took in real seconds."""
    name = key_of("VM", vm_id)
    [machine] = [each["id"] for each in await deployed.machines() if str(each["name"]).endswith(str(name))]
    url = f"{deployed.control_url}/machines/{machine}"
    await _post(deployed, f"{url}/pairings", {"pin": _PIN})
    paired = await _ask(gateway, _PAIR, id=vm_id)
    assert paired["pairClient"]["errors"] == [], paired
    began = time.perf_counter()
    await _post(deployed, f"{url}/sessions", {})
    return time.perf_counter() - began


async def _post(deployed: Deployment, url: str, body: dict[str, Any]) -> None:
    async with deployed.http.post(url, json=body) as reply:
        assert reply.ok, await reply.text()


async def _ask(gateway: Gateway, query: str, **variables: Any) -> dict[str, Any]:
    async with gateway.http.post(f"{gateway.url}/graphql", json={"query": query, "variables": variables}) as reply:
        answer: dict[str, Any] = await reply.json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def _measured(launch: dict[str, Any], start_s: float, factor: float) -> Measured:
    requested = datetime.fromisoformat(launch["requestedAt"])

    def since(text: str) -> float:
        return (datetime.fromisoformat(text) - requested).total_seconds() * factor

    steps = tuple(
        Step(LaunchStepName(step["name"]), since(step["startedAt"]), since(step["finishedAt"]))
        for step in launch["steps"]
    )
    return Measured(steps, since(launch["readyAt"]), start_s * factor)


def report(title: str, launches: Sequence[Measured]) -> float:
    """Print each launch, and return the median time to playable."""
    for number, measured in enumerate(launches, 1):
        path = critical_path(measured.steps)
        ready = f"READY after {measured.ready_s:.0f} s"
        say(f"{title}, launch {number}: playable after {measured.playable_s:.0f} s ({ready})")
        for step in measured.steps:
            mark = "*" if step.name in path else " "
            say(f"  {mark} {step.name:<18} {step.began_s:7.1f} s to {step.ended_s:7.1f} s")
        say(f"  beside the critical path (*): {beside_path_s(measured):.1f} s")
    middle = median(measured.playable_s for measured in launches)
    say(f"{title}: playable after {middle:.0f} s (median of {len(launches)})")
    return middle


async def run(launches: int, factor: float, against: str | None) -> None:
    """Time launches of this tree, and of another commit to compare with."""
    with tempfile.TemporaryDirectory(prefix="launches-") as name:
        folder = Path(name)
        trees = {"this tree": ROOT}
        if against is not None:
            trees[against] = extracted(against, folder / "earlier")
        async with EmbeddedServices(folder / "embedded", simulator=None) as running:
            medians = [
                await _run_tree(running, folder / f"world-{number}", title, tree, launches, factor)
                for number, (title, tree) in enumerate(trees.items())
            ]
        if against is not None:
            say(f"this tree takes {medians[0] / medians[1]:.2f} of {against}")


async def _run_tree(running: Running, place: Path, title: str, tree: Path, launches: int, factor: float) -> float:
    assert running.mongodb_uri is not None
    assert running.temporal_address is not None
    await asyncio.to_thread(place.mkdir)
    async with deployment(
        place, running.mongodb_uri, running.temporal_address, clock_factor=factor, delays="public"
    ) as deployed:
        return report(title, await measure(deployed, tree / "server.py", launches, factor))


def extracted(commit: str, folder: Path) -> Path:
    """Return a folder with the tree of a commit of this repository."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", "--end-of-options", commit]
    packed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603 - no shell, no option
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--launches", type=int, default=3, help="of each tree (default: %(default)s)")
    parser.add_argument("--factor", type=float, default=20.0, help="times real time (default: %(default)s)")
    parser.add_argument("--against", metavar="COMMIT", help="an earlier commit to compare with")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.launches, arguments.factor, arguments.against))
    return 0


if __name__ == "__main__":
    sys.exit(main())
