"""Compute Engine's answers, also the odd ones, and what a CloudyPad machine is by them."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import pytest
from aiohttp import web

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import Machine, MachineId, MachineState, Tag
from providers.cloudypad.gce_state import GceStateOverlay
from providers.cloudypad.instances import Instance
from providers.google.compute import ComputeEngine, GoogleServer
from providers.http import Http
from providers.storage.tokens import NoTokens

NAME, ZONE, TAG = "cloudypad-gamer-1", "us-central1-a", "gamer-100000000000000001"
LABEL = ("gamer_machine", TAG)
PATH = f"gamer-prod/zones/{ZONE}/instances/{NAME}"
DISK = f"gamer-prod/zones/{ZONE}/disks/{NAME}"
LINK = "https://www.googleapis.com/compute/v1/projects/"
INSTANCE = Instance("gamer-1", "gcp", "203.0.113.9", "unknown", True, True, True, server_name=NAME, zone=ZONE)
MACHINE = Machine(MachineId(TAG), Tag(TAG), MachineState.UNKNOWN)


class FixedToken(NoTokens):
    async def token(self) -> str:
        return "canary-token"


class NoToken(NoTokens):
    async def token(self) -> str:
        raise ProviderRefusedError("Google gave no access token: status 401")


def an_instance(status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    disks = [{"boot": True, "source": LINK + DISK}]
    return {"selfLink": LINK + PATH, "status": status, "labelFingerprint": "fp=", "disks": disks, **more}


def not_found(what: str = PATH) -> web.Response:
    return refused(404, f"The resource 'projects/{what}' was not found", "notFound")


def refused(status: int, message: str, reason: str = "x") -> web.Response:
    error = {"code": status, "message": message, "errors": [{"message": message, "reason": reason}]}
    return web.json_response({"error": error}, status=status)


@dataclass
class FakeCompute:
    """Answers each path with what it was given for it, one after another, and the last again and again."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    held: asyncio.Event | None = None
    _answers: defaultdict[str, deque[Any]] = field(default_factory=lambda: defaultdict(deque))

    def say(self, path: str, *answers: Any) -> None:
        self._answers[path].extend(answers)

    async def answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.asked.append((request.method, str(request.rel_url).partition("/projects/")[2]))
        self.tokens.add(request.headers.get("Authorization", ""))
        if request.can_read_body:
            self.bodies.append(await request.json())
        if self.held is not None:
            await self.held.wait()
        answers = self._answers[path]
        said = answers.popleft() if len(answers) > 1 else answers[0]
        if isinstance(said, web.Response):
            return web.Response(body=said.body, status=said.status, content_type="application/json")
        return web.json_response(said)


@pytest.fixture
async def google() -> AsyncIterator[FakeCompute]:
    fake = FakeCompute()
    app = web.Application()
    app.router.add_route("*", "/compute/v1/projects/{path:.*}", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.close()


@pytest.fixture
def compute(google: FakeCompute, http: Http) -> ComputeEngine:
    return ComputeEngine(http, FixedToken(), "gamer-prod", url=google.url)


async def test_an_instance_is_asked_for_by_its_name_and_zone(google: FakeCompute, compute: ComputeEngine) -> None:
    google.say(PATH, an_instance(labels={"a": "b"}))

    server = await compute.server(NAME, ZONE, LABEL)

    assert server == GoogleServer(PATH, "RUNNING", {"a": "b"}, "fp=", (DISK,))
    assert google.asked == [("GET", PATH)]
    assert google.tokens == {"Bearer canary-token"}


async def test_one_that_is_not_in_its_zone_is_looked_for_in_all_page_by_page(
    google: FakeCompute, compute: ComputeEngine
) -> None:
    nothing = {"warning": {"code": "NO_RESULTS_ON_PAGE"}}
    google.say(PATH, not_found())
    google.say(
        "gamer-prod/aggregated/instances",
        {"items": {"zones/a": nothing}, "nextPageToken": "2"},
        {"items": {"zones/a": nothing, "zones/b": {"instances": [an_instance("TERMINATED")]}}},
    )

    server = await compute.server(NAME, ZONE, LABEL)

    assert server is not None
    assert server.status == "TERMINATED"
    wanted = f'filter=(name = "{NAME}") OR (labels.gamer_machine = "{TAG}")'
    assert [unquote_plus(path) for _, path in google.asked[1:]] == [
        f"gamer-prod/aggregated/instances?{wanted}",
        f"gamer-prod/aggregated/instances?{wanted}&pageToken=2",
    ]


async def test_one_that_is_nowhere_is_none(google: FakeCompute, compute: ComputeEngine) -> None:
    google.say(PATH, not_found())
    google.say("gamer-prod/aggregated/instances", {"kind": "compute#instanceAggregatedList"})

    assert await compute.server(NAME, ZONE, LABEL) is None


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (refused(401, "Login Required"), ProviderRefusedError),
        (
            refused(403, "Compute Engine API has not been used", "accessNotConfigured"),
            ProviderRefusedError,
        ),
        (refused(403, "Rate Limit Exceeded", "rateLimitExceeded"), ProviderBusyError),
        (refused(400, "Invalid value for field 'zone': 'x'. Unknown zone.", "invalid"), ProviderRefusedError),
        (not_found("gamer-prod"), ProviderRefusedError),
        (refused(429, "Too many"), ProviderBusyError),
        (refused(500, "Internal"), ProviderBusyError),
        (web.Response(status=404, text="<html>not here</html>"), ProviderBusyError),
        (web.Response(status=200, text="[]"), ProviderBusyError),
        (web.json_response({"error": "odd"}, status=418), ProviderBusyError),
    ],
)
async def test_an_answer_that_proves_nothing_is_an_error_and_no_absence(
    google: FakeCompute, compute: ComputeEngine, said: web.Response, error: type[ProviderError]
) -> None:
    google.say(PATH, said)

    with pytest.raises(error, match="Compute Engine"):
        await compute.server(NAME, ZONE, LABEL)


