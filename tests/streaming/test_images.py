"""Images pulled onto simulated machines, and what a real container engine says where the simulator cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from errors import ImageMissingError, ProviderBusyError
from providers.base import no_progress
from simulator.machines.packages import INSTALL_FAILS
from streaming.images import has_image, pull_image
from streaming.keys import KeyPair
from streaming.ssh import Shell, Ssh
from tests.streaming.box import running_box
from tests.streaming.simulated import Simulated, machine_with_wolf

IMAGE = "ghcr.io/games-on-whales/retroarch:edge"
DIGEST = f"sha256:{'0a' * 32}"


@pytest.fixture
async def simulated(tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    async with machine_with_wolf(tmp_path, key, clock_factor=1000) as simulated:
        yield simulated


@pytest.fixture
async def shell(simulated: Simulated) -> AsyncIterator[Shell]:
    async with simulated.ssh.shell(simulated.address) as shell:
        yield shell


async def test_an_image_is_fetched_layer_by_layer_and_is_then_there(shell: Shell) -> None:
    told: list[str] = []

    assert not await has_image(shell, IMAGE)
    assert await pull_image(shell, IMAGE, told.append)

    assert await has_image(shell, IMAGE)
    assert told == ["Fetching the emulator", *(f"Fetching the emulator: {done} of 6 layers" for done in range(1, 7))]


async def test_an_image_that_is_there_is_not_fetched_again(shell: Shell) -> None:
    await pull_image(shell, IMAGE, no_progress)
    told: list[str] = []

    assert not await pull_image(shell, IMAGE, told.append)

    assert told == []


async def test_an_image_is_fetched_by_its_digest(shell: Shell) -> None:
    await pull_image(shell, f"ghcr.io/games-on-whales/retroarch@{DIGEST}", no_progress)

    assert await has_image(shell, f"ghcr.io/games-on-whales/retroarch@{DIGEST}")
    assert not await has_image(shell, IMAGE)


async def test_two_pulls_at_a_time_both_end_with_the_image_there(simulated: Simulated) -> None:
    async def pulled() -> None:
        async with simulated.ssh.shell(simulated.address) as shell:
            await pull_image(shell, IMAGE, no_progress)

    await asyncio.gather(pulled(), pulled())

    assert simulated.machine.containers.images.has(IMAGE)


async def test_an_image_that_its_registry_does_not_know_is_refused(simulated: Simulated, shell: Shell) -> None:
    simulated.park.images.set_missing(IMAGE, missing=True)

    with pytest.raises(ImageMissingError, match="is missing from its registry"):
        await pull_image(shell, IMAGE, no_progress)

    assert not await has_image(shell, IMAGE)


async def test_a_registry_that_does_not_answer_is_asked_again_later(simulated: Simulated, shell: Shell) -> None:
    simulated.machine.set_fault(INSTALL_FAILS, on=True)

    with pytest.raises(ProviderBusyError, match="i/o timeout"):
        await pull_image(shell, IMAGE, no_progress)


@pytest.mark.parametrize(
    ("said", "error", "again_s"),
    [
        ("Error response from daemon: pull access denied for x, repository does not exist", ImageMissingError, None),
        ("Error response from daemon: manifest unknown", ImageMissingError, None),
        ("Error response from daemon: error from registry: denied", ImageMissingError, None),
        (f'failed to resolve reference "{IMAGE}": {IMAGE}: not found', ImageMissingError, None),
        ("sh: 1: docker: not found", ProviderBusyError, None),
        ("toomanyrequests: You have reached your pull rate limit", ProviderBusyError, 60),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", ProviderBusyError, None),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", ProviderBusyError, None),
    ],
)
async def test_what_temporal_says_decides_whether_it_is_asked_again(
    tmp_path: Path, key: KeyPair, ssh: Ssh, said: str, error: type[Exception], again_s: float | None
) -> None:
    def docker(argv: list[str], given: bytes) -> tuple[int, str]:
        return 1, f"Error response from daemon: No such image: {IMAGE}" if argv[0] == "image" else said

    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs["env"] = lambda argv, given: docker(argv[2:], given)
        box.programs["docker"] = docker
        with pytest.raises(error) as raised:
            await pull_image(shell, IMAGE, no_progress)

    assert getattr(raised.value, "retry_after_s", None) == again_s
