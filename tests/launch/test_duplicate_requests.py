"""A request that means a launch which exists already gets that launch, and rents nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from errors import UnavailableError
from launch.messages import LaunchInput
from models.database import Database
from models.idempotency import IdempotencyKey
from models.launches import Launch, LaunchStatus
from schema.ids import global_id
from streaming.saves.slots import DEFAULT_SAVE
from tests.gateway import (
    ANN,
    DALLAS,
    OPERATOR,
    SERVICE,
    GatewayWorld,
    StubEngine,
    a_launch,
    a_vm,
    gateway,
    gateway_world,
)

__all__ = ["gateway"]

WISH = {"console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS}


async def launch_game(gateway: GatewayWorld, /, caller: Any = ANN, **changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await gateway.data("LaunchGame", caller, input={**WISH, **changes}))["launchGame"]
    return payload


async def create_vm(gateway: GatewayWorld, **changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await gateway.data("CreateVm", ANN, input={"console": "SNES", **changes}))["createVm"]
    return payload


def ids(*payloads: dict[str, Any]) -> list[str]:
    assert [payload["errors"] for payload in payloads] == [[]] * len(payloads)
    return [payload["launch"]["id"] for payload in payloads]


def problem(payload: dict[str, Any]) -> tuple[str, str, list[str]]:
    (error,) = payload["errors"]
    return error["__typename"], error["code"], error["path"]


async def stored(gateway: GatewayWorld) -> list[Launch]:
    return await gateway.db.find(Launch, {})


async def end(gateway: GatewayWorld, status: LaunchStatus = LaunchStatus.READY) -> None:
    await gateway.db.update_many(Launch, {}, {"$set": {"status": status}})


@pytest.mark.parametrize("keys", [[None] * 8, [f"key-{number}" for number in range(8)], ["key"] * 8, [None, "key"] * 4])
async def test_requests_at_the_same_moment_are_one_launch(gateway: GatewayWorld, keys: list[str | None]) -> None:
    payloads = await asyncio.gather(*(launch_game(gateway, idempotencyKey=key) for key in keys))

    assert len(set(ids(*payloads))) == 1
    assert len(await stored(gateway)) == 1
    assert len(set(gateway.engine.started)) == 1


async def test_machines_asked_for_at_the_same_moment_are_one_by_console(gateway: GatewayWorld) -> None:
    payloads = await asyncio.gather(*(create_vm(gateway) for _ in range(4)), create_vm(gateway, console="NES"))

    assert len(set(ids(*payloads[:4]))) == 1
    assert len(await stored(gateway)) == 2


async def test_the_second_request_s_key_names_the_launch_under_way_also_when_it_has_ended(
    gateway: GatewayWorld,
) -> None:
    first, second = await launch_game(gateway), await launch_game(gateway, idempotencyKey="second")
    await end(gateway)

    again = await launch_game(gateway, idempotencyKey="second")

    assert len(set(ids(first, second, again))) == 1


@pytest.mark.parametrize(
    "changes",
    [{"gameId": "zelda", "console": "SNES"}, {"saveId": "other"}, {"caller": SERVICE, "userId": "bob"}],
)
async def test_another_game_save_or_player_is_another_launch(gateway: GatewayWorld, changes: dict[str, Any]) -> None:
    first, second = await launch_game(gateway), await launch_game(gateway, **changes)

    assert len(set(ids(first, second))) == 2


async def test_the_default_save_by_its_name_is_the_same_save(gateway: GatewayWorld) -> None:
    first, second = await launch_game(gateway), await launch_game(gateway, saveId=DEFAULT_SAVE)

    assert len(set(ids(first, second))) == 1


async def test_other_terms_get_the_same_launch_with_a_warning(gateway: GatewayWorld) -> None:
    first = await launch_game(gateway)
    second = await launch_game(gateway, maxHourlyPrice="0.99", provider="TENSORDOCK")
    third = await launch_game(gateway, maxHourlyPrice="0.99", provider="TENSORDOCK")

    assert len(set(ids(first, second, third))) == 1
    (launch,) = await stored(gateway)
    assert (launch.max_usd_per_hour, launch.provider) == (None, None)
    warning = "It was already running and does not follow provider, maxHourlyPrice of a later request"
    assert (launch.warning or "").endswith(f". {warning}")
    shown = await gateway.data("query($id: ID!) { launch(id: $id) { warning } }", ANN, id=ids(second)[0])
    assert shown["launch"]["warning"] == launch.warning


async def test_a_launch_on_a_given_machine_is_never_merged(gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm("200000000000000001"))
    given = {"vmId": global_id("VM", "200000000000000001")}

    payloads = [await launch_game(gateway, **more) for more in ({}, given, given, {})]

    assert len(set(ids(*payloads))) == 3
    assert ids(payloads[0]) == ids(payloads[3])


@pytest.mark.parametrize("status", [LaunchStatus.READY, LaunchStatus.FAILED, LaunchStatus.CANCELLED])
async def test_a_launch_that_has_ended_makes_way_for_one_new_launch(
    gateway: GatewayWorld, status: LaunchStatus
) -> None:
    first = await launch_game(gateway)
    await end(gateway, status)

    payloads = await asyncio.gather(*(launch_game(gateway) for _ in range(4)))

    assert len({*ids(first), *ids(*payloads)}) == 2
    assert len(await stored(gateway)) == 2


async def test_a_launch_that_is_being_cancelled_is_not_the_one_that_is_wanted(gateway: GatewayWorld) -> None:
    first = await launch_game(gateway)
    await end(gateway, LaunchStatus.CANCELLING)

    assert ids(await launch_game(gateway)) != ids(first)


async def test_a_launch_that_an_earlier_version_wrote_is_found(gateway: GatewayWorld) -> None:
    earlier = a_launch("100000000000000009", "ann", status=LaunchStatus.RUNNING, requested_at=datetime.now(UTC))
    await gateway.db.insert(earlier)

    assert ids(await launch_game(gateway)) == [global_id("Launch", earlier.id)]


async def test_a_launch_that_is_under_way_for_days_is_still_the_one_that_is_meant(gateway: GatewayWorld) -> None:
    first = await launch_game(gateway)
    days_ago = {"status": LaunchStatus.RUNNING, "requested_at": datetime.now(UTC) - timedelta(days=3)}
    await gateway.db.update_many(Launch, {}, {"$set": days_ago})

    payloads = [await launch_game(gateway), await launch_game(gateway, idempotencyKey="key")]

    assert ids(*payloads) == ids(first, first)


@pytest.mark.parametrize(
    "changes",
    [{"gameId": "zelda", "console": "SNES"}, {"maxHourlyPrice": "0.99"}, {"saveId": "other"}, {"location": None},
     {"idleStopMinutes": 11}, {"maxSessionHours": 1.5}, {"provider": "TENSORDOCK"}],
)  # fmt: skip
@pytest.mark.parametrize("ended", [False, True])
async def test_a_key_that_was_used_with_other_arguments_is_refused(
    gateway: GatewayWorld, changes: dict[str, Any], *, ended: bool
) -> None:
    await launch_game(gateway, idempotencyKey="key")
    if ended:
        await end(gateway)

    payload = await launch_game(gateway, idempotencyKey="key", **changes)

    assert payload["launch"] is None
    assert problem(payload) == ("InvalidInput", "IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])
    assert len(await stored(gateway)) == 1


async def test_arguments_that_are_equal_after_the_defaults_are_the_same(gateway: GatewayWorld) -> None:
    first = await launch_game(gateway, idempotencyKey="key", maxHourlyPrice="0.5")
    (launch,) = await stored(gateway)

    again = await launch_game(
        gateway,
        idempotencyKey="key",
        maxHourlyPrice="0.50",
        saveId=DEFAULT_SAVE,
        idleStopMinutes=launch.idle_stop_minutes,
        maxSessionHours=launch.max_session_hours,
        userId="ann",
    )

    assert ids(first) == ids(again)


async def test_the_defaults_of_a_console_may_change_between_a_request_and_its_repetition(
    gateway: GatewayWorld,
) -> None:
    first = await launch_game(gateway, idempotencyKey="key")
    await gateway.data(
        "ConfigureConsole", OPERATOR, input={"console": "SWITCH", "idleStopMinutes": 7, "maxSessionHours": 2}
    )

    assert ids(await launch_game(gateway, idempotencyKey="key")) == ids(first)


async def test_a_service_s_key_is_another_one_for_each_player(gateway: GatewayWorld) -> None:
    payloads = [
        await launch_game(gateway, SERVICE, userId=user, idempotencyKey="key") for user in ("ann", "bob", "ann", "bob")
    ]

    assert ids(payloads[0]) == ids(payloads[2])
    assert ids(payloads[1]) == ids(payloads[3])
    assert {launch.user_id for launch in await stored(gateway)} == {"ann", "bob"}
    other = await launch_game(gateway, SERVICE, userId="bob", idempotencyKey="key", maxHourlyPrice="1")
    assert problem(other)[1] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_launch_whose_key_was_not_written_any_more_is_named_by_its_own(gateway: GatewayWorld) -> None:
    first = await launch_game(gateway, idempotencyKey="key")
    await gateway.db.delete(IdempotencyKey, {})
    await end(gateway)

    assert ids(await launch_game(gateway, idempotencyKey="key")) == ids(first)
    assert problem(await launch_game(gateway, idempotencyKey="key", saveId="other"))[1] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_request_that_could_not_be_begun_may_be_made_again_with_its_key(gateway: GatewayWorld) -> None:
    gateway.engine.away = True
    error = await gateway.error("LaunchGame", ANN, input={**WISH, "idempotencyKey": "key"})
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert await stored(gateway) == []
    gateway.engine.away = False

    (launch_id,) = ids(await launch_game(gateway, idempotencyKey="key"))

    assert [global_id("Launch", launch.id) for launch in await stored(gateway)] == [launch_id]


class EngineThatLosesTheFirstStart(StubEngine):
    """It answers the first start with nothing but an error, and only once `lose` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.lose = asyncio.Event(), asyncio.Event()

    async def start_launch(self, ticket: LaunchInput) -> None:
        if not self.reached.is_set():
            self.reached.set()
            await self.lose.wait()
            raise UnavailableError("Temporal does not respond")
        await super().start_launch(ticket)


@pytest.mark.parametrize(
    ("first_key", "second_key"), [(None, None), (None, "second"), ("first", "second"), ("same", "same")]
)
async def test_a_launch_that_a_further_request_was_given_is_not_taken_back_by_the_first(
    db: Database, first_key: str | None, second_key: str | None
) -> None:
    engine = EngineThatLosesTheFirstStart()
    async with gateway_world(db, engine=engine) as gateway:
        first = asyncio.create_task(launch_game(gateway, idempotencyKey=first_key))
        await asyncio.wait_for(engine.reached.wait(), 20)
        second = await launch_game(gateway, idempotencyKey=second_key)
        engine.lose.set()

        assert ids(await first) == ids(second)
        assert [global_id("Launch", launch.id) for launch in await stored(gateway)] == ids(second)


async def test_temporal_that_is_away_for_the_second_request_leaves_the_launch_alone(gateway: GatewayWorld) -> None:
    first = await launch_game(gateway)
    gateway.engine.away = True

    error = await gateway.error("LaunchGame", ANN, input=WISH)

    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert [global_id("Launch", launch.id) for launch in await stored(gateway)] == ids(first)
