"""Round trips that players measured, and what they change in the order of placements."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan

import pytest

from errors import InvalidInputError
from models.launches import Launch
from placement.measured_rtt import clamp_measured
from placement.scoring import SiteKey
from providers.base import ProviderName, SiteId
from schema.ids import global_id
from tests.gateway import DALLAS, GatewayWorld, gateway

__all__ = ["gateway"]

CHICAGO: SiteKey = (ProviderName.TENSORDOCK, SiteId("chicago"))
CHICAGO_ID, DALLAS_ID = global_id("Hostnode", "chicago"), global_id("Hostnode", "dallas")


def test_values_are_clamped_to_what_networks_do() -> None:
    other: SiteKey = (ProviderName.TENSORDOCK, SiteId("dallas"))

    measured = clamp_measured([(CHICAGO, 0.01), (other, 5_000.0)])

    assert measured == {CHICAGO: 1.0, other: 1000.0}


@pytest.mark.parametrize("rtt_ms", [0.0, -3.0, 60_001.0, nan, inf])
def test_values_that_are_no_round_trip_are_refused_by_name(rtt_ms: float) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        clamp_measured([(CHICAGO, rtt_ms)])

    assert refusal.value.path == ("measuredRtt", "0", "rttMs")


def test_unknown_and_repeated_sites_and_too_many_are_refused_by_name() -> None:
    for sent, path in (
        ([(None, 10.0)], ("measuredRtt", "0", "siteId")),
        ([(CHICAGO, 10.0), (CHICAGO, 11.0)], ("measuredRtt", "1", "siteId")),
        ([((ProviderName.TENSORDOCK, SiteId(str(n))), 10.0) for n in range(101)], ("measuredRtt",)),
    ):
        with pytest.raises(InvalidInputError) as refusal:
            clamp_measured(sent)
        assert refusal.value.path == path


async def test_a_measured_site_is_ranked_and_explained_by_its_measurement(gateway: GatewayWorld) -> None:
    far = [{"siteId": DALLAS_ID, "rttMs": 240.0}, {"siteId": CHICAGO_ID, "rttMs": 12.4}]

    estimated = (await gateway.data("Placements", **{"from": DALLAS, "console": "SWITCH"}))["placements"]
    measured = (await gateway.data("Placements", **{"from": DALLAS, "console": "SWITCH", "measuredRtt": far}))[
        "placements"
    ]

    assert [each["site"]["id"] for each in estimated] == [DALLAS_ID, CHICAGO_ID]
    assert [(each["site"]["id"], each["measuredRttMs"]) for each in measured] == [
        (CHICAGO_ID, 12.4),
        (DALLAS_ID, 240.0),
    ]
    assert measured[0]["reasons"][0].endswith("km away, 12 ms (measured)")
    assert measured[0]["score"] == pytest.approx(12.4 + 30 * float(Decimal("0.424")))
    assert [each["measuredRttMs"] for each in estimated] == [None, None]
    assert measured[0]["estimatedRttMs"] == estimated[1]["estimatedRttMs"]


async def test_without_a_position_measured_sites_come_before_the_others(gateway: GatewayWorld) -> None:
    sent = [{"siteId": DALLAS_ID, "rttMs": 20.0}]

    found = (await gateway.data("Placements", **{"console": "SWITCH", "measuredRtt": sent}))["placements"]

    assert [(each["site"]["id"], each["distanceKm"]) for each in found] == [(DALLAS_ID, None), (CHICAGO_ID, None)]
    assert found[0]["reasons"][0] == "20 ms (measured)"


async def test_a_launch_keeps_what_was_measured_and_names_bad_values(gateway: GatewayWorld) -> None:
    wish = {"console": "SWITCH", "gameId": "mario-odyssey", "location": DALLAS, "idempotencyKey": "k1"}
    sent = {**wish, "measuredRtt": [{"siteId": CHICAGO_ID, "rttMs": 0.2}]}
    bad = {**wish, "idempotencyKey": "k2", "measuredRtt": [{"siteId": CHICAGO_ID, "rttMs": -1.0}]}

    launched = (await gateway.data("LaunchGame", input=sent))["launchGame"]
    again = (await gateway.data("LaunchGame", input=wish))["launchGame"]
    refused = (await gateway.data("LaunchGame", input=bad))["launchGame"]

    key = gateway.engine.started[0]
    stored = await gateway.db.get(Launch, key)
    assert stored is not None
    assert stored.measured == {CHICAGO: 1.0}
    assert again["launch"]["id"] == launched["launch"]["id"]
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("BAD_USER_INPUT", ["input", "measuredRtt", "0", "rttMs"])
    ]
