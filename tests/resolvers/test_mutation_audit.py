"""Every mutation is in the audit log: who, what, to what, how it ended; the refused, denied and cut off ones too."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from odmantic import Model

from auth.callers import Caller
from fleet.messages import CommandRequest, CommandResult, PairingInput, PairResult, Pin
from launch.messages import ImageRefresh, LaunchInput
from models.api_keys import ApiKey
from models.audit import AuditEntry
from models.catalog import ConsoleSettings, ConsoleType
from models.database import Database
from models.launches import Launch
from models.limits import LimitPeriod, SpendingLimit, limit_id
from models.roles import Role
from models.scheduled_launches import ScheduledLaunch
from models.vms import VmStatus
from models.warm_machines import WarmPool
from schema.ids import global_id
from schema.root import SCHEMA
from streaming.saves.slots import SaveSlot
from tests.gateway import ANN, BOB, NOON, OPERATOR, GatewayWorld, StubEngine, a_launch, a_plan, a_vm, gateway_world
from tests.saves_shelf import MONDAY, SLOT, Shelf, account, shelf

__all__ = ["account", "shelf"]

LAUNCH, VM, NOBODYS, KEY = "100000000000000001", "200000000000000001", "300000000000000001", "0123456789abcdef"
PLAN: Final = "400000000000000001"
ON_VM: Final = {"vmId": global_id("VM", VM)}
SAVE: Final = {"slotId": global_id("SaveSlot", SLOT.key)}
VERSION: Final = {"versionId": global_id("SaveVersion", f"GAME/current/{SLOT.key}")}
NO_SLOT: Final = SaveSlot("ann", ConsoleType.GB, "pong")
ON_SAVES: Final[dict[str, dict[str, Any]]] = {
    "restoreSave": VERSION,
    "keepSave": VERSION,
    "renameSave": {**SAVE, "saveId": "other"},
    "deleteSave": SAVE,
    "undeleteSave": SAVE,
    "downloadSave": VERSION,
}
NO_SAVE: Final = {
    "slotId": global_id("SaveSlot", NO_SLOT.key),
    "versionId": global_id("SaveVersion", f"GAME/current/{NO_SLOT.key}"),
}
IMAGE: Final = "ghcr.io/games-on-whales/retroarch:edge"
TOMORROW: Final = (datetime.now(UTC) + timedelta(days=1)).isoformat()
PLAY: Final = {"console": "SWITCH", "gameId": "mario-odyssey", "at": TOMORROW}
COMMANDS: Final = ("startVm", "stopVm", "restartVm", "deleteVm", "deleteVmWithoutSaves")
# field: (who may, good variables, subject of the entry; None for the id of a new record)
GOOD: Final[dict[str, tuple[Caller, dict[str, Any], str | None]]] = {
    "launchGame": (ANN, {"input": {"console": "SWITCH", "gameId": "mario-odyssey"}}, None),
    "createVm": (ANN, {"input": {"console": "SNES"}}, None),
    "cancelLaunch": (ANN, {"launchId": global_id("Launch", LAUNCH)}, LAUNCH),
    "scheduleLaunch": (ANN, {"input": PLAY}, None),
    "cancelScheduledLaunch": (ANN, {"input": {"scheduledLaunchId": global_id("ScheduledLaunch", PLAN)}}, PLAN),
    **dict.fromkeys(COMMANDS, (ANN, ON_VM, VM)),
    "pairClient": (ANN, {**ON_VM, "pin": "4821"}, VM),
    "startPairing": (ANN, ON_VM, VM),
    **{field: (ANN, variables, SLOT.key) for field, variables in ON_SAVES.items()},
    "configureConsole": (OPERATOR, {"input": {"console": "NES", "idleStopMinutes": 20}}, "NES"),
    "refreshEmulatorImages": (OPERATOR, {"image": IMAGE}, IMAGE),
    "setSpendingLimit": (OPERATOR, {"input": {"period": "DAILY", "amount": "5", "userId": "ann"}}, "ann"),
    "removeSpendingLimit": (OPERATOR, {"input": {"period": "MONTHLY", "userId": "ann"}}, "ann"),
    "setWarmPool": (OPERATOR, {"input": {"ceilingPerDay": "5"}}, None),
    "createApiKey": (OPERATOR, {"input": {"name": "shop", "role": "SERVICE"}}, None),
    "revokeApiKey": (OPERATOR, {"apiKeyId": global_id("ApiKey", KEY)}, KEY),
}
# field: (variables that are refused, subject of the entry)
REFUSED: Final[dict[str, tuple[dict[str, Any], str | None]]] = {
    "launchGame": ({"input": {"console": "SWITCH", "gameId": "no-such-game"}}, None),
    "createVm": ({"input": {"console": "SNES", "maxSessionHours": -1}}, None),
    "cancelLaunch": ({"launchId": global_id("Launch", NOBODYS)}, NOBODYS),
    "scheduleLaunch": ({"input": {**PLAY, "at": NOON.isoformat()}}, None),
    "cancelScheduledLaunch": ({"input": {"scheduledLaunchId": global_id("ScheduledLaunch", NOBODYS)}}, NOBODYS),
    **{field: ({"vmId": global_id("VM", NOBODYS)}, NOBODYS) for field in COMMANDS},
    "pairClient": ({**ON_VM, "pin": "12"}, VM),
    "startPairing": ({"vmId": global_id("VM", NOBODYS)}, NOBODYS),
    **{
        field: ({key: NO_SAVE.get(key, value) for key, value in variables.items()}, NO_SLOT.key)
        for field, variables in ON_SAVES.items()
    },
    "configureConsole": ({"input": {"console": "NES", "idleStopMinutes": -1}}, None),
    "refreshEmulatorImages": ({"image": "me/unknown:1"}, None),
    "setSpendingLimit": ({"input": {"period": "DAILY", "amount": "-5"}}, None),
    "removeSpendingLimit": ({"input": {"period": "MONTHLY", "userId": "nobody"}}, None),
    "setWarmPool": ({"input": {"ceilingPerDay": "-5"}}, None),
    "createApiKey": ({"input": {"name": "\n", "role": "SERVICE"}}, None),
    "revokeApiKey": ({"apiKeyId": global_id("ApiKey", "f" * 16)}, "f" * 16),
}
DENIED: Final[dict[str, dict[str, Any]]] = {
    "launchGame": {"input": {"console": "SWITCH", "gameId": "mario-odyssey", "userId": "bob"}},
    "createVm": {"input": {"console": "SNES", "userId": "bob"}},
    **{field: good for field, (who, good, _) in GOOD.items() if who is OPERATOR},
}
CHANGED: Final[dict[str, type[Model]]] = {
    "configureConsole": ConsoleSettings,
    "setSpendingLimit": SpendingLimit,
    "setWarmPool": WarmPool,
    "createApiKey": ApiKey,
}
AT_THE_ENGINE: Final = [
    *("launchGame", "createVm", "cancelLaunch", *COMMANDS, "pairClient"),
    *("refreshEmulatorImages", "startPairing"),
]


async def things(db: Database) -> None:
    await db.insert(a_launch(LAUNCH, "ann"))
    await db.insert(a_vm(VM, "ann"))
    await db.insert(ApiKey(id=KEY, name="old", role=Role.SERVICE, digest="0" * 64, created_by="olga", created_at=NOON))
    await db.insert(a_limit())
    await db.insert(a_plan(PLAN, "ann"))


def a_limit() -> SpendingLimit:
    period = LimitPeriod.MONTHLY
    return SpendingLimit(id=limit_id(period, "ann"), period=period, user_id="ann", usd=Decimal(5), set_at=NOON)


@pytest.fixture
async def peopled(shelf: Shelf) -> GatewayWorld:
    await things(shelf.gateway.db)
    await shelf.upload(MONDAY, b"level 1")
    shelf.gateway.engine.answer = CommandResult(accepted=True, status=VmStatus.RUNNING)
    return shelf.gateway


async def trail(db: Database) -> list[tuple[str, str, str, str | None, str]]:
    found = await db.find(AuditEntry, {}, sort=[("_id", 1)])
    return [(one.actor_id, one.actor_role.value, one.action, one.subject_id, one.outcome.value) for one in found]


def document(field: str) -> str:
    return field[0].upper() + field[1:]


def test_no_mutation_is_forgotten_here() -> None:
    assert SCHEMA.mutation_type is not None
    assert set(GOOD) == set(REFUSED) == set(SCHEMA.mutation_type.fields)


@pytest.mark.parametrize("field", GOOD)
async def test_what_is_done_is_in_the_audit_log_with_who_and_what(peopled: GatewayWorld, field: str) -> None:
    who, variables, subject = GOOD[field]

    payload = (await peopled.data(document(field), who, **variables))[field]

    ((actor, role, action, told, outcome),) = await trail(peopled.db)
    assert payload["errors"] == []
    assert (actor, role, action, outcome) == (who.id, who.role.value, field, "DONE")
    models = (Launch, ApiKey, ScheduledLaunch)
    made = {one.id for model in models for one in await peopled.db.find(model, {})} - {LAUNCH, KEY, PLAN}
    assert {told} == ((made or {None}) if subject is None else {subject})


@pytest.mark.parametrize("field", REFUSED)
async def test_what_is_refused_is_in_the_audit_log_once(peopled: GatewayWorld, field: str) -> None:
    who, (variables, subject) = GOOD[field][0], REFUSED[field]

    payload = (await peopled.data(document(field), who, **variables))[field]

    assert len(payload["errors"]) == 1
    assert await trail(peopled.db) == [(who.id, who.role.value, field, subject, "REFUSED")]


@pytest.mark.parametrize(
    "field", ["cancelLaunch", "cancelScheduledLaunch", *COMMANDS, "pairClient", "startPairing", *ON_SAVES]
)
async def test_a_try_at_what_is_somebody_elses_is_in_the_audit_log(peopled: GatewayWorld, field: str) -> None:
    _, variables, subject = GOOD[field]

    await peopled.data(document(field), BOB, **variables)

    assert await trail(peopled.db) == [("bob", "PLAYER", field, subject, "REFUSED")]
    engine = peopled.engine
    assert (engine.asked, engine.pins, engine.cancelled, engine.pairings) == ([], [], [], [])


@pytest.mark.parametrize("field", DENIED)
async def test_what_is_denied_is_in_the_audit_log(peopled: GatewayWorld, field: str) -> None:
    error = await peopled.error(document(field), ANN, **DENIED[field])

    assert error["extensions"]["code"] == "FORBIDDEN"
    assert await trail(peopled.db) == [("ann", "PLAYER", field, None, "DENIED")]


async def test_a_text_that_is_no_id_does_not_get_into_the_audit_log(peopled: GatewayWorld) -> None:
    await peopled.data("StopVm", ANN, vmId=global_id("VM", "x\nolga OPERATOR DONE"))

    assert await trail(peopled.db) == [("ann", "PLAYER", "stopVm", None, "REFUSED")]


class HangingEngine(StubEngine):
    """Takes whatever it is told, and never answers: the moment in which a process dies."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    async def _hang(self) -> Any:
        self.told.set()
        await asyncio.Event().wait()

    async def start_launch(self, ticket: LaunchInput) -> None:
        await self._hang()

    async def cancel_launch(self, launch_id: str) -> None:
        await self._hang()

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult:
        answer: CommandResult = await self._hang()
        return answer

    async def start_pairing(self, pairing: PairingInput) -> None:
        await self._hang()

    async def refresh_images(self, refresh: ImageRefresh) -> None:
        await self._hang()

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult:
        paired: PairResult = await self._hang()
        return paired


