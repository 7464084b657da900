from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from errors import (
    MachineLostError,
    NoCapacityError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    UnavailableError,
)
from providers.base import MachineId, MachineState, Place, ProviderHealth
from providers.tensordock.client import base_url
from providers.tensordock.provider import TensorDock
from tests.providers.conftest import Connect
from tests.providers.tensordock_stand_in import HOSTNODE, HTML, Said, StandIn

NOBODY = MachineId("468b716a-0000-4000-8000-999999999999")
NO_USABLE_ANSWER = [
    Said(502, HTML),
    Said(200, HTML),
    Said(404, HTML),
    Said(500, {"error": "Internal server error"}),
    Said(429, {"error": "Too many requests"}),
    Said(302, None),
    Said(cut=True),
    Said(200, {}),
    Said(200, {"data": None}),
    Said(200, {"status": 500, "error": "unexpected error"}),
    Said(200, {"error": "something new"}),
]


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/api"),
        ("https://dashboard.tensordock.com/api", "https://dashboard.tensordock.com/api"),
        ("https://dashboard.tensordock.com/api/", "https://dashboard.tensordock.com/api"),
        ("https://dashboard.tensordock.com/api/v2", "https://dashboard.tensordock.com/api"),
        ("https://dashboard.tensordock.com/api/v0/", "https://dashboard.tensordock.com/api"),
        ("http://host/v2", "http://host/api"),
        ("http://host/proxy/api/v2?x=1#y", "http://host/proxy/api"),
    ],
)
def test_the_address_may_be_given_with_or_without_its_version(given: str, base: str) -> None:
    assert base_url(given) == base


async def test_sites_are_the_hostnodes_and_the_token_is_the_bearer(tensordock: TensorDock, stand_in: StandIn) -> None:
    (site,) = await tensordock.sites()

    assert site.id == HOSTNODE["id"]
    assert site.place == Place("Joplin", "Missouri", "United States")
    assert stand_in.authorizations == {"Bearer canary-token-4f1c"}
    assert stand_in.asked == {"hostnodes": 1}


async def test_a_missing_place_is_looked_up_among_the_locations(tensordock: TensorDock, stand_in: StandIn) -> None:
    unplaced = {**HOSTNODE, "id": "unplaced", "location": None}
    unknown = {**HOSTNODE, "id": "unknown", "location": {}, "location_id": "elsewhere"}
    stand_in.hostnodes = [unplaced, unknown, HOSTNODE]

    sites = await tensordock.sites()

    joplin = Place("Joplin", "Missouri", "United States")
    assert [site.place for site in sites] == [joplin, Place(), joplin]
    assert stand_in.asked["locations"] == 1


