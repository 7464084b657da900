"""Which web pages of this machine may call: every one in development, none by itself in production."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.gateway import ANN, GatewayWorld, listening, token, web_gateway
from web.app import create_app
from web.health import Readiness
from web.origins import is_loopback_origin

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,authorization"}


async def allowed(gateway: GatewayWorld, origin: str, **changes: Any) -> tuple[str | None, int]:
    """Return the preflight's allowed origin, and the status of a change over REST from a page of that origin."""
    app = create_app(web_gateway(gateway, **changes), Readiness({}, {}))
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    async with listening(app) as address, aiohttp.ClientSession(f"http://{address}") as http:
        async with http.options("/graphql", headers={**headers, **PREFLIGHT}) as preflight:
            origin_allowed = preflight.headers.get("Access-Control-Allow-Origin")
        credentials = {"Authorization": f"Bearer {token(ANN)}"}
        async with http.post("/vms", json={"console": "NES"}, headers={**headers, **credentials}) as answer:
            return origin_allowed, answer.status


@pytest.mark.parametrize("origin", ["http://localhost:4321", "http://127.0.0.1:9", "https://[::1]:8443"])
async def test_in_development_every_page_of_this_machine_may_call(gateway: GatewayWorld, origin: str) -> None:
    assert await allowed(gateway, origin, allows_loopback_origins=True) == (origin, 200)
    assert await allowed(gateway, origin) == (None, 403)


@pytest.mark.parametrize(
    "origin",
    ["https://localhost.example.com", "http://127.0.0.1.example.com", "http://example.com", "http://localhost:1@x.com"],
)
def test_other_hosts_are_no_pages_of_this_machine(origin: str) -> None:
    assert not is_loopback_origin(origin)


async def test_a_page_elsewhere_may_not_call_in_development_either(gateway: GatewayWorld) -> None:
    assert await allowed(gateway, "https://example.com", allows_loopback_origins=True) == (None, 403)
