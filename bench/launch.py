"""How long launches take until the game is playable, where the time goes, and how an earlier commit compares.

    python -m bench.launch [--launches 3] [--factor 20] [--against COMMIT] [--kinds KIND ...]

Starts the service as processes of its own on simulated clouds with the public figures as delays (simulator/delays.py),
`factor` times as fast as real time. Each launch is one of its own, on a new machine. A player then pairs a device and
starts the game: playable is when its picture would come, so that a build which leaves the image to that moment pays for
it. Prints the time line of each launch in simulated seconds, its critical path, and what was spent beside it. With
`--against` an earlier commit's cold launches are measured in the same simulated world, and the ratios of the medians to
them are printed; without it, the ratios to this tree's own cold launches. `image` is a launch at Google from a prepared
disk image, and `warm` one that takes a machine of the warm pool at TensorDock.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any, Final

from embedded.ports import free_port
from embedded.services import EmbeddedServices, Running
from models.launches import LaunchStepName
from tests.e2e.service import ROOT, Deployment, Gateway, deployment, surroundings

_READY_WITHIN_S: Final = 600.0
_LOOK_EVERY_S: Final = 0.2
_PIN: Final = "1234"
_GAME: Final = {"console": "GB", "gameId": "block-garden"}
_ORDER: Final = "mutation($input: LaunchGameInput!) { launchGame(input: $input) { launch { id } errors { message } } }"
_LOOK: Final = """query($id: ID!) { launch(id: $id) {
  status failure requestedAt readyAt steps { name startedAt finishedAt } vm { id } } }"""
_PAIR: Final = 'mutation($id: ID!) { pairClient(input: {vmId: $id, pin: "1234"}) { errors { message } } }'
_POOL: Final = 'mutation { setWarmPool(input: {ceilingPerDay: "500"}) { errors { message } } }'
_WARM: Final = "{ warmPool { machines { status } } }"
_WITH_IMAGES: Final = {"GOLDEN_IMAGE_LOCATIONS": "us"}
_ADDRESS: Final = "query($id: ID!) { vm(id: $id) { ipAddress } }"
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


class Kind(StrEnum):
    COLD_TENSORDOCK = "cold-tensordock"
    COLD_GOOGLE = "cold-google"
    IMAGE = "image"
    WARM = "warm"

    @property
    def provider(self) -> str:
        return "CLOUDYPAD" if self in {Kind.COLD_GOOGLE, Kind.IMAGE} else "TENSORDOCK"

    @property
    def cold(self) -> Kind:
        """The launch that this one is an alternative to."""
        return Kind.COLD_GOOGLE if self is Kind.IMAGE else Kind.COLD_TENSORDOCK if self is Kind.WARM else self


COLD: Final = (Kind.COLD_TENSORDOCK, Kind.COLD_GOOGLE)


async def measure(
    deployed: Deployment, tree: Path, kinds: Sequence[Kind], launches: int, factor: float
) -> dict[Kind, list[Measured]]:
    """Launch one after another with the service of one tree."""
    port = free_port()
    process = deployed.run_server(tree / "server.py", "--role", "gateway", PORT=str(port))
    worker = deployed.run_server(tree / "server.py", "--role", "worker")
    gateway = Gateway(f"http://127.0.0.1:{port}", deployed.http, process)
    await gateway.until_up()
    measured: dict[Kind, list[Measured]] = {}
    for kind in sorted(kinds, key=list(Kind).index):
        if kind is Kind.IMAGE:
            await asyncio.to_thread(worker.end)
            worker = deployed.run_server(tree / "server.py", "--role", "worker", **_WITH_IMAGES)
            await asyncio.to_thread(_make_image, deployed, tree)
        if kind is Kind.WARM:
            await _ask(gateway, _POOL)
        measured[kind] = []
        for number in range(launches):
            if kind is Kind.WARM:
                await _until_warm(gateway)
            measured[kind].append(await _launch(deployed, gateway, kind, number, factor))
    return measured


def _make_image(deployed: Deployment, tree: Path) -> None:
    """Have the worker make the disk image, as an operator does."""
    environment = {**surroundings(), **deployed.environment, **_WITH_IMAGES, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-m", "launch.golden_images", "us"]
    subprocess.run(command, check=True, env=environment, cwd=deployed.folder, timeout=_READY_WITHIN_S)  # noqa: S603


async def _until_warm(gateway: Gateway) -> None:
    """Wait for a machine of the pool, which expects more launches as there were some."""
    async with asyncio.timeout(_READY_WITHIN_S):
        while True:
            machines = (await _ask(gateway, _WARM))["warmPool"]["machines"]
            if any(each["status"] == "READY" for each in machines):
                return
            await asyncio.sleep(_LOOK_EVERY_S)


async def _launch(deployed: Deployment, gateway: Gateway, kind: Kind, number: int, factor: float) -> Measured:
    game = {**_GAME, "provider": kind.provider, "userId": f"player-{kind}-{number}"}
    order = await _ask(gateway, _ORDER, input=game)
    assert order["launchGame"]["errors"] == [], order
    launch_id = order["launchGame"]["launch"]["id"]
    launch = await _ended(gateway, launch_id)
    assert launch["status"] == "READY", launch
    start_s = await _start_game(deployed, gateway, launch["vm"]["id"], kind)
    await _ask(gateway, _DELETE, id=launch["vm"]["id"])
    return _measured(launch, start_s, factor)


async def _ended(gateway: Gateway, launch_id: str) -> dict[str, Any]:
    async with asyncio.timeout(_READY_WITHIN_S):
        while True:
            launch: dict[str, Any] = (await _ask(gateway, _LOOK, id=launch_id))["launch"]
            if launch["status"] not in {"QUEUED", "RUNNING"}:
                return launch
            await asyncio.sleep(_LOOK_EVERY_S)


async def _start_game(deployed: Deployment, gateway: Gateway, vm_id: str, kind: Kind) -> float:
    """Pair a device, which is not counted, start the game, and return how long that took in real seconds."""
    there = await (deployed.at_google() if kind.provider == "CLOUDYPAD" else deployed.machines())
    address = (await _ask(gateway, _ADDRESS, id=vm_id))["vm"]["ipAddress"]
    [machine] = [each["id"] for each in there if address in {each.get("ip"), each.get("address")}]
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


def ratios(medians: Mapping[Kind, float], cold: Mapping[Kind, float], than: str) -> list[str]:
    """Return what each kind takes of the cold launch that it is an alternative to."""
    return [
        f"{kind} takes {middle / cold[kind.cold]:.2f} of {kind.cold} of {than}"
        for kind, middle in medians.items()
        if kind.cold in cold and (kind is not kind.cold or cold is not medians)
    ]


async def run(kinds: Sequence[Kind], launches: int, factor: float, against: str | None) -> None:
    """Measure this tree, and the earlier commit's cold launches, and print the ratios."""
    with tempfile.TemporaryDirectory(prefix="launches-") as name:
        folder = Path(name)
        async with EmbeddedServices(folder / "embedded", simulator=None) as running:
            medians = await _run_tree(running, folder / "world-1", "this tree", ROOT, kinds, launches, factor)
            cold, than = medians, "this tree"
            if against is not None:
                earlier = extracted(against, folder / "earlier")
                same = [kind for kind in COLD if any(each.cold is kind for each in kinds)]
                cold = await _run_tree(running, folder / "world-2", against, earlier, same, launches, factor)
                than = against
        for line in ratios(medians, cold, than):
            say(line)


async def _run_tree(
    running: Running, place: Path, title: str, tree: Path, kinds: Sequence[Kind], launches: int, factor: float
) -> dict[Kind, float]:
    assert running.mongodb_uri is not None
    assert running.temporal_address is not None
    await asyncio.to_thread(place.mkdir)
    async with deployment(
        place, running.mongodb_uri, running.temporal_address, clock_factor=factor, delays="public"
    ) as deployed:
        measured = await measure(deployed, tree, kinds, launches, factor)
    return {kind: report(f"{title}, {kind}", each) for kind, each in measured.items()}


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
    parser.add_argument("--kinds", nargs="+", type=Kind, choices=list(Kind), default=list(Kind), help="default: all")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.kinds, arguments.launches, arguments.factor, arguments.against))
    return 0


if __name__ == "__main__":
    sys.exit(main())