async def test_hostnodes_are_for_rent_even_when_nobody_says_where_they_are(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    stand_in.hostnodes = [{**HOSTNODE, "location": None}]
    stand_in.script("locations", Said(502, HTML))

    (site,) = await tensordock.sites()

    assert site.place == Place()


async def test_an_empty_stock_is_an_ordinary_answer(tensordock: TensorDock, stand_in: StandIn) -> None:
    stand_in.hostnodes = []

    assert await tensordock.sites() == ()


async def test_one_listing_serves_fifty_who_ask_at_once_and_ten_seconds_of_others(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    crowd = await asyncio.gather(*(tensordock.sites() for _ in range(50)))
    later = await tensordock.sites()

    assert all(sites == later for sites in crowd)
    assert stand_in.asked["hostnodes"] == 1


@pytest.mark.parametrize("said", NO_USABLE_ANSWER)
async def test_a_listing_without_a_usable_answer_is_busy_and_not_kept(
    tensordock: TensorDock, stand_in: StandIn, said: Said
) -> None:
    stand_in.script("hostnodes", said)

    with pytest.raises(ProviderBusyError):
        await tensordock.sites()

    assert len(await tensordock.sites()) == 1


async def test_wrong_credentials_are_refused(connect: Connect) -> None:
    tensordock = connect(token="wrong")

    with pytest.raises(ProviderRefusedError, match="Unauthorized"):
        await tensordock.sites()


async def test_a_token_that_cannot_be_sent_is_refused(connect: Connect, stand_in: StandIn) -> None:
    tensordock = connect(token="two\nlines")

    with pytest.raises(ProviderRefusedError) as caught:
        await tensordock.sites()

    assert "lines" not in str(caught.value)
    assert stand_in.asked == {}


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nx", "ssh-rsa AAAA'; reboot"])
def test_only_a_public_key_is_let_into_machines(connect: Connect, key: str) -> None:
    with pytest.raises(ProviderRefusedError):
        connect(ssh_public_key=key)


@pytest.mark.parametrize("shape", ["enveloped", "attributes", "flat", "bare", "array", "map"])
async def test_only_machines_with_our_prefix_are_ours(tensordock: TensorDock, stand_in: StandIn, shape: str) -> None:
    stand_in.list_shape = shape
    ours = stand_in.put("gamer-1")
    stand_in.put("production-database")
    stand_in.put("my-gamer-2")

    machines = await tensordock.machines()

    assert [(machine.id, machine.tag) for machine in machines] == [(ours, "gamer-1")]


async def test_one_list_of_machines_serves_all_who_ask_at_once(tensordock: TensorDock, stand_in: StandIn) -> None:
    await asyncio.gather(*(tensordock.machines() for _ in range(20)))

    assert stand_in.asked == {"list": 1}


async def test_who_asks_for_the_machines_while_a_list_is_under_way_hears_of_later_ones(
    tensordock: TensorDock, stand_in: StandIn
) -> None:
    let_go = asyncio.Event()
    stand_in.script("list", Said(200, {"data": []}, held=let_go))
    early = asyncio.create_task(tensordock.machines())
    await stand_in.arrived("list")

    stand_in.put("gamer-1")
    late = await tensordock.machines()
    let_go.set()

    assert [machine.tag for machine in late] == ["gamer-1"]
    assert list(await early) == []


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_machine_is_told_as_the_cloud_has_it(tensordock: TensorDock, stand_in: StandIn, wrapped: bool) -> None:
    stand_in.wrapped = wrapped
    key = MachineId(stand_in.put("gamer-1", "Stopped_Disassociated", rateHourly="0.474"))

    machine = await tensordock.machine(key)

    assert machine is not None
    assert (machine.id, machine.tag, machine.state) == (key, "gamer-1", MachineState.STOPPED_RELEASED)
    assert (machine.ip_address, machine.external_port(22)) == ("203.0.113.1", 22)
    assert machine.usd_per_hour == Decimal("0.474")


@pytest.mark.parametrize(
    "said",
    [
        Said(404, {"error": "Instance not found"}),
        Said(404, None),
        Said(200, {"status": 404, "error": "Instance not found"}),
        Said(400, {"error": "instance not found"}),
        Said(200, {"id": "x", "name": "gamer-1", "status": "deleted"}),
    ],
)
async def test_a_machine_that_the_cloud_does_not_know_is_none(
    tensordock: TensorDock, stand_in: StandIn, said: Said
) -> None:
    stand_in.script("get", said)

    assert await tensordock.machine(NOBODY) is None


@pytest.mark.parametrize("said", NO_USABLE_ANSWER)
async def test_without_a_usable_answer_nobody_says_that_a_machine_is_gone(
    tensordock: TensorDock, stand_in: StandIn, said: Said
) -> None:
    stand_in.script("get", said)

    with pytest.raises(ProviderBusyError):
        await tensordock.machine(NOBODY)


@pytest.mark.parametrize("key", ["", "..", "a/b", "a?b", "-x", "x" * 129, "é"])
async def test_what_cannot_be_an_id_is_not_asked_for(tensordock: TensorDock, stand_in: StandIn, key: str) -> None:
    for ask in (tensordock.machine, tensordock.start, tensordock.stop, tensordock.release):
        with pytest.raises(ProviderRefusedError):
            await ask(MachineId(key))

    assert stand_in.asked == {}


async def test_release_deletes(tensordock: TensorDock, stand_in: StandIn) -> None:
    key = MachineId(stand_in.put("gamer-1"))

    await tensordock.release(key)

    assert stand_in.instances == {}


@pytest.mark.parametrize(
    "said",
    [
        Said(404, {"error": "Instance not found"}),
        Said(404, None),
        Said(500, {"success": False, "error": "Machine already terminated"}),
        Said(400, {"error": "already terminated"}),
        Said(204, None, done=True),
        Said(200, {}, done=True),
        Said(200, {"data": {"type": "success", "message": "Instance deleted successfully"}}, done=True),
    ],
)
async def test_already_gone_counts_as_released(tensordock: TensorDock, stand_in: StandIn, said: Said) -> None:
    stand_in.script("delete", said)

    await tensordock.release(NOBODY)


@pytest.mark.parametrize(
    "said",
    [
        Said(500, {"error": "Internal server error"}),
        Said(404, HTML),
        Said(200, HTML),
        Said(cut=True),
        Said(409, {"error": "conflict"}),
        Said(200, {"error": "later"}),
        Said(429, {"error": "slow"}),
    ],
)
async def test_a_deletion_that_nobody_confirmed_is_busy(tensordock: TensorDock, stand_in: StandIn, said: Said) -> None:
    key = MachineId(stand_in.put("gamer-1"))
    stand_in.script("delete", said)

    with pytest.raises(ProviderBusyError):
        await tensordock.release(key)

    assert list(stand_in.instances) == [key]


async def test_start_asks_for_a_start(tensordock: TensorDock, stand_in: StandIn) -> None:
    key = MachineId(stand_in.put("gamer-1", "stopped"))

    await tensordock.start(key)

    assert stand_in.instances[key]["status"] == "starting"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("stopped", Said(400, {"error": "already running"})),
        ("running", Said(409, {"error": "conflict"})),
        ("starting", Said(400, {"error": "VM must be stopped"})),
        ("running", Said(500, {"error": "Machine is running, therefore it cannot be started"})),
        ("running", Said(400, {"error": "no"})),
    ],
)
async def test_already_running_counts_as_started(
    tensordock: TensorDock, stand_in: StandIn, state: str, said: Said
) -> None:
    key = MachineId(stand_in.put("gamer-1", state))
    stand_in.script("start", said)

    await tensordock.start(key)


