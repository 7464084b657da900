from __future__ import annotations

from dataclasses import replace

from placement.coordinates import Position
from placement.located_site import LocatedSite
from placement.summaries import LocationSummary, summarize
from providers.base import Place
from tests.fakes.cloud import site

SAO_PAULO = Position(-23.55, -46.63)


def test_hosts_are_counted_by_country_and_city_however_these_are_spelled() -> None:
    located = [
        LocatedSite(site("a", Place("Sao Paulo", "Sao Paulo", "Brazil"), gpus=2), SAO_PAULO, "BR"),
        LocatedSite(site("b", Place("São Paulo", "", "Brasil"), gpus=3), SAO_PAULO, "BR"),
        LocatedSite(replace(site("off", Place("Sao Paulo", "", "Brazil"), gpus=8), online=False), SAO_PAULO, "BR"),
        LocatedSite(site("c", Place("", "", "Atlantis"), gpus=1), None, None),
    ]

    summed = summarize(located)

    assert summed == [
        LocationSummary("Atlantis", None, None, 1, 1, None),
        LocationSummary("Brazil", "BR", "Sao Paulo", 3, 5, SAO_PAULO),
    ]


def test_no_hosts_make_no_summary() -> None:
    assert summarize([]) == []
