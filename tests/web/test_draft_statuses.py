"""The table in docs/clients.md of HTTP statuses, beside the newest draft of GraphQL over HTTP, is true."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.gateway import ANN, GatewayWorld, listening, token, web_gateway
from web.app import create_app
from web.gateway import WebLimits
from web.health import Readiness

RESPONSE: Final = "application/graphql-response+json"
LEGACY: Final = "application/json"
VIEWER: Final = b'{"query": "{ viewer { id } }"}'
# Rows of the table, and what is sent: body, and other headers or another method.
CASES: Final[dict[str, tuple[bytes, dict[str, str]]]] = {
    "data": (VIEWER, {}),
    "data with errors, also where `data` is null": (
        b'{"query": "{ launches(after: \\"x\\") { edges { cursor } } }"}',
        {},
    ),
    "the body is not JSON": (b'{"query":', {}),
    "the body is no GraphQL request": (b'{"query": "{ viewer { id } }", "variables": [7]}', {}),
    "the document cannot be parsed": (b'{"query": "{"}', {}),
    "the document is not valid": (b'{"query": "{ nothing }"}', {}),
    "the operation is not clear": (b'{"query": "query A { viewer { id } } query B { viewer { id } }"}', {}),
    "the variables do not fit": (b'{"query": "query A($c: ConsoleType!) { console(type: $c) { id } }"}', {}),
    "the content type is not supported": (VIEWER, {"Content-Type": "text/plain"}),
    "no type in `Accept` is supported": (VIEWER, {"Accept": "text/plain"}),
    "the body is too large": (b" " * 20_001, {}),
    "the credentials are not valid": (VIEWER, {"Authorization": "Bearer nonsense"}),
}


def table() -> dict[str, list[str]]:
    """Return the statuses of each row: of the draft, ours, ours with the setting, and ours for older clients."""
    rows = re.findall(
        r"^\| ([^|]+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", Path("docs/clients.md").read_text(), re.M
    )
    return {name: statuses for name, *statuses in rows}


@pytest.fixture
async def addresses(gateway: GatewayWorld) -> AsyncIterator[tuple[str, str]]:
    """The address of a gateway, and of one with GRAPHQL_DRAFT_STATUSES."""
    plain, draft = (
        create_app(web_gateway(gateway, limits=WebLimits(max_body_bytes=20_000, draft_statuses=wanted)), Readiness({}))
        for wanted in (False, True)
    )
    async with listening(plain) as first, listening(draft) as second:
        yield first, second


async def status(session: aiohttp.ClientSession, address: str, case: str, accept: str) -> int:
    body, headers = CASES[case]
    sent = {"Accept": accept, "Content-Type": LEGACY, "Authorization": f"Bearer {token(ANN)}", **headers}
    async with session.post(f"http://{address}/graphql", data=body, headers=sent) as answer:
        content = await answer.json(content_type=None)
        assert ("data" in content) == case.startswith("data")
        return answer.status


async def test_the_table_of_statuses_is_true(addresses: tuple[str, str]) -> None:
    plain, draft = addresses
    found = {}
    async with aiohttp.ClientSession() as session:
        for case in CASES:
            ours = [await status(session, address, case, RESPONSE) for address in addresses]
            found[case] = [*map(str, ours), str(await status(session, plain, case, LEGACY))]
            assert await status(session, draft, case, LEGACY) == int(found[case][-1])

    assert found == {case: ours for case, (_, *ours) in table().items()}


async def test_with_the_setting_every_status_is_that_of_the_draft() -> None:
    assert {case: statuses[2] for case, statuses in table().items()} == {
        case: statuses[0] for case, statuses in table().items()
    }