@pytest.mark.parametrize(
    ("state", "said", "error"),
    [
        ("stoppeddisassociated", Said(400, {"error": "no"}), NoCapacityError),
        ("stopped", Said(400, {"error": "no"}), NoCapacityError),
        ("stopped", Said(200, {"error": "No available nodes found"}), NoCapacityError),
        ("stopped", Said(409, {"error": "conflict"}), ProviderBusyError),
        ("stopping", Said(400, {"error": "must be stopped"}), ProviderBusyError),
        ("stopped", Said(400, {"error": "you need at least $1"}), ProviderRefusedError),
        ("stopped", Said(404, {"error": "Instance not found"}), MachineLostError),
        ("stopped", Said(502, HTML), ProviderBusyError),
        ("stopped", Said(200, {"error": "news"}), ProviderBusyError),
    ],
)
async def test_a_start_that_fails_says_what_to_do_next(
    tensordock: TensorDock, stand_in: StandIn, state: str, said: Said, error: type[ProviderError]
) -> None:
    key = MachineId(stand_in.put("gamer-1", state))
    stand_in.script("start", said)

    with pytest.raises(error):
        await tensordock.start(key)


async def test_power_over_a_machine_that_is_gone_is_lost(tensordock: TensorDock) -> None:
    with pytest.raises(MachineLostError):
        await tensordock.start(NOBODY)
    with pytest.raises(MachineLostError):
        await tensordock.stop(NOBODY)


