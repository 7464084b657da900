from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from providers.base import GpuStock, MachineState, Place, ProviderName, Site, SiteId
from providers.http import Reply
from providers.tensordock import parse
from providers.tensordock.parse import Failure, Json, UnreadableError
from tests.providers.tensordock_stand_in import HOSTNODE, HTML, LOCATION, in_list_shape

MACHINE = {
    "type": "virtualmachine",
    "id": "468b716a-0000-4000-8000-000000000012",
    "name": "gamer-1",
    "status": "running",
    "ipAddress": "203.0.113.71",
    "portForwards": [{"internal_port": 22, "external_port": 20456}],
    "rateHourly": 0.474,
}


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def read(body: Any) -> Json:
    document = parse.answer(reply(body))
    assert not isinstance(document, Failure)
    return document


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, {"status": 400, "error": "No available nodes found"}, Failure(400, "No available nodes found")),
        (200, {"status": "404", "error": "Instance not found"}, Failure(404, "Instance not found")),
        (200, {"error": "No available nodes found"}, Failure(200, "No available nodes found")),
        (200, {"status": 500}, Failure(500, "")),
        (200, {"success": False, "error": "no"}, Failure(200, "no")),
        (401, {"error": "Unauthorized"}, Failure(401, "Unauthorized")),
        (404, {"error": {"message": "gone"}}, Failure(404, "gone")),
        (500, {"message": "boom"}, Failure(500, "boom")),
        (503, {"data": {"instances": []}}, Failure(503, "")),
        (403, {"errors": [{"status": "403", "title": "No", "detail": "Forbidden"}]}, Failure(403, "Forbidden")),
        (200, {"errors": ["one", "two"]}, Failure(200, "one; two")),
        (400, "just a string", Failure(400, "")),
        (500, [], Failure(500, "")),
        (
            400,
            [{"code": "custom", "message": "SSH port (22) must be forwarded", "path": ["data"]}],
            Failure(400, "SSH port (22) must be forwarded", bad_order=True),
        ),
        (200, [{"message": "too small"}, {"message": "odd"}], Failure(200, "too small; odd", bad_order=True)),
        (502, HTML.encode(), Failure(502, "something that is not JSON", is_own=False)),
        (200, HTML.encode(), Failure(200, "something that is not JSON", is_own=False)),
        (404, HTML.encode(), Failure(404, "something that is not JSON", is_own=False)),
        (200, b'{"data": ', Failure(200, "something that is not JSON", is_own=False)),
        (200, b'{"price": NaN}', Failure(200, "something that is not JSON", is_own=False)),
        (200, b"\xff\xfe\x00", Failure(200, "something that is not JSON", is_own=False)),
        (200, b"[" * 100_000, Failure(200, "something that is not JSON", is_own=False)),
        (200, b'{"n": ' + b"9" * 5000 + b"}", Failure(200, "something that is not JSON", is_own=False)),
        (404, b"", Failure(404, "an empty response")),
        (500, b"  \n", Failure(500, "an empty response")),
    ],
)
def test_a_failure_is_seen_whatever_the_status_says(status: int, body: Any, failure: Failure) -> None:
    assert parse.answer(reply(body, status)) == failure


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"error": None},
        {"error": ""},
        {"errors": []},
        {"status": "running"},
        {"data": {}, "success": None},
    ],
)
def test_what_tells_of_no_failure_is_an_answer(body: Any) -> None:
    assert parse.answer(reply(body)) == body


def test_an_empty_success_is_an_answer_without_content() -> None:
    assert parse.answer(Reply(204, {}, b"")) is None


@pytest.mark.parametrize("body", [{"success": True}, {"success": "true"}])
def test_version_0_succeeds_when_it_says_so(body: Any) -> None:
    assert parse.answer(reply(body), says_success=True) == body


@pytest.mark.parametrize("body", [{}, {"success": False}, {"success": "false"}, {"balance": 1}, []])
def test_version_0_fails_when_it_does_not_say_success(body: Any) -> None:
    assert isinstance(parse.answer(reply(body), says_success=True), Failure)


