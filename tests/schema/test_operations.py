"""The documents that the web app sends, executed as it sends them."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse, validate
from odmantic import Model

from auth.callers import Caller
from models.catalog import ConsoleType
from models.database import Database, Document, M
from models.launches import Attempt, LaunchStatus, LaunchStepName, Step, StepStatus
from models.orphans import Sweep
from models.unreadable import Unreadable
from models.usage import UsageInterval, UsageState
from models.vms import VmStatus
from providers.base import ProviderName
from schema.execution.trusted_documents import TrustedDocuments
from schema.ids import global_id
from schema.root import SCHEMA
from tests.gateway import ANN, DALLAS, NOON, OPERATIONS, OPERATOR, GatewayWorld, a_launch, a_vm, an_event, gateway_world

LAUNCH, VM = "100000000000000001", "200000000000000001"
LAUNCH_ID, VM_ID = global_id("Launch", LAUNCH), global_id("VM", VM)
DALLAS_ID = global_id("Hostnode", "dallas")


@pytest.mark.parametrize("file", sorted(OPERATIONS.glob("*.graphql")), ids=lambda file: file.stem)
def test_every_document_is_valid_and_named_after_its_file(file: Any) -> None:
    document = parse(file.read_text())

    (operation,) = document.definitions

    assert validate(SCHEMA, document) == []
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    assert operation.name.value == file.stem


def test_every_document_is_known_by_the_hash_of_its_file() -> None:
    documents = TrustedDocuments.of_folder()

    for file in OPERATIONS.glob("*.graphql"):
        assert documents.get(hashlib.sha256(file.read_bytes()).hexdigest()) == file.read_text()


async def test_viewer_and_service(gateway: GatewayWorld) -> None:
    data = await gateway.data("Viewer", OPERATOR)

    assert data == {
        "viewer": {"id": "olga", "role": "OPERATOR"},
        "service": {"name": "provisioner-api", "version": "1.2.3"},
    }


async def test_consoles(gateway: GatewayWorld) -> None:
    consoles = (await gateway.data("Consoles"))["consoles"]

    assert [console["type"] for console in consoles] == [type_.value for type_ in ConsoleType]
    presets = {console["type"]: console["preset"] for console in consoles}
    assert presets["NES"] == {"name": "RETRO", "vcpus": 2, "ramGb": 4, "storageGb": 100, "gpu": None}
    assert (presets["SWITCH"]["name"], presets["SWITCH"]["gpu"]["minVramGb"]) == ("PREMIUM", 16)
    assert consoles[0]["emulator"]["romExtensions"] == ["nes", "unf", "fds", "zip", "unif", "7z"]
    assert consoles[0]["providers"][0] == {"provider": "TENSORDOCK", "enabled": True, "maxHourlyPrice": None}


async def test_one_console(gateway: GatewayWorld) -> None:
    data = await gateway.data("Console", type="N3DS")

    assert (data["console"]["type"], data["console"]["id"]) == ("N3DS", global_id("Console", "N3DS"))


async def test_operators_see_what_the_library_passes_over_and_players_do_not(gateway: GatewayWorld) -> None:
    skipped = (await gateway.data("SkippedLibraryFiles", OPERATOR))["skippedLibraryFiles"]
    refused = await gateway.ask("SkippedLibraryFiles", ANN)

    reason = "its extension is not one of the console's"
    assert skipped == [{"console": "GB", "reason": reason, "count": 2, "examples": ["gb/a.txt", "gb/b.exe"]}]
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]


async def test_games_page_by_page(gateway: GatewayWorld) -> None:
    first = (await gateway.data("Games", first=2))["games"]
    second = (await gateway.data("Games", first=2, after=first["pageInfo"]["endCursor"]))["games"]
    of_switch = (await gateway.data("Games", console="SWITCH"))["games"]

    assert titles(first) + titles(second) == ["Metroid", "Zelda", "Mario Odyssey"]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert titles(of_switch) == ["Mario Odyssey"]


async def test_providers_tell_which_cloud_is_set_up_and_simulated(gateway: GatewayWorld) -> None:
    providers = (await gateway.data("Providers"))["providers"]

    assert [(p["name"], p["configured"], p["healthy"], p["simulated"]) for p in providers] == [
        ("TENSORDOCK", True, True, True),
        ("CLOUDYPAD", False, False, False),
    ]


async def test_hostnodes(gateway: GatewayWorld) -> None:
    every = (await gateway.data("Hostnodes"))["hostnodes"]
    fitting = (await gateway.data("Hostnodes", console="SWITCH"))["hostnodes"]

    nodes = {edge["node"]["id"]: edge["node"] for edge in every["edges"]}
    assert list(nodes) == [global_id("Hostnode", name) for name in ("chicago", "dallas", "tallinn")]
    assert nodes[DALLAS_ID]["location"]["countryCode"] == "US"
    assert nodes[DALLAS_ID]["location"]["coordinates"]["latitude"] == pytest.approx(32.78, abs=0.05)
    assert nodes[DALLAS_ID]["gpus"] == [
        {"model": "geforcertx4090-pcie-24gb", "vramGb": 24, "available": 4, "hourlyPrice": "0.45"}
    ]
    assert [edge["node"]["id"] for edge in fitting["edges"]] == list(nodes)[:2]


async def test_hostnode_prices_and_distances(gateway: GatewayWorld) -> None:
    data = await gateway.data("HostnodePrices", **{"from": DALLAS, "console": "SWITCH"})

    chicago, dallas = (edge["node"] for edge in data["hostnodes"]["edges"])
    assert (chicago["fits"], chicago["hourlyPrice"], dallas["hourlyPrice"]) == (True, "0.424", "0.474")
    assert chicago["distanceKm"] == pytest.approx(1292, abs=2)
    assert dallas["distanceKm"] == pytest.approx(0, abs=5)


async def test_locations(gateway: GatewayWorld) -> None:
    locations = (await gateway.data("Locations"))["locations"]

    assert [
        (place["countryCode"], place["city"], place["hostnodes"], place["gpusAvailable"]) for place in locations
    ] == [
        ("EE", "Tallinn", 1, 0),
        ("US", "Chicago", 1, 4),
        ("US", "Dallas", 1, 4),
    ]


async def test_placements_stand_in_the_order_in_which_a_launch_tries_them(gateway: GatewayWorld) -> None:
    near = (await gateway.data("Placements", **{"from": DALLAS, "console": "SWITCH"}))["placements"]
    cheap = (await gateway.data("Placements", console="SWITCH", limit=1))["placements"]

    assert [(each["rank"], each["site"]["location"]["city"]) for each in near] == [(1, "Dallas"), (2, "Chicago")]
    assert near[0]["reasons"][0].endswith("(estimated)")
    assert [(each["site"]["location"]["city"], each["distanceKm"], each["hourlyPrice"]) for each in cheap] == [
        ("Chicago", None, "0.424")
    ]


async def test_closest_hostnodes_are_nearest_first(gateway: GatewayWorld) -> None:
    data = await gateway.data("ClosestHostnodes", **{"from": DALLAS, "console": "SWITCH", "limit": 2})

    distances = [each["distanceKm"] for each in data["closestHostnodes"]]
    assert distances == sorted(distances)
    assert data["closestHostnodes"][0]["site"]["id"] == DALLAS_ID


async def test_a_launch_is_ordered_once_per_key_and_shown(gateway: GatewayWorld) -> None:
    wish = {"console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS, "idempotencyKey": "k1"}

    first = (await gateway.data("LaunchGame", input=wish))["launchGame"]
    again = (await gateway.data("LaunchGame", input=wish))["launchGame"]
    shown = (await gateway.data("Launch", id=first["launch"]["id"]))["launch"]

    assert (first["errors"], first["launch"]["status"]) == ([], "QUEUED")
    assert again["launch"]["id"] == first["launch"]["id"]
    assert len(await gateway.db.find(type(a_launch("1")), {})) == 1
    assert [step["name"] for step in shown["steps"]] == [name.value for name in LaunchStepName]
    assert (shown["console"]["type"], shown["gameId"], shown["userId"]) == ("SWITCH", "mario-odyssey", "ann")


async def test_a_machine_without_a_game_is_a_launch_without_one(gateway: GatewayWorld) -> None:
    created = (await gateway.data("CreateVm", input={"console": "SNES", "maxHourlyPrice": "1.50"}))["createVm"]

    shown = (await gateway.data("Launch", id=created["launch"]["id"]))["launch"]

    assert (shown["console"]["type"], shown["gameId"]) == ("SNES", None)


async def test_a_launch_is_cancelled(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))

    cancelled = (await gateway.data("CancelLaunch", launchId=LAUNCH_ID))["cancelLaunch"]

    assert cancelled == {"launch": {"id": LAUNCH_ID, "status": "CANCELLING"}, "errors": []}
    assert gateway.engine.cancelled == [LAUNCH]


async def test_a_launch_that_is_over_cannot_be_cancelled(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.READY))

    refused = (await gateway.data("CancelLaunch", launchId=LAUNCH_ID))["cancelLaunch"]

    assert refused["launch"] is None
    assert [(error["__typename"], error["status"]) for error in refused["errors"]] == [("InvalidState", "READY")]
    assert gateway.engine.cancelled == []


async def test_a_launch_shows_its_attempts_by_the_ids_of_their_sites(gateway: GatewayWorld) -> None:
    attempt = Attempt(provider=ProviderName.TENSORDOCK, site_id="dallas", started_at=NOON, outcome="full")
    steps = [Step(name=LaunchStepName.BOOT, status=StepStatus.RUNNING, started_at=NOON, detail="Booting")]
    await gateway.db.insert(a_launch(LAUNCH, attempts=[attempt], steps=steps, vm_id="gone"))

    shown = (await gateway.data("Launch", id=LAUNCH_ID))["launch"]

    assert shown["attempts"] == [
        {"provider": "TENSORDOCK", "siteId": DALLAS_ID, "startedAt": "2026-05-01T12:00:00.000Z", "outcome": "full"}
    ]
    assert shown["steps"] == [
        {
            "name": "BOOT",
            "status": "RUNNING",
            "startedAt": "2026-05-01T12:00:00.000Z",
            "finishedAt": None,
            "detail": "Booting",
        }
    ]
    assert shown["vm"] is None


async def test_a_machine_in_full(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH, vm_id=VM))
    await gateway.db.insert(a_vm(VM))
    await gateway.db.insert(an_hour_of_use(VM))

    vm = (await gateway.data("Vm", id=VM_ID))["vm"]

    assert vm["stream"] == {
        "host": "127.0.0.7",
        "httpsPort": 47984,
        "httpPort": 20001,
        "rtspPort": 48010,
        "paired": False,
    }
    assert (vm["name"], vm["status"], vm["hourlyPrice"]) == (f"gamer-{VM}", "RUNNING", "0.45")
    assert (vm["costSoFar"], vm["runningSeconds"]) == ("0.45", 3600)
    assert (vm["site"]["id"], vm["location"]["city"]) == (DALLAS_ID, "Dallas")
    assert (vm["launch"]["id"], vm["console"]["type"], vm["preset"]["name"]) == (LAUNCH_ID, "SWITCH", "PREMIUM")


async def test_a_machine_that_does_not_run_or_has_no_address_offers_no_stream(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(VM, status=VmStatus.STOPPED))
    await gateway.db.insert(a_vm("200000000000000002", ip_address=None))

    shown = [(await gateway.data("Vm", id=global_id("VM", key)))["vm"] for key in (VM, "200000000000000002")]

    assert [vm["stream"] for vm in shown] == [None, None]


async def test_machines_and_launches_page_by_page(gateway: GatewayWorld) -> None:
    for number in range(5):
        await gateway.db.insert(a_vm(f"20000000000000000{number}", created_at=NOON + timedelta(hours=number // 2)))
        await gateway.db.insert(
            a_launch(f"10000000000000000{number}", requested_at=NOON + timedelta(hours=number // 2))
        )

    machines = await all_pages(gateway, "Vms", "vms", ANN, first=2)
    launches = await all_pages(gateway, "Launches", "launches", OPERATOR, first=2, status=["QUEUED"], userId="ann")

    assert machines == [global_id("VM", f"20000000000000000{number}") for number in (4, 3, 2, 1, 0)]
    assert launches == [global_id("Launch", f"10000000000000000{number}") for number in (4, 3, 2, 1, 0)]


async def test_a_page_of_machines_asks_the_database_once_per_kind(db: Database, mongodb_uri: str) -> None:
    counted = CountedDatabase(mongodb_uri, db.name)
    async with gateway_world(counted) as gateway:
        for number in range(30):
            await db.insert(a_vm(str(2 * 10**17 + number)))
        await gateway.data("Locations")  # the sites are geocoded once
        counted.finds.clear()

        await gateway.data(
            "{ vms(first: 30) { edges { node { console { name } launch { id } site { id } costSoFar } } } }"
        )

        assert counted.finds == {"Vm": 1, "ConsoleSettings": 1, "Launch": 1, "UsageInterval": 1}
    await counted.close()


async def test_progress_is_replayed_and_completes_after_the_last_event(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.READY, vm_id=VM))
    await gateway.db.insert(a_vm(VM))
    for sequence, status in [(1, LaunchStatus.RUNNING), (2, LaunchStatus.RUNNING), (3, LaunchStatus.READY)]:
        await gateway.db.insert(an_event(LAUNCH, sequence, status))

    answers = [answer async for answer in await gateway.follow("LaunchProgress", ANN, launchId=LAUNCH_ID, after=1)]

    events = [answer["data"]["launchProgress"] for answer in answers]
    assert [(event["sequence"], event["status"]) for event in events] == [(2, "RUNNING"), (3, "READY")]
    assert events[1]["launch"]["vm"]["stream"]["host"] == "127.0.0.7"
    assert gateway.progress.followers == 0


async def test_each_event_shows_the_launch_as_it_is_then(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(an_event(LAUNCH, 1))
    answers = await gateway.follow("LaunchProgress", ANN, launchId=LAUNCH_ID)
    first = await anext(answers)

    ready = a_launch(LAUNCH, status=LaunchStatus.READY)
    await gateway.db.replace(ready)
    await gateway.db.insert(an_event(LAUNCH, 2, LaunchStatus.READY))
    second = await anext(answers)

    shown = [answer["data"]["launchProgress"]["launch"]["status"] for answer in (first, second)]
    assert shown == ["RUNNING", "READY"]
    assert [answer async for answer in answers] == []


async def test_the_state_of_a_machine_is_followed_to_its_end(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(VM))
    answers = await gateway.follow("VmStatus", ANN, vmId=VM_ID)
    seen = [(await anext(answers))["data"]["vmStatus"]["status"]]

    for status in (VmStatus.STOPPING, VmStatus.DELETING, VmStatus.DELETED):
        await gateway.db.replace(a_vm(VM, status=status))
        seen.append((await anext(answers))["data"]["vmStatus"]["status"])

    assert seen == ["RUNNING", "STOPPING", "DELETING", "DELETED"]
    assert [answer async for answer in answers] == []
    assert gateway.machines.followers == 0


@pytest.mark.parametrize(
    ("type_name", "key"),
    [("Console", "SWITCH"), ("Game", "SNES/zelda"), ("Hostnode", "dallas"), ("Launch", LAUNCH), ("VM", VM)],
)
async def test_node_finds_anything_by_its_id(gateway: GatewayWorld, type_name: str, key: str) -> None:
    await gateway.db.insert(a_launch(LAUNCH))
    await gateway.db.insert(a_vm(VM))

    node = (await gateway.data("Node", id=global_id(type_name, key)))["node"]

    assert (node["__typename"], node["id"]) == (type_name, global_id(type_name, key))


@pytest.mark.parametrize(
    "id",
    [
        global_id("Console", "ATARI"),
        global_id("Game", "SNES/none"),
        global_id("Game", "zelda"),
        global_id("Hostnode", "?"),
    ],
)
async def test_node_is_null_for_what_is_not_there(gateway: GatewayWorld, id: str) -> None:
    assert (await gateway.data("Node", id=id))["node"] is None


class CountedDatabase(Database):
    """Counts its questions for documents, by kind."""

    def __init__(self, uri: str, name: str) -> None:
        super().__init__(uri, name)
        self.finds: Counter[str] = Counter()

    async def find(self, model: type[M], *args: Any, **kwargs: Any) -> list[M]:
        self.finds[model.__name__] += 1
        return await super().find(model, *args, **kwargs)

    async def find_readable(self, model: type[M], *args: Any, **kwargs: Any) -> tuple[list[M], list[Unreadable]]:
        self.finds[model.__name__] += 1
        return await super().find_readable(model, *args, **kwargs)

    async def rows(self, model: type[Model], query: Document, *args: Any) -> list[Document]:
        self.finds[model.__name__] += 1
        return await super().rows(model, query, *args)


def an_hour_of_use(vm_id: str) -> UsageInterval:
    return UsageInterval(
        id=f"{vm_id}:1",
        vm_id=vm_id,
        number=1,
        user_id="ann",
        provider=ProviderName.TENSORDOCK,
        console=ConsoleType.SWITCH,
        state=UsageState.RUNNING,
        start=NOON,
        end=NOON + timedelta(hours=1),
        machine_usd_per_hour=Decimal("0.40"),
        storage_usd_per_hour=Decimal("0.05"),
    )


async def all_pages(gateway: GatewayWorld, document: str, name: str, caller: Caller, /, **variables: Any) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        connection = (await gateway.data(document, caller, after=after, **variables))[name]
        found += [edge["node"]["id"] for edge in connection["edges"]]
        after = connection["pageInfo"]["endCursor"]
        if not connection["pageInfo"]["hasNextPage"]:
            return found


def titles(connection: dict[str, Any]) -> list[str]:
    return [edge["node"]["title"] for edge in connection["edges"]]


async def test_operators_see_when_each_cloud_was_last_swept_and_players_do_not(gateway: GatewayWorld) -> None:
    await gateway.db.insert(Sweep(id=ProviderName.TENSORDOCK, at=NOON))

    swept = (await gateway.data("Sweeps", OPERATOR))["sweeps"]

    assert swept == [{"provider": "TENSORDOCK", "at": "2026-05-01T12:00:00.000Z"}]
    assert (await gateway.error("Sweeps", ANN))["extensions"]["code"] == "FORBIDDEN"