@pytest.mark.parametrize("page", [{"items": {}, "unreachables": ["zones/b"]}, {"items": {}, "nextPageToken": "again"}])
async def test_a_list_that_is_not_whole_proves_no_absence(
    google: FakeCompute, compute: ComputeEngine, page: dict[str, Any]
) -> None:
    google.say(PATH, not_found())
    google.say("gamer-prod/aggregated/instances", page)

    with pytest.raises(ProviderBusyError):
        await compute.server(NAME, ZONE, LABEL)


async def test_a_zone_that_lists_something_else_has_no_instance(google: FakeCompute, compute: ComputeEngine) -> None:
    google.say(PATH, not_found())
    google.say("gamer-prod/aggregated/instances", {"items": {"zones/a": {"instances": 5}, "zones/b": None}})

    assert await compute.server(NAME, ZONE, LABEL) is None


async def test_what_is_busy_is_asked_once_more(google: FakeCompute, compute: ComputeEngine) -> None:
    google.say(PATH, refused(503, "Backend Error"), an_instance())

    server = await compute.server(NAME, ZONE, LABEL)

    assert server is not None
    assert len(google.asked) == 2


async def test_an_answer_that_does_not_come_is_waited_for_within_a_limit(google: FakeCompute, http: Http) -> None:
    google.held = asyncio.Event()
    compute = ComputeEngine(http, FixedToken(), "gamer-prod", url=google.url, within_s=0.1)

    with pytest.raises(ProviderBusyError, match="Compute Engine did not respond in time"):
        await compute.server(NAME, ZONE, LABEL)
    assert len(google.asked) == 1
    google.held.set()


async def test_a_label_is_put_on_disks_first_and_keeps_the_others(google: FakeCompute, compute: ComputeEngine) -> None:
    google.say(DISK, {"labels": {"team": "x"}, "labelFingerprint": "disk="})
    google.say(f"{DISK}/setLabels", {"kind": "compute#operation"})
    google.say(f"{PATH}/setLabels", {"kind": "compute#operation"})

    await compute.set_label(GoogleServer(PATH, "RUNNING", {"a": "b"}, "fp=", (DISK,)), *LABEL)

    assert google.asked == [("GET", DISK), ("POST", f"{DISK}/setLabels"), ("POST", f"{PATH}/setLabels")]
    assert google.bodies == [
        {"labels": {"team": "x", "gamer_machine": TAG}, "labelFingerprint": "disk="},
        {"labels": {"a": "b", "gamer_machine": TAG}, "labelFingerprint": "fp="},
    ]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("PROVISIONING", MachineState.STARTING),
        ("STAGING", MachineState.STARTING),
        ("RUNNING", MachineState.RUNNING),
        ("STOPPING", MachineState.STOPPING),
        ("SUSPENDING", MachineState.STOPPING),
        ("SUSPENDED", MachineState.STOPPED),
        ("TERMINATED", MachineState.STOPPED_RELEASED),
        ("DEPROVISIONING", MachineState.DELETING),
        ("REPAIRING", MachineState.UNKNOWN),
        ("", MachineState.UNKNOWN),
    ],
)
async def test_a_machine_is_what_google_says_of_it(
    google: FakeCompute, compute: ComputeEngine, said: str, state: MachineState
) -> None:
    google.say(PATH, an_instance(said, labels={"gamer_machine": TAG}))

    assert (await GceStateOverlay(compute).overlay(INSTANCE, MACHINE)).state is state
    assert google.asked == [("GET", PATH)]