def test_an_empty_answer_of_version_0_is_a_failure() -> None:
    assert parse.answer(Reply(200, {}, b""), says_success=True) == Failure(200, "an empty response")


def test_foreign_words_are_one_printable_line() -> None:
    failure = parse.answer(reply({"error": "a\nb\x1b[31m\u202e" + "x" * 9000}))

    assert isinstance(failure, Failure)
    assert failure.words.startswith("a b [31m xxx")
    assert len(failure.words) == 4096


def test_a_hostnode_becomes_a_site_with_exact_prices() -> None:
    (hostnode,) = parse.hostnodes(read({"data": {"hostnodes": [HOSTNODE]}}))

    assert hostnode.location_id is None
    assert hostnode.site == Site(
        id=SiteId("5a6b7c8d-0000-4000-8000-000000000011"),
        provider=ProviderName.TENSORDOCK,
        place=Place("Joplin", "Missouri", "United States"),
        online=True,
        vcpus_available=44,
        ram_gb_available=180,
        storage_gb_available=5400,
        gpus=(GpuStock("geforcertx4090-pcie-24gb", 24, 2, Decimal("0.44")),),
        usd_per_vcpu_hour=Decimal("0.003"),
        usd_per_ram_gb_hour=Decimal("0.002"),
        usd_per_storage_gb_hour=Decimal("0.00005"),
        dedicated_ip_available=True,
        max_vcpus=8,
        max_ram_gb=36,
        max_storage_gb=5400,
    )


def test_numbers_may_come_as_strings() -> None:
    plain = read({"data": {"hostnodes": [HOSTNODE]}})
    stringly = json.loads(json.dumps(HOSTNODE), parse_int=str, parse_float=str)

    assert parse.hostnodes(read({"data": {"hostnodes": [stringly]}})) == parse.hostnodes(plain)


@pytest.mark.parametrize(
    "document",
    [
        {"data": {"hostnodes": [HOSTNODE]}},
        {"data": {"attributes": {"hostnodes": [HOSTNODE]}}},
        {"data": [HOSTNODE]},
        {"hostnodes": [HOSTNODE]},
        {"data": {"hostnodes": {HOSTNODE["id"]: {k: v for k, v in HOSTNODE.items() if k != "id"}}}},
        {"data": {"hostnodes": [{"type": "hostnode", "id": HOSTNODE["id"], "attributes": HOSTNODE}]}},
    ],
)
def test_hostnodes_are_found_in_every_shape(document: Any) -> None:
    assert [hostnode.site.id for hostnode in parse.hostnodes(read(document))] == [HOSTNODE["id"]]


@pytest.mark.parametrize("document", [{"data": {"hostnodes": []}}, {"data": []}, {"hostnodes": {}}, []])
def test_an_empty_stock_is_an_ordinary_answer(document: Any) -> None:
    assert parse.hostnodes(read(document)) == ()


@pytest.mark.parametrize("document", [{}, {"data": None}, {"data": {}}, {"data": {"hostnodes": None}}, "text", None])
def test_a_list_that_is_missing_is_not_an_empty_one(document: Any) -> None:
    with pytest.raises(UnreadableError):
        parse.hostnodes(document)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"id": None},
        {"id": "../../etc"},
        {"pricing": {}},
        {"pricing": {"per_vcpu_hr": "cheap", "per_gb_ram_hr": 0, "per_gb_storage_hr": 0}},
        {"pricing": {"per_vcpu_hr": -1, "per_gb_ram_hr": 0, "per_gb_storage_hr": 0}},
        {"pricing": {"per_vcpu_hr": True, "per_gb_ram_hr": 0, "per_gb_storage_hr": 0}},
    ],
)
def test_a_hostnode_without_id_or_prices_is_passed_over(spoilt: dict[str, Any]) -> None:
    assert parse.hostnodes(read([{**HOSTNODE, **spoilt}, "nonsense"])) == ()