@pytest.mark.parametrize("field", AT_THE_ENGINE)
async def test_a_change_that_is_cut_off_at_temporal_stays_in_the_audit_log_with_its_subject(
    db: Database, field: str
) -> None:
    engine = HangingEngine()
    who, variables, subject = GOOD[field]
    async with gateway_world(db, engine=engine) as world:
        await things(db)
        asking = asyncio.create_task(world.ask(document(field), who, **variables))
        await asyncio.wait_for(engine.told.wait(), 4)

        asking.cancel()
        await asyncio.wait([asking])

    begun = {one.id for one in await db.find(Launch, {})} - {LAUNCH}
    ((actor, _, action, told, outcome),) = await trail(db)
    assert (actor, action, outcome) == (who.id, field, "REQUESTED")
    assert {told} == (begun if subject is None else {subject})


class DyingDatabase(Database):
    """The process dies between a change of our own and its entry."""

    async def insert(self, document: Model) -> None:
        dying = asyncio.current_task()
        if isinstance(document, AuditEntry) and dying is not None:
            dying.cancel()
            await asyncio.sleep(0)
        await super().insert(document)


@pytest.mark.parametrize("field", CHANGED)
async def test_a_change_of_our_own_that_is_cut_off_before_its_entry_did_not_happen(
    mongodb_uri: str, field: str
) -> None:
    db = DyingDatabase(mongodb_uri, f"test_{secrets.token_hex(6)}")
    who, variables, _ = GOOD[field]
    async with gateway_world(db) as world:
        asking = asyncio.create_task(world.ask(document(field), who, **variables))
        await asyncio.wait([asking])

        assert asking.cancelled()
        assert await db.find(CHANGED[field], {}) == []
    await db.drop()
    await db.close()


async def test_a_limit_whose_removal_is_cut_off_before_its_entry_is_still_there(mongodb_uri: str) -> None:
    db = DyingDatabase(mongodb_uri, f"test_{secrets.token_hex(6)}")
    who, variables, _ = GOOD["removeSpendingLimit"]
    async with gateway_world(db) as world:
        await db.insert(a_limit())
        asking = asyncio.create_task(world.ask(document("removeSpendingLimit"), who, **variables))
        await asyncio.wait([asking])

        assert asking.cancelled()
        assert await db.find(SpendingLimit, {}) == [a_limit()]
    await db.drop()
    await db.close()