async def test_stop_frees_the_gpu_where_version_0_knows_the_machine(tensordock: TensorDock, stand_in: StandIn) -> None:
    key = MachineId(stand_in.put("gamer-1"))

    await tensordock.stop(key)

    assert stand_in.instances[key]["status"] == "stoppeddisassociated"
    assert stand_in.asked == {"free": 1}


@pytest.mark.parametrize(
    "said",
    [
        Said(200, {"success": False, "error": "Server not found"}),
        Said(500, HTML),
        Said(401, {"success": False, "error": "no"}),
        Said(cut=True),
        Said(429, None),
        Said(500, {"success": False, "error": "Machine is running, therefore it cannot be stopped"}),
    ],
)
async def test_stop_falls_back_to_version_2(tensordock: TensorDock, stand_in: StandIn, said: Said) -> None:
    key = MachineId(stand_in.put("gamer-1"))
    stand_in.script("free", said)

    await tensordock.stop(key)

    assert stand_in.instances[key]["status"] == "stopping"


async def test_without_the_key_stop_is_version_2s(connect: Connect, stand_in: StandIn) -> None:
    key = MachineId(stand_in.put("gamer-1"))

    await connect(key=None).stop(key)

    assert stand_in.asked == {"stop": 1}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("free", Said(500, {"error": "Machine is stoppeddisassociated, therefore it cannot be stopped"})),
        ("free", Said(200, {"success": False, "error": "already stopped"})),
    ],
)
async def test_already_stopped_counts_as_stopped(
    tensordock: TensorDock, stand_in: StandIn, kind: str, said: Said
) -> None:
    key = MachineId(stand_in.put("gamer-1", "stoppeddisassociated"))
    stand_in.script(kind, said)

    await tensordock.stop(key)

    assert stand_in.instances[key]["status"] == "stoppeddisassociated"
    assert stand_in.asked["stop"] == 0


@pytest.mark.parametrize(
    ("state", "said"),
    [("stopped", Said(409, {"error": "x"})), ("stopping", Said(400, {"error": "x"})), ("running", Said(200, None))],
)
async def test_version_2_may_find_a_machine_stopped_already(
    connect: Connect, stand_in: StandIn, state: str, said: Said
) -> None:
    key = MachineId(stand_in.put("gamer-1", state))
    stand_in.script("stop", said)

    await connect(key=None).stop(key)


async def test_a_machine_that_runs_on_is_not_called_stopped(connect: Connect, stand_in: StandIn) -> None:
    key = MachineId(stand_in.put("gamer-1"))
    stand_in.script("stop", Said(409, {"error": "provisioning in progress"}))

    with pytest.raises(ProviderBusyError, match="RUNNING"):
        await connect(key=None).stop(key)


@pytest.mark.parametrize("simulated", [False, True])
async def test_health_tells_the_balance(connect: Connect, simulated: bool) -> None:
    health = await connect(simulated=simulated).health()

    assert health == ProviderHealth(configured=True, healthy=True, simulated=simulated, detail="balance 25.50 USD")


async def test_health_is_asked_upstream_once_for_all(tensordock: TensorDock, stand_in: StandIn) -> None:
    await asyncio.gather(*(tensordock.health() for _ in range(20)))
    await tensordock.health()

    assert stand_in.asked == {"list": 1, "auth": 1, "balance": 1}


async def test_without_the_key_version_0_is_left_alone(connect: Connect, stand_in: StandIn) -> None:
    health = await connect(key=None).health()

    assert (health.healthy, health.detail) == (True, "balance unknown: the token is set, the key is not")
    assert stand_in.asked == {"list": 1}


