"""The lease on an instance, and what of its state travels."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
import yaml

from errors import ProviderBusyError
from models.cloudypad_states import CloudyPadStates
from models.database import Database
from providers.cloudypad.instance_lease import LEASE_S, InstanceLease
from providers.cloudypad.state_files import InstanceHome

NAME = "gamer-1"
STATE = {
    "version": "1",
    "name": NAME,
    "provision": {
        "provider": "gcp",
        "input": {"ssh": {"user": "ubuntu", "privateKeyContentBase64": "c2VjcmV0" * 8}, "zone": "us-central1-a"},
    },
}


@pytest.fixture
def store(db: Database) -> CloudyPadStates:
    return CloudyPadStates(db)


def write(home: Path, relative: str, text: str) -> None:
    (home / relative).parent.mkdir(parents=True, exist_ok=True)
    (home / relative).write_text(text)


def a_home(folder: Path) -> InstanceHome:
    """With an instance, its stack, and what belongs to others or to nobody else."""
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    write(folder, f"instances/{NAME}/state.yml", yaml.safe_dump(STATE))
    backend = "pulumi-backend/.pulumi"
    write(folder, f"{backend}/stacks/CloudyPad-GCP/{NAME}.json", "stack")
    write(folder, f"{backend}/stacks/CloudyPad-GCP/{NAME}1.json", "another's stack")
    write(folder, f"{backend}/locks/organization/CloudyPad-GCP/{NAME}/1.json", "lock")
    write(folder, f"{backend}/history/CloudyPad-GCP/{NAME}/1.json", "history")
    write(folder, f"{backend}/meta.yaml", "version: 1")
    return InstanceHome(folder, NAME, folder / "key")


def test_a_parcel_has_the_instance_and_its_stacks_and_no_lock_history_or_key(tmp_path: Path) -> None:
    parcel = a_home(tmp_path).pack()

    assert parcel is not None
    files = orjson.loads(gzip.decompress(parcel))
    assert set(files) == {
        f"instances/{NAME}/state.yml",
        f"pulumi-backend/.pulumi/stacks/CloudyPad-GCP/{NAME}.json",
        "pulumi-backend/.pulumi/meta.yaml",
    }
    assert yaml.safe_load(files[f"instances/{NAME}/state.yml"])["provision"]["input"]["ssh"] == {"user": "ubuntu"}


def test_unpacked_it_logs_in_with_the_key_of_its_new_home(tmp_path: Path) -> None:
    parcel = a_home(tmp_path / "one").pack()
    other = InstanceHome(tmp_path / "two", NAME, tmp_path / "two" / "key")
    (tmp_path / "two" / "locks").mkdir(parents=True)

    other.unpack(parcel or b"")

    state = yaml.safe_load((tmp_path / "two" / "instances" / NAME / "state.yml").read_text())
    assert state["provision"]["input"]["ssh"] == {"user": "ubuntu", "privateKeyPath": str(tmp_path / "two" / "key")}
    assert (tmp_path / "two" / "pulumi-backend" / ".pulumi" / "stacks" / "CloudyPad-GCP" / f"{NAME}.json").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/cron.d/x", "instances/../../x", "locks/x"])
def test_a_parcel_that_would_write_elsewhere_is_not_opened(tmp_path: Path, name: str) -> None:
    parcel = gzip.compress(orjson.dumps({name: "x"}))

    with pytest.raises(ProviderBusyError, match="cannot be read"):
        a_home(tmp_path / "home").unpack(parcel)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_state_that_is_just_being_written_is_not_packed(tmp_path: Path) -> None:
    home = a_home(tmp_path)
    (tmp_path / "instances" / NAME / "state.yml").write_text("version: '1'\nprovision: {in")

    assert home.pack() is None


async def test_a_lease_is_held_by_one_until_it_ends(store: CloudyPadStates) -> None:
    assert await store.take(NAME, "ann", 60)
    assert not await store.take(NAME, "bob", 60)

    await store.give_back(NAME, "ann")

    assert await store.take(NAME, "bob", 60)
    assert not await store.prolong(NAME, "ann", 60)
    assert await store.save(NAME, "ann", "gcp", b"late") is None
    assert await store.versions("gcp") == {}


async def test_a_lease_of_the_dead_ends_by_itself(db: Database) -> None:
    clock = [datetime(2026, 11, 21, tzinfo=UTC)]
    store = CloudyPadStates(db, now=lambda: clock[0])
    await store.take(NAME, "ann", LEASE_S)

    clock[0] += timedelta(seconds=LEASE_S - 1)
    early = await store.take(NAME, "bob", LEASE_S)
    clock[0] += timedelta(seconds=2)
    late = await store.take(NAME, "bob", LEASE_S)

    assert (early, late) == (False, True)


async def test_a_run_whose_lease_was_lost_is_ended(store: CloudyPadStates, tmp_path: Path, db: Database) -> None:
    custody = InstanceLease(store, NAME, a_home(tmp_path), look_every_s=0.01)
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with custody.hold(1):
        await store.give_back(NAME, custody._holder)
        await store.take(NAME, "somebody else", 60)
        with pytest.raises(ProviderBusyError, match="another worker has taken over"):
            await custody.run_leased(work())

    assert ended.is_set()
    assert await store.versions("gcp") == {}


async def test_files_that_went_on_after_a_crash_are_newer_than_what_is_stored(
    store: CloudyPadStates, tmp_path: Path
) -> None:
    home = a_home(tmp_path)
    async with (first := InstanceLease(store, NAME, home, look_every_s=0.01)).hold(1):
        await first.run_leased(asyncio.sleep(0))
    write(tmp_path, f"instances/{NAME}/more.yml", "what a program did that outlived its worker")

    async with (second := InstanceLease(store, NAME, home, look_every_s=0.01)).hold(1):
        await second.run_leased(asyncio.sleep(0))

    stored = await store.load(NAME)
    assert stored is not None
    assert f"instances/{NAME}/more.yml" in orjson.loads(gzip.decompress(stored.parcel))
    assert home.version == stored.version


async def test_a_store_that_is_away_does_not_end_a_run(tmp_path: Path) -> None:
    away = Database("mongodb://127.0.0.1:1", "away", 0.05)
    custody = InstanceLease(CloudyPadStates(away), NAME, a_home(tmp_path), look_every_s=0.01)

    assert await custody.run_leased(asyncio.sleep(0.1, "done")) == "done"
    await away.close()


@pytest.mark.parametrize("cut_off", ["", "version: '1'\nprovision: {in"])
async def test_a_state_that_a_full_disk_cut_off_is_replaced_by_the_stored_one(
    store: CloudyPadStates, tmp_path: Path, cut_off: str
) -> None:
    home = a_home(tmp_path)
    async with (lease := InstanceLease(store, NAME, home, look_every_s=0.01)).hold(5):
        await lease.run_leased(asyncio.sleep(0))
    write(tmp_path, f"instances/{NAME}/state.yml", cut_off)

    await InstanceLease(store, NAME, home).fetch()

    assert yaml.safe_load((tmp_path / "instances" / NAME / "state.yml").read_text())["name"] == NAME


async def test_a_first_state_that_was_cut_off_is_deleted_so_that_the_instance_can_be_made(
    store: CloudyPadStates, tmp_path: Path
) -> None:
    write(tmp_path, f"instances/{NAME}/state.yml", "")
    write(tmp_path, "pulumi-backend/.pulumi/meta.yaml", "version: 1")
    home = InstanceHome(tmp_path, NAME, tmp_path / "key")

    await InstanceLease(store, NAME, home).fetch()

    assert not home.exists


async def test_a_state_that_was_cut_off_stays_while_pulumi_may_know_resources_of_it(
    store: CloudyPadStates, tmp_path: Path
) -> None:
    home = a_home(tmp_path)
    write(tmp_path, f"instances/{NAME}/state.yml", "")

    await InstanceLease(store, NAME, home).fetch()

    assert home.exists
    assert (tmp_path / "pulumi-backend" / ".pulumi" / "stacks" / "CloudyPad-GCP" / f"{NAME}.json").exists()
