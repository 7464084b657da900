from __future__ import annotations

import re

import pytest

from providers.cloudypad import commands
from providers.tags import ANY_TAG, TagParts, parse_tag, tag_of
from simulator.cloudypad.names import kebab_case

VM = "123456789012345678"
DEPLOYMENTS = ["main", "a", "eu-2", "staging", "abcdefghijkl", "a-1-b-2-c-34"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_name_says_its_deployment_and_its_vm(deployment: str) -> None:
    tag = tag_of(deployment, VM)

    assert parse_tag(tag) == TagParts(deployment, VM)
    assert re.findall(ANY_TAG, f"label cloudypad-{tag}-data") == [tag]


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_name_fits_every_clouds_rules(deployment: str) -> None:
    tag = tag_of(deployment, VM)

    assert len(f"cloudypad-{tag}-network") <= 63
    assert kebab_case(tag) == tag
    assert commands.get(tag) == ["get", tag]
    assert len(tag) <= 60


def test_no_two_deployments_share_a_name() -> None:
    assert len({tag_of(deployment, VM) for deployment in DEPLOYMENTS}) == len(DEPLOYMENTS)


def test_names_of_former_versions_say_no_deployment() -> None:
    assert parse_tag(f"gamer-{VM}") == TagParts(None, VM)


@pytest.mark.parametrize(
    "name", ["", "my-own-server", "gamer-", "gamer-12", f"gamer-{VM}1", f"Gamer-{VM}", f"gamer--{VM}", f"gamer-a1-{VM}"]
)
def test_other_names_are_not_ours(name: str) -> None:
    assert parse_tag(name) is None