@pytest.mark.parametrize(
    ("kind", "said", "healthy", "detail"),
    [
        ("list", Said(401, {"error": "Unauthorized"}), False, "Unauthorized"),
        ("list", Said(502, HTML), False, "not JSON"),
        ("list", Said(cut=True), False, "connection failed"),
        ("auth", Said(200, {"success": False, "error": "Invalid"}), True, "not accepted as a pair"),
        (
            "auth",
            Said(500, {"success": False, "error": "Invalid pair"}),
            True,
            "balance unknown: TensorDock, test credentials: Invalid pair",
        ),
        ("auth", Said(500, HTML), True, "balance unknown: TensorDock, test credentials: something that is not JSON"),
        ("balance", Said(cut=True), True, "the connection failed"),
        ("balance", Said(200, {"success": True, "balance": "1.00"}), False, "balance 1.00 USD"),
        ("balance", Said(200, {"success": True, "balance": -4.2}), False, "balance -4.20 USD"),
        (
            "balance",
            Said(200, {"success": True}),
            True,
            "balance unknown: TensorDock, read balance: no balance in the response",
        ),
    ],
)
async def test_health_never_raises_and_says_why(
    tensordock: TensorDock, stand_in: StandIn, kind: str, said: Said, healthy: bool, detail: str
) -> None:
    stand_in.script(kind, said)

    health = await tensordock.health()

    assert health.healthy is healthy
    assert detail in (health.detail or "")


async def test_health_does_not_wait_for_a_silent_cloud(connect: Connect, stand_in: StandIn) -> None:
    let_go = asyncio.Event()
    stand_in.script("list", Said(200, {"data": []}, held=let_go))

    health = await connect(health_timeout_s=0.1).health()
    let_go.set()

    assert (health.healthy, health.detail) == (False, "no response within 0.1 s")


async def test_requests_of_one_kind_are_paced(connect: Connect, stand_in: StandIn) -> None:
    tensordock = connect(requests_per_second=10)
    clock = asyncio.get_running_loop()
    begun = clock.time()

    await asyncio.gather(*(tensordock.machine(NOBODY) for _ in range(4)))

    assert clock.time() - begun >= 0.3
    assert stand_in.asked == {"get": 4}


@pytest.mark.parametrize(("status", "body"), [(429, {}), (200, {"status": 429})])
async def test_retry_after_is_honoured(
    tensordock: TensorDock, stand_in: StandIn, status: int, body: dict[str, Any]
) -> None:
    stand_in.script("get", Said(status, {"error": "slow down", **body}, headers={"Retry-After": "1"}))
    with pytest.raises(ProviderBusyError):
        await tensordock.machine(NOBODY)
    clock = asyncio.get_running_loop()
    begun = clock.time()

    await tensordock.machine(NOBODY)

    assert clock.time() - begun >= 0.9


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, Any]]:
    return [(r.levelname, r.getMessage(), r.__dict__.get("operation")) for r in caplog.records if "provider" in r.name]


async def test_a_failing_cloud_is_logged_once_and_its_recovery_once(
    tensordock: TensorDock, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stand_in.script("hostnodes", *[Said(502, HTML)] * 5)
    stand_in.script("list", *[Said(502, HTML)] * 5)

    for _ in range(5):
        await asyncio.gather(tensordock.sites(), tensordock.machines(), return_exceptions=True)
    failing = records(caplog)
    for _ in range(3):
        await asyncio.gather(tensordock.sites(), tensordock.machines())

    assert [(level, text) for level, text, _ in failing] == [("WARNING", "provider failing")]
    assert [(level, text) for level, text, _ in records(caplog)[1:]] == [("INFO", "provider recovered")]


async def test_unknown_words_are_logged_once(
    tensordock: TensorDock, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.script("hostnodes", *[Said(400, {"error": "The moon\nis full"})] * 3)

    for _ in range(3):
        with pytest.raises(ProviderBusyError):
            await tensordock.sites()

    told = [record for record in caplog.records if "unknown TensorDock failure" in record.getMessage()]
    assert [record.__dict__["words"] for record in told] == ["The moon is full"]


async def test_close_ends_a_listing_under_way(connect: Connect, stand_in: StandIn) -> None:
    let_go = asyncio.Event()
    stand_in.script("hostnodes", Said(200, {"data": []}, held=let_go))
    tensordock = connect()
    asking = asyncio.create_task(tensordock.sites())
    await stand_in.arrived("hostnodes")

    await tensordock.close()
    let_go.set()

    with pytest.raises(UnavailableError, match="interrupted"):
        await asking