def test_capacity_may_be_told_by_its_maxima_alone_or_not_at_all() -> None:
    maxima = {"max_vcpus": 20, "max_ram_gb": 40, "max_storage_gb": 600, "gpus": None}
    full, empty = parse.hostnodes(
        read([{**HOSTNODE, "available_resources": maxima}, {**HOSTNODE, "available_resources": {}}])
    )

    assert (full.site.vcpus_available, full.site.ram_gb_available, full.site.storage_gb_available) == (20, 40, 600)
    assert (empty.site.vcpus_available, empty.site.gpus, empty.site.dedicated_ip_available) == (0, (), False)


def test_gpus_may_be_a_map_and_those_that_cannot_be_ordered_are_left_out() -> None:
    gpus = {
        "l40-pcie-48gb": {"availableCount": "1", "price_per_hr": "1.05"},
        "unpriced-pcie-8gb": {"availableCount": 1},
        "mystery": {"availableCount": 3, "price_per_hr": "1e999"},
        "nonsense": None,
        "unsized": {"availableCount": 1, "price_per_hr": 1},
    }
    (hostnode,) = parse.hostnodes(read([{**HOSTNODE, "available_resources": {"gpus": gpus}}]))

    assert hostnode.site.gpus == (
        GpuStock("l40-pcie-48gb", 48, 1, Decimal("1.05")),
        GpuStock("unsized", 0, 1, Decimal(1)),
    )


def test_a_hostnode_that_does_not_say_where_it_is_names_its_location() -> None:
    silent = {key: value for key, value in HOSTNODE.items() if key != "location"}
    (hostnode,) = parse.hostnodes(read([silent]))

    assert (hostnode.site.place, hostnode.location_id) == (Place(), LOCATION["uuid"])
    assert parse.locations(read({"data": {"locations": [{**LOCATION, "id": LOCATION["uuid"]}]}})) == {
        LOCATION["uuid"]: Place("Joplin", "Missouri", "United States")
    }


@pytest.mark.parametrize("shape", ["enveloped", "attributes", "flat", "bare", "array", "map"])
def test_our_machines_are_found_in_every_shape_of_the_list(shape: str) -> None:
    foreign = {**MACHINE, "id": "other", "name": "somebody-elses"}
    gone = {**MACHINE, "id": "gone", "status": "Deleted"}

    machines = parse.instances(read(in_list_shape(shape, [foreign, MACHINE, gone])), prefix="gamer-")

    assert [(machine.id, machine.tag, machine.state) for machine in machines] == [
        (MACHINE["id"], "gamer-1", MachineState.RUNNING)
    ]


@pytest.mark.parametrize("item", [{"name": "gamer-1", "status": "running"}, {"name": "gamer-1", "id": "a/b"}])
def test_a_list_in_which_a_machine_of_ours_has_no_id_is_unreadable(item: Any) -> None:
    with pytest.raises(UnreadableError):
        parse.instances(read({"data": [item]}), prefix="gamer-")


@pytest.mark.parametrize(
    "document",
    [MACHINE, {"data": MACHINE}, {"data": {"id": MACHINE["id"], "type": "instance", "attributes": MACHINE}}],
)
def test_one_machine_may_come_bare_or_wrapped(document: Any) -> None:
    machine = parse.instance(read(document))

    assert machine is not None
    assert (machine.id, machine.tag, machine.ip_address) == (MACHINE["id"], "gamer-1", "203.0.113.71")
    assert (machine.ports, machine.usd_per_hour) == ({22: 20456}, Decimal("0.474"))


def test_a_field_that_is_null_hides_no_other() -> None:
    nulls = dict.fromkeys(("name", "status", "ipAddress", "data", "success"))
    wrapped = parse.instance(read({"data": {**nulls, "id": MACHINE["id"], "attributes": MACHINE}}))
    bare = parse.instance(read({"data": None, **MACHINE}))
    (listed,) = parse.instances(read({"data": {"instances": {MACHINE["id"]: {**MACHINE, "id": None}}}}), "")
    gpus = {"l40-pcie-48gb": {"v0Name": None, "availableCount": 1, "price_per_hr": 1}}
    (hostnode,) = parse.hostnodes(read([{**HOSTNODE, "available_resources": {"gpus": gpus}}]))

    assert wrapped == bare == listed
    assert (listed.tag, listed.state, listed.ip_address) == ("gamer-1", MachineState.RUNNING, "203.0.113.71")
    assert hostnode.site.gpus == (GpuStock("l40-pcie-48gb", 48, 1, Decimal(1)),)


