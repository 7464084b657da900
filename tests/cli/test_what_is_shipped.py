"""The client's copies of what the service defines are the service's own."""

from __future__ import annotations

import re
import tomllib
from enum import Enum
from pathlib import Path

import pytest
from graphql import GraphQLEnumType

from cli.gamer_cli import __version__, words
from cli.gamer_cli.exits import ExitStatus, status_of
from cli.gamer_cli.progress import STEPS
from models.launches import LaunchStepName
from schema.root import SCHEMA
from tests.gateway import OPERATIONS
from web.error_responses import STATUSES

CLI = Path("cli")
SHIPPED = CLI / "gamer_cli" / "operations"


def test_every_document_is_the_trusted_one_byte_for_byte() -> None:
    for file in SHIPPED.glob("*.graphql"):
        trusted = OPERATIONS / file.name

        assert file.read_bytes() == trusted.read_bytes(), f"cp {trusted} {file}"


def test_the_shipped_documents_are_those_that_commands_send() -> None:
    code = "".join(file.read_text() for file in (CLI / "gamer_cli").glob("*.py"))
    named = {file.stem for file in OPERATIONS.glob("*.graphql") if f'"{file.stem}"' in code}

    assert {file.stem for file in SHIPPED.glob("*.graphql")} == named


@pytest.mark.parametrize("name", ["ConsoleType", "ProviderName", "CostGroup", "LimitPeriod", "Role"])
def test_options_take_the_words_of_the_schema(name: str) -> None:
    taken: type[Enum] = getattr(words, name)
    type_ = SCHEMA.type_map[name]

    assert isinstance(type_, GraphQLEnumType)
    assert {each.value for each in taken} == set(type_.values)


def test_every_step_of_a_launch_has_a_bar() -> None:
    assert list(STEPS) == [step.value for step in LaunchStepName]


def test_the_page_lists_every_exit_status() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", Path("docs/cli.md").read_text(), re.MULTILINE)

    assert [(int(number), name) for number, name in rows] == [(status.value, status.name) for status in ExitStatus]


def test_the_client_has_the_version_of_the_service() -> None:
    versions = [
        tomllib.loads(Path(file).read_text())["project"]["version"]
        for file in ("pyproject.toml", CLI / "pyproject.toml")
    ]

    assert versions == [__version__, __version__]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("UNAUTHENTICATED", ExitStatus.NOT_ALLOWED),
        ("FORBIDDEN", ExitStatus.NOT_ALLOWED),
        ("NOT_FOUND", ExitStatus.NOT_FOUND),
        ("UNAVAILABLE", ExitStatus.UNAVAILABLE),
        ("LIMIT_REACHED", ExitStatus.LIMIT_REACHED),
        ("INTERNAL", ExitStatus.INTERNAL),
        ("NO_CAPACITY", ExitStatus.REFUSED),
    ],
)
def test_codes_of_the_service_have_exit_statuses(code: str, status: ExitStatus) -> None:
    assert (code in STATUSES, status_of(code)) == (True, status)
