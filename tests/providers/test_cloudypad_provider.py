"""CloudyPad as a provider, with an executable that has homes of its own and a cloud that all homes share."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from errors import (
    AccountQuotaError,
    MachineLostError,
    NoCapacityError,
    ProviderBusyError,
    ProviderRefusedError,
    RegionQuotaError,
)
from models.cloudypad_states import CloudyPadState, CloudyPadStates
from models.database import Database
from providers.base import MachineId, MachineState, Offer, PricePart, ProviderName, Shape, SiteId, Tag
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPad, CloudyPadOptions
from providers.google.prices import Prices, shipped_prices
from providers.google.regions import regions
from providers.storage.tokens import NoTokens
from tests.providers.cloudypad_stand_in import CloudFolder

TAG = Tag("gamer-100000000000000001")
ID = MachineId(TAG)
PREMIUM = Shape(vcpus=8, ram_gb=16, storage_gb=200, min_vram_gb=16, gpu_models=("nvidia-l4", "nvidia-tesla-t4"))
TODAY = date(2026, 11, 21)

Worker = Callable[..., CloudyPad]


@pytest.fixture
def google(tmp_path: Path) -> CloudFolder:
    return CloudFolder(tmp_path / "google")


@pytest.fixture
def worker(db: Database, google: CloudFolder, tmp_path: Path) -> Worker:
    """A provider as another machine would have it: a home of its own, the same database and cloud."""

    def made(home: str = "one", prices: Prices | None = None, **changes: Any) -> CloudyPad:
        key = tmp_path / f"{home}-key"
        cli = CloudyPadCli(str(google.command), tmp_path / home, store=CloudyPadStates(db), key_path=key, grace_s=0.5)
        options = CloudyPadOptions("project-1", key, **{"list_kept_s": 0, "health_kept_s": 0, **changes})

        async def current() -> Prices:
            return prices or shipped_prices()

        return CloudyPad(options, cli, NoTokens(), current, today=lambda: TODAY)

    return made


def with_spot_in_iowa(usd: dict[str, Decimal]) -> Prices:
    known = shipped_prices().by_region
    return Prices({**known, "us-central1": replace(known["us-central1"], spot_usd=usd)})


async def an_offer(provider: CloudyPad, region: str = "us-central1", shape: Shape = PREMIUM) -> Offer:
    (site,) = [site for site in await provider.sites() if site.id == region]
    offer = provider.offer(site, shape)
    assert offer is not None
    return offer


async def test_sites_are_all_regions_and_those_with_a_gpu_that_plays_are_online(worker: Worker) -> None:
    sites = await worker().sites()

    assert [site.id for site in sites] == list(regions())
    assert {site.id for site in sites if site.online} == {name for name, one in regions().items() if one.gpu_zones}
    assert {site.provider for site in sites} == {ProviderName.CLOUDYPAD}


async def test_an_offer_is_the_cheapest_machine_with_each_part_of_its_price(worker: Worker) -> None:
    offer = await an_offer(worker())

    assert (offer.vcpus, offer.ram_gb, offer.storage_gb, offer.gpu_model) == (8, 30, 200, "nvidia-tesla-t4")
    assert offer.usd_per_hour_for(PricePart.GPU) == Decimal("0.35")
    assert offer.usd_per_hour_for(PricePart.DISK) == Decimal("0.027397")
    assert offer.usd_per_hour_for(PricePart.ADDRESS) == Decimal("0.005")
    assert offer.usd_per_hour_stopped == Decimal("0.037397")
    assert sum(line.usd_per_hour for line in offer.lines) == offer.usd_per_hour == Decimal("1.474857")


async def test_a_spot_machine_is_offered_at_its_price_as_spot_and_says_it_when_it_runs(
    worker: Worker, google: CloudFolder
) -> None:
    t4 = {"vcpu:n1-standard": "0.01", "gib:n1-standard": "0.001", "gpu:nvidia-tesla-t4": "0.12"}
    provider = worker(spot=True, prices=with_spot_in_iowa({part: Decimal(usd) for part, usd in t4.items()}))

    offer = await an_offer(provider)
    machine = await provider.rent(offer, TAG)

    assert offer.usd_per_hour_for(PricePart.GPU) == Decimal("0.12")
    assert offer.usd_per_hour_for(PricePart.MACHINE) == Decimal("0.11")  # 8 x 0.01 + 30 x 0.001
    assert machine.usd_per_hour == offer.usd_per_hour
    assert "--spot yes" in google.calls("create")[0]


async def test_a_region_without_the_consoles_gpu_has_no_offer(worker: Worker) -> None:
    provider = worker()
    l4_only = Shape(8, 16, 200, min_vram_gb=24, gpu_models=("nvidia-l4",))

    offers = {site.id: provider.offer(site, l4_only) for site in await provider.sites()}

    assert offers[SiteId("us-central1")] is not None
    assert offers[SiteId("australia-southeast1")] is None


async def test_renting_makes_a_machine_that_a_stop_cannot_harm(worker: Worker, google: CloudFolder) -> None:
    told: list[str] = []
    provider = worker()

    machine = await provider.rent(await an_offer(provider), TAG, report=told.append)

    assert (machine.id, machine.tag, machine.state) == (ID, TAG, MachineState.RUNNING)
    assert (machine.ip_address, machine.ssh_user, machine.usd_per_hour) == (
        "203.0.113.9",
        "ubuntu",
        Decimal("1.474857"),
    )
    assert told[0] == "Ordering the machine at Google Cloud in us-central1-a"
    (line,) = google.calls("create")
    for part in (
        *("--project-id project-1", "--zone us-central1-a", "--machine-type n1-standard-8", "--data-disk-size 150"),
        *("--streaming-server wolf", "--autostop --autostop-timeout 7200", "--spot no"),
        "--delete-instance-server-on-stop no",
    ):
        assert part in line


async def test_renting_again_looks_first(worker: Worker, google: CloudFolder) -> None:
    offer = await an_offer(worker())

    machines = [await worker(home).rent(offer, TAG) for home in ("one", "one", "two")]

    assert {machine.id for machine in machines} == {ID}
    assert google.made() == [TAG]
    assert len(google.calls("create")) == 1


async def test_two_workers_who_rent_one_tag_at_once_make_one_machine(worker: Worker, google: CloudFolder) -> None:
    offer = await an_offer(worker())

    machines = await asyncio.gather(*(worker(home).rent(offer, TAG) for home in ("one", "one", "two")))

    assert {machine.id for machine in machines} == {ID}
    assert len(google.calls("create")) == 1


async def test_the_zones_of_a_region_are_tried_in_turn(worker: Worker, google: CloudFolder) -> None:
    google.fill("us-central1-a", "us-central1-b")
    provider = worker()

    machine = await provider.rent(await an_offer(provider), TAG)

    assert machine.state is MachineState.RUNNING
    assert google.zones_tried() == ["us-central1-a", "us-central1-b", "us-central1-c"]


async def test_a_full_region_leaves_nothing_behind(worker: Worker, google: CloudFolder, db: Database) -> None:
    google.fill(*(f"us-central1-{letter}" for letter in "abcf"))
    provider = worker()

    with pytest.raises(NoCapacityError, match="no zone of us-central1"):
        await provider.rent(await an_offer(provider), TAG)

    assert google.machines() == []
    assert len(google.calls("destroy")) == 1
    assert await provider.machines() == ()
    assert await db.count(CloudyPadState, {}) == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region us-central1., quotaExceeded", RegionQuotaError),
        ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally., quotaExceeded", AccountQuotaError),
    ],
)
async def test_a_quota_ends_the_search_in_the_first_zone_with_nothing_left_behind(
    worker: Worker, google: CloudFolder, db: Database, words: str, error: type[NoCapacityError]
) -> None:
    google.use_up(words)
    provider = worker()

    with pytest.raises(error):
        await provider.rent(await an_offer(provider), TAG)

    assert google.zones_tried() == ["us-central1-a"]
    assert (google.machines(), len(google.calls("destroy"))) == ([], 1)
    assert await db.count(CloudyPadState, {}) == 0


async def test_a_full_region_that_cannot_be_cleared_is_not_called_free_of_charge(
    worker: Worker, google: CloudFolder
) -> None:
    google.fill(*(f"us-central1-{letter}" for letter in "abcf"))
    google.order("stuck")
    provider = worker()

    with pytest.raises(ProviderBusyError, match="could not be removed"):
        await provider.rent(await an_offer(provider), TAG)


async def test_a_half_made_machine_is_finished_by_a_worker_with_another_home(
    worker: Worker, google: CloudFolder
) -> None:
    google.order("hold")
    first, offer = worker("one"), await an_offer(worker())
    renting = asyncio.create_task(first.rent(offer, TAG))
    await half_made(worker("two"))
    renting.cancel()
    await asyncio.gather(renting, return_exceptions=True)
    google.relent("hold")

    machine = await worker("two").rent(offer, TAG)

    assert machine.state is MachineState.RUNNING
    assert google.machines() == [TAG]
    assert google.zones_tried() == ["us-central1-a", "us-central1-a"]
    assert google.calls("create")[1].endswith("--force-pulumi-cancel")


async def test_a_worker_that_is_killed_leaves_its_machine_to_another_home(
    worker: Worker, google: CloudFolder, mongodb_uri: str, db: Database, tmp_path: Path
) -> None:
    google.order("hold")
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", VICTIM, mongodb_uri, db.name, str(google.command), str(tmp_path / "one"), TAG),
        start_new_session=True,
    )
    await half_made(worker("two"))
    victim.kill()
    await victim.wait()
    end_orphans(google)
    google.relent("hold")
    await db.update(CloudyPadState, {"_id": TAG}, {"$set": {"held_until": datetime(2000, 1, 1, tzinfo=UTC)}})

    machine = await worker("two").rent(await an_offer(worker()), TAG)

    assert machine.state is MachineState.RUNNING
    assert google.machines() == [TAG]


async def test_what_was_begun_in_another_region_is_cleared_away_first(worker: Worker, google: CloudFolder) -> None:
    google.order("hold")
    provider = worker()
    renting = asyncio.create_task(provider.rent(await an_offer(provider, "europe-west4"), TAG))
    await half_made(provider)
    renting.cancel()
    await asyncio.gather(renting, return_exceptions=True)
    google.relent("hold")

    await provider.rent(await an_offer(provider), TAG)

    assert google.zones_tried() == ["europe-west4-a", "us-central1-a"]
    assert google.machines() == [TAG]


async def test_stop_and_start_are_believed_when_they_are_seen(worker: Worker, google: CloudFolder) -> None:
    provider = worker()
    await provider.rent(await an_offer(provider), TAG)

    await provider.stop(ID)
    await worker("two").stop(ID)
    stopped = await worker("two").machine(ID)
    await worker("two").start(ID)
    await provider.start(ID)

    assert stopped is not None
    assert stopped.state is MachineState.STOPPED_RELEASED
    assert (len(google.calls("stop")), len(google.calls("start"))) == (1, 1)


async def test_a_stop_that_only_warned_is_no_stop(worker: Worker, google: CloudFolder) -> None:
    provider = worker()
    await provider.rent(await an_offer(provider), TAG)
    google.order("deaf")

    with pytest.raises(ProviderBusyError, match="was not stopped: it is RUNNING"):
        await provider.stop(ID)


async def test_a_start_without_hardware_says_so(worker: Worker, google: CloudFolder) -> None:
    provider = worker()
    await provider.rent(await an_offer(provider), TAG)
    await provider.stop(ID)
    google.fill("us-central1-a")

    with pytest.raises(NoCapacityError):
        await provider.start(ID)


async def test_a_release_by_one_worker_is_known_to_all(worker: Worker, google: CloudFolder, db: Database) -> None:
    one, two = worker("one"), worker("two")
    await one.rent(await an_offer(one), TAG)

    await two.release(ID)
    await one.release(ID)

    assert google.machines() == []
    assert [await provider.machine(ID) for provider in (one, two)] == [None, None]
    assert (await one.machines(), await two.machines()) == ((), ())
    assert len(google.calls("destroy")) == 1
    assert await db.count(CloudyPadState, {}) == 0


async def test_a_failed_release_may_be_repeated(worker: Worker, google: CloudFolder) -> None:
    provider = worker()
    await provider.rent(await an_offer(provider), TAG)
    google.order("stuck")

    with pytest.raises(ProviderBusyError, match="pulumi down"):
        await provider.release(ID)
    google.relent("stuck")
    await provider.release(ID)

    assert await provider.machine(ID) is None


async def test_a_released_tag_can_be_rented_again_in_another_home(worker: Worker, google: CloudFolder) -> None:
    one, two = worker("one"), worker("two")
    offer = await an_offer(one)
    await one.rent(offer, TAG)
    await two.machine(ID)
    await two.release(ID)

    await two.rent(offer, TAG)
    seen = await one.machine(ID)

    assert seen is not None
    assert google.made() == [TAG, TAG]


async def test_only_google_machines_with_our_prefix_are_listed(
    worker: Worker, google: CloudFolder, tmp_path: Path
) -> None:
    provider = worker()
    await provider.rent(await an_offer(provider), TAG)
    for name, cloud in (("other-1", "gcp"), ("gamer-2", "ssh")):
        file = tmp_path / "one" / "instances" / name / "state.yml"
        file.parent.mkdir(parents=True)
        file.write_text(f"{{version: '1', name: {name}, provision: {{provider: {cloud}}}, configuration: {{}}}}")

    assert [machine.tag for machine in await provider.machines()] == [TAG]
    await provider.release(MachineId("other-1"))
    assert google.calls("destroy") == []


async def test_a_list_is_never_older_than_what_was_done_to_its_machines(worker: Worker, google: CloudFolder) -> None:
    one, two = worker("one", list_kept_s=600), worker("two", list_kept_s=600)
    await one.rent(await an_offer(one), TAG)
    before = [await provider.machines() for provider in (one, two, one, two)]
    asked = len(google.calls("get"))

    await two.stop(ID)
    after = [await provider.machines() for provider in (one, two)]

    assert {machine.state for listed in before for machine in listed} == {MachineState.RUNNING}
    assert {machine.state for listed in after for machine in listed} == {MachineState.STOPPED_RELEASED}
    assert len(google.calls("get")) - asked == 4  # a look before the stop, one after it, and one for each list


async def test_a_machine_that_google_does_not_show_is_unknown_and_not_declared_gone(
    worker: Worker, google: CloudFolder
) -> None:
    provider = worker()
    await provider.rent(await an_offer(provider), TAG)
    google.lose(TAG)

    machine = await provider.machine(ID)

    assert machine is not None
    assert machine.state is MachineState.UNKNOWN


async def test_what_is_not_there_is_lost(worker: Worker) -> None:
    for ask in (worker().start, worker().stop):
        with pytest.raises(MachineLostError):
            await ask(ID)


@pytest.mark.parametrize("tag", ["other-1", "gamer-1; reboot", "gamer-../../x", "gamer-1a", ""])
async def test_a_tag_that_is_not_ours_reaches_no_command_line(worker: Worker, google: CloudFolder, tag: str) -> None:
    provider = worker()
    offer = await an_offer(provider)

    with pytest.raises(ProviderRefusedError):
        await provider.rent(offer, Tag(tag))

    assert await provider.machine(MachineId(tag)) is None
    assert google.calls("create") + google.calls("get") == []


async def test_no_key_is_stored_and_every_home_logs_in_with_its_own(
    worker: Worker, db: Database, tmp_path: Path
) -> None:
    one, two = worker("one"), worker("two")
    await one.rent(await an_offer(one), TAG)

    await two.machine(ID)

    here, there = ((tmp_path / home / "instances" / TAG / "state.yml").read_text() for home in ("one", "two"))
    assert (str(tmp_path / "one-key") in here, str(tmp_path / "two-key") in there) == (True, True)
    stored = await CloudyPadStates(db).load(TAG)
    assert stored is not None
    assert b"-key" not in gzip.decompress(stored.parcel)


async def test_health_tells_the_version_once_it_is_known(worker: Worker) -> None:
    provider = worker()

    async with asyncio.timeout(10):
        while True:
            health = await provider.health()
            if health.detail != "CloudyPad's version is not known yet":
                break
            await asyncio.sleep(0.05)

    assert (health.healthy, health.detail) == (True, "CloudyPad 0.45.2; Google does not publish availability")
    await provider.close()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (None, "the executable `cloudypad` was not found (see CLOUDYPAD_COMMAND)"),
        ("echo 'node: not found' >&2; exit 127", "cloudypad --version failed with status 127: node: not found"),
    ],
)
async def test_health_names_what_is_missing(tmp_path: Path, body: str | None, detail: str) -> None:
    program = tmp_path / "cloudypad"
    if body is not None:
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    cli = CloudyPadCli(str(program), tmp_path / "home", grace_s=0.5)
    provider = CloudyPad(CloudyPadOptions("project-1", tmp_path / "key"), cli, NoTokens())

    health = await provider.health()

    assert (health.configured, health.healthy, health.detail) == (True, False, detail)
    await provider.close()


async def test_without_credentials_google_is_in_trouble(google: CloudFolder, tmp_path: Path) -> None:
    class Refused(NoTokens):
        async def token(self) -> str | None:
            raise ProviderRefusedError("the Google key file x is no key")

    cli = CloudyPadCli(str(google.command), tmp_path / "home")
    provider = CloudyPad(CloudyPadOptions("project-1", tmp_path / "key"), cli, Refused())

    health = await provider.health()

    assert (health.healthy, health.detail) == (False, "no Google credentials: the Google key file x is no key")
    await provider.close()


async def half_made(provider: CloudyPad) -> None:
    """Until another worker can see the machine, made and not set up."""
    async with asyncio.timeout(10):
        while True:
            machine = await provider.machine(ID)
            if machine is not None and machine.ip_address is not None:
                return
            await asyncio.sleep(0.05)


def end_orphans(google: CloudFolder) -> None:
    """What a dead machine's processes do: they are not there any more."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if str(google.command) in words and "create" in words:
            os.kill(int(process.name), signal.SIGKILL)


VICTIM = """
import asyncio, sys
from pathlib import Path
from models.cloudypad_states import CloudyPadStates
from models.database import Database
from providers.base import Offer, Tag
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPad, CloudyPadOptions
from providers.storage.tokens import NoTokens
from tests.providers.test_cloudypad_provider import an_offer

uri, name, command, home, tag = sys.argv[1:]

async def main():
    store = CloudyPadStates(Database(uri, name))
    cli = CloudyPadCli(command, Path(home), store=store, key_path=Path(home + "-key"))
    provider = CloudyPad(CloudyPadOptions("project-1", Path(home + "-key")), cli, NoTokens())
    await provider.rent(await an_offer(provider), Tag(tag))

asyncio.run(main())
"""
