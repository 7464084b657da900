"""Pairing against simulated machines with both ages of Wolf."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from errors import InvalidInputError, InvalidStateError, ProviderBusyError
from simulator.machines.container import WolfShape
from streaming.keys import KeyPair
from streaming.pairing import Pairing
from streaming.ssh import Shell, Ssh
from tests.streaming.box import running_box
from tests.streaming.simulated import ID, Simulated, machine_with_wolf

CONFIG = "/home/user/wolf/config.toml"
PAIRING = Pairing(patience_s=0.3, settle_s=0.3, pause_s=0.02)


@pytest.fixture(params=list(WolfShape))
async def simulated(request: pytest.FixtureRequest, tmp_path: Path, key: KeyPair) -> AsyncIterator[Simulated]:
    async with machine_with_wolf(tmp_path, key, request.param) as simulated:
        yield simulated


@pytest.fixture
async def shell(simulated: Simulated) -> AsyncIterator[Shell]:
    async with simulated.ssh.shell(simulated.address) as shell:
        yield shell


def folders(simulated: Simulated) -> list[str]:
    return [one["app_state_folder"] for one in tomllib.loads(simulated.read(CONFIG))["paired_clients"]]


async def test_the_pin_of_the_player_pairs_the_device_and_gives_it_the_players_folder(
    simulated: Simulated, shell: Shell
) -> None:
    request = simulated.wolf.begin_pairing(pin="4821")

    await PAIRING.pair(shell, "4821", "player-1")

    assert await request.paired
    assert folders(simulated) == ["player-1"]


async def test_a_request_that_comes_a_moment_later_is_waited_for(simulated: Simulated, shell: Shell) -> None:
    pairing = asyncio.create_task(Pairing(patience_s=4, settle_s=0.3, pause_s=0.02).pair(shell, "4821", "player-1"))
    await asyncio.sleep(0)
    simulated.wolf.begin_pairing(pin="4821")

    await pairing

    assert folders(simulated) == ["player-1"]


async def test_without_a_request_it_says_so(shell: Shell, simulated: Simulated) -> None:
    with pytest.raises(InvalidStateError, match="no device requests pairing") as raised:
        await PAIRING.pair(shell, "4821", "player-1")

    assert raised.value.status == "NO_PAIRING_REQUEST"
    assert folders(simulated) == []


async def test_a_wrong_pin_pairs_nothing_and_says_so(simulated: Simulated, shell: Shell) -> None:
    simulated.wolf.begin_pairing(pin="4821")

    with pytest.raises(InvalidInputError, match="not the PIN") as raised:
        await PAIRING.pair(shell, "1111", "player-1")

    assert raised.value.path == ("pin",)
    assert folders(simulated) == []


async def test_after_a_wrong_pin_a_new_request_is_paired(simulated: Simulated, shell: Shell) -> None:
    simulated.wolf.begin_pairing(pin="4821")
    with pytest.raises(InvalidInputError):
        await PAIRING.pair(shell, "1111", "player-1")
    simulated.wolf.begin_pairing(pin="7777")

    await PAIRING.pair(shell, "7777", "player-1")

    assert folders(simulated) == ["player-1"]


async def test_a_second_device_gets_the_same_folder_and_the_first_stays_paired(
    simulated: Simulated, shell: Shell
) -> None:
    for pin in ("1111", "2222"):
        simulated.wolf.begin_pairing(pin=pin)
        await PAIRING.pair(shell, pin, "player-1")

    assert folders(simulated) == ["player-1", "player-1"]


async def test_a_device_that_comes_back_is_paired_again(simulated: Simulated, shell: Shell) -> None:
    cert = "-----BEGIN CERTIFICATE-----\nsame\n-----END CERTIFICATE-----\n"
    for pin in ("1111", "2222"):
        simulated.wolf.begin_pairing(pin=pin, cert=cert)
        await PAIRING.pair(shell, pin, "player-1")

    assert folders(simulated) == ["player-1"]


async def test_a_request_that_wolf_goes_on_listing_is_answered_once(tmp_path: Path, key: KeyPair, ssh: Ssh) -> None:
    waiting = [{"pair_secret": "AAAA", "pin": "203.0.113.9"}]
    answered: list[str] = []

    def curl(argv: list[str], given: bytes) -> tuple[int, str]:
        if argv[-1].endswith("pair/client"):
            answered.append(json.loads(given)["pair_secret"])
        return 0, json.dumps({"success": True, "requests": waiting, "clients": []})

    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs |= {"curl": curl, "docker": lambda argv, given: (0, "")}
        with pytest.raises(InvalidInputError):
            await PAIRING.pair(shell, "1111", "player-1")
        waiting.append({"pair_secret": "BBBB", "pin": "203.0.113.9"})
        with pytest.raises(InvalidInputError):
            await PAIRING.pair(shell, "2222", "player-1")

    assert answered == ["AAAA", "BBBB"]


async def test_a_pairing_is_seen_though_its_line_pushes_an_older_one_out_of_the_log(
    tmp_path: Path, key: KeyPair, ssh: Ssh
) -> None:
    told = ["10:00:00 INFO | Succesfully paired 203.0.113.9"]

    def curl(argv: list[str], given: bytes) -> tuple[int, str]:
        if argv[-1].endswith("pair/client"):
            told[:] = ["12:00:00 INFO | Succesfully paired 203.0.113.9"]
        waiting = [{"pair_secret": "AAAA", "client_ip": "203.0.113.9"}]
        clients = [{"client_id": "5", "app_state_folder": "player-1"}]
        return 0, json.dumps({"success": True, "requests": waiting, "clients": clients})

    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs |= {"curl": curl, "docker": lambda argv, given: (0, told[0])}
        await PAIRING.pair(shell, "1111", "player-1")


async def test_no_pin_is_handed_over_while_the_log_cannot_be_read(tmp_path: Path, key: KeyPair, ssh: Ssh) -> None:
    asked: list[str] = []

    def curl(argv: list[str], given: bytes) -> tuple[int, str]:
        asked.append(argv[-1].rpartition("/api/v1/")[2])
        return 0, json.dumps({"success": True, "requests": [{"pair_secret": "AAAA"}], "clients": []})

    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        box.programs |= {"curl": curl, "docker": lambda argv, given: (1, "")}
        with pytest.raises(ProviderBusyError):
            await PAIRING.pair(shell, "1111", "player-1")

    assert asked == ["clients"]


async def test_too_many_waiting_devices_are_not_guessed_among(simulated: Simulated, shell: Shell) -> None:
    requests = [simulated.wolf.begin_pairing(pin=f"{number}") for number in range(1000, 1004)]

    with pytest.raises(InvalidStateError) as raised:
        await PAIRING.pair(shell, "1000", "player-1")

    assert raised.value.status == "TOO_MANY_REQUESTS"
    assert not [request for request in requests if request.given.done()]


async def test_a_device_that_gave_up_between_look_and_answer_is_told_apart(
    simulated: Simulated, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated.wolf.begin_pairing(pin="4821")
    monkeypatch.setattr(simulated.wolf.pairings, "give_pin", lambda secret, pin: False)

    with pytest.raises(InvalidStateError, match="stopped waiting") as raised:
        await PAIRING.pair(shell, "4821", "player-1")

    assert raised.value.status == "PAIRING_EXPIRED"


@pytest.mark.parametrize("pin", ["", "12", "12345678901", "12 4", "$(id)", "٤٨٢١", "-e 1"])
async def test_what_is_no_pin_never_reaches_the_machine(simulated: Simulated, shell: Shell, pin: str) -> None:
    request = simulated.wolf.begin_pairing(pin="4821")

    with pytest.raises(InvalidInputError, match="is not a PIN"):
        await PAIRING.pair(shell, pin, "player-1")

    assert not request.given.done()


async def test_a_machine_without_wolf_is_asked_again_later(simulated: Simulated, shell: Shell) -> None:
    await simulated.machine.containers.stop("wolf")

    with pytest.raises(ProviderBusyError, match="does not respond on its socket"):
        await PAIRING.pair(shell, "4821", "player-1")

    assert ID in simulated.park.machines()