def test_odd_fields_of_a_machine_are_left_out() -> None:
    odd = {"ipAddress": "$(reboot)", "rateHourly": None, "status": None, "portForwards": [{"internal_port": "22"}, 7]}
    machine = parse.instance(read({**MACHINE, **odd}))

    assert machine is not None
    assert (machine.ip_address, machine.usd_per_hour, machine.ports) == (None, None, {})
    assert machine.state is MachineState.UNKNOWN


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("running", MachineState.RUNNING),
        ("Running", MachineState.RUNNING),
        ("starting", MachineState.STARTING),
        ("STOPPING", MachineState.STOPPING),
        ("stopped", MachineState.STOPPED),
        ("StoppedDisassociated", MachineState.STOPPED_RELEASED),
        ("stopped_disassociated", MachineState.STOPPED_RELEASED),
        ("Stopped - Disassociated", MachineState.STOPPED_RELEASED),
        ("creating", MachineState.CREATING),
        ("queued", MachineState.CREATING),
        ("provisioning", MachineState.CREATING),
        ("pending", MachineState.CREATING),
        ("deleting", MachineState.DELETING),
        ("error", MachineState.BROKEN),
        ("Outbid", MachineState.UNKNOWN),
    ],
)
def test_every_status_word_has_its_state(word: str, state: MachineState) -> None:
    machine = parse.instance(read({**MACHINE, "status": word}))

    assert machine is not None
    assert machine.state is state


@pytest.mark.parametrize("word", ["deleted", "Terminated"])
def test_a_machine_that_has_ended_is_none(word: str) -> None:
    assert parse.instance(read({**MACHINE, "status": word})) is None


@pytest.mark.parametrize("document", [{}, {"data": None}, {"data": []}, [], None, "x", {"data": {"name": "gamer-1"}}])
def test_an_answer_without_a_machine_is_not_its_absence(document: Any) -> None:
    with pytest.raises(UnreadableError):
        parse.instance(document)


def test_an_order_is_taken_when_the_answer_has_an_id_under_data() -> None:
    assert parse.ordered_id(read({"data": {"id": MACHINE["id"], "status": "queued"}})) == MACHINE["id"]


@pytest.mark.parametrize("document", [{"data": {}}, {"data": None}, {}, {"id": "x"}, [], None, {"data": {"id": 7}}])
def test_an_order_without_an_id_is_no_answer(document: Any) -> None:
    with pytest.raises(UnreadableError):
        parse.ordered_id(document)


@pytest.mark.parametrize(("said", "usd"), [(999.987, Decimal("999.987")), ("0.10", Decimal("0.10")), (-3, Decimal(-3))])
def test_the_balance_is_exact_and_may_be_negative(said: Any, usd: Decimal) -> None:
    assert parse.balance(read({"success": True, "balance": said})) == usd


@pytest.mark.parametrize("said", [None, "much", True, [1]])
def test_a_balance_that_is_no_number_is_unreadable(said: Any) -> None:
    with pytest.raises(UnreadableError):
        parse.balance(read({"success": True, "balance": said}))


@pytest.mark.parametrize(
    ("document", "organization"),
    [
        (
            {"success": True, "organizationId": "4d0c7a52-0000-4000-8000-00000000a001"},
            "4d0c7a52-0000-4000-8000-00000000a001",
        ),
        ({"success": True}, None),
        ({"success": True, "organizationId": "a b"}, None),
        (None, None),
        ([], None),
    ],
)
def test_the_account_is_the_organization_that_the_answer_names(document: Any, organization: str | None) -> None:
    assert parse.organization_id(document) == organization