async def test_a_machine_that_google_does_not_know_has_vanished(google: FakeCompute, compute: ComputeEngine) -> None:
    google.say(PATH, not_found())
    google.say("gamer-prod/aggregated/instances", {"items": {}})

    assert (await GceStateOverlay(compute).overlay(INSTANCE, MACHINE)).state is MachineState.VANISHED


async def test_a_label_that_cannot_be_set_harms_nothing_and_is_set_at_a_later_look(
    google: FakeCompute, compute: ComputeEngine
) -> None:
    google.say(PATH, an_instance())
    google.say(DISK, refused(403, "Required 'compute.disks.get' permission"), {"labelFingerprint": "disk="})
    google.say(f"{DISK}/setLabels", {})
    google.say(f"{PATH}/setLabels", {})
    truth = GceStateOverlay(compute)

    first = await truth.overlay(INSTANCE, MACHINE)
    before = list(google.bodies)
    second = await truth.overlay(INSTANCE, MACHINE)

    assert (first.state, second.state) == (MachineState.RUNNING, MachineState.RUNNING)
    assert (len(before), len(google.bodies)) == (0, 2)


async def test_a_label_that_another_look_sets_at_the_same_time_is_no_failure(
    google: FakeCompute, compute: ComputeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    google.say(PATH, an_instance(disks=[]))
    google.say(f"{PATH}/setLabels", refused(412, "Labels fingerprint either invalid or changed", "conditionNotMet"))

    machine = await GceStateOverlay(compute).overlay(INSTANCE, MACHINE)

    assert machine.state is MachineState.RUNNING
    assert len(google.bodies) == 1
    assert caplog.records == []


async def test_without_credentials_cloudypads_word_stands(google: FakeCompute, http: Http) -> None:
    compute = ComputeEngine(http, NoToken(), "gamer-prod", url=google.url)

    assert await GceStateOverlay(compute).overlay(INSTANCE, MACHINE) == MACHINE
    assert google.asked == []


async def test_google_is_not_asked_for_a_server_that_cannot_be_there(
    google: FakeCompute, compute: ComputeEngine
) -> None:
    given_up = Instance("gamer-1", "gcp", None, "unknown", True, True, False, zone=ZONE, server_deleted=True)
    begun = Instance("gamer-1", "gcp", None, "unknown", False, False, False, zone=ZONE)

    for instance in (given_up, begun):
        assert await GceStateOverlay(compute).overlay(instance, MACHINE) == MACHINE
    assert await GceStateOverlay(None).overlay(INSTANCE, MACHINE) == MACHINE
    assert google.asked == []


@pytest.mark.parametrize("told", [None, 'x" OR name != "', "../disks/x"])
async def test_a_server_without_a_proper_name_is_asked_for_by_the_name_that_cloudypad_gives(
    google: FakeCompute, compute: ComputeEngine, told: str | None
) -> None:
    google.say(PATH, an_instance(labels={"gamer_machine": TAG}))
    instance = Instance("gamer-1", "gcp", None, "unknown", True, True, True, server_name=told, zone=ZONE)

    assert (await GceStateOverlay(compute).overlay(instance, MACHINE)).state is MachineState.RUNNING


async def test_what_carries_our_label_is_found_over_all_pages_whoever_manages_it(
    google: FakeCompute, compute: ComputeEngine
) -> None:
    one = an_instance("TERMINATED", labels={"gamer_machine": "gamer-main-100000000000000001"})
    other = an_instance("RUNNING", labels={"gamer_machine": "gamer-main-100000000000000002"})
    google.say(
        "gamer-prod/aggregated/instances",
        {"items": {"zones/a": {"instances": [one]}}, "nextPageToken": "2"},
        {"items": {"zones/b": {"instances": [other]}}},
    )

    machines = await GceStateOverlay(compute).list_labelled()

    assert [(machine.tag, machine.state) for machine in machines] == [
        ("gamer-main-100000000000000001", MachineState.STOPPED_RELEASED),
        ("gamer-main-100000000000000002", MachineState.RUNNING),
    ]
    assert [unquote_plus(path) for _, path in google.asked] == [
        "gamer-prod/aggregated/instances?filter=labels.gamer_machine:*",
        "gamer-prod/aggregated/instances?filter=labels.gamer_machine:*&pageToken=2",
    ]


async def test_a_list_of_labels_that_is_not_whole_is_no_list(google: FakeCompute, compute: ComputeEngine) -> None:
    google.say("gamer-prod/aggregated/instances", {"items": {}, "unreachables": ["zones/us-east1-b"]})

    with pytest.raises(ProviderBusyError):
        await GceStateOverlay(compute).list_labelled()


async def test_without_compute_engine_nothing_is_known_of_labels() -> None:
    assert await GceStateOverlay(None).list_labelled() == []
