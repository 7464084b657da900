"""The description of the REST paths, and the page to try them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.launches import Launch
from tests.gateway import GatewayWorld, listening, web_gateway
from tests.web.chromium import EXECUTABLE, open_page
from web.app import create_app
from web.health import Readiness
from web.openapi import openapi
from web.rest_routes import PATHS

DESCRIBED = openapi("1.2.3")


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(references(each) for each in value.values()))
    return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()


def parameters(path: str, method: str = "get") -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in DESCRIBED["paths"][path][method]["parameters"]}


def test_every_path_and_method_is_described() -> None:
    described = {(path, method.upper()) for path, methods in DESCRIBED["paths"].items() for method in methods}

    assert described == {(path, method) for row in PATHS for path in (row.path, *row.earlier) for method in row.methods}


def test_every_reference_leads_somewhere_and_no_operation_has_the_name_of_another() -> None:
    names = [operation["operationId"] for methods in DESCRIBED["paths"].values() for operation in methods.values()]

    assert references(DESCRIBED) == {f"#/components/schemas/{name}" for name in DESCRIBED["components"]["schemas"]}
    assert len(set(names)) == len(names)


def test_parameters_have_their_types_and_say_whether_they_are_required() -> None:
    closest = parameters("/launch/hostnodes/closest")

    assert {name: each["required"] for name, each in closest.items()} == {
        "console": True,
        "limit": False,
        "latitude": True,
        "longitude": True,
    }
    assert closest["latitude"]["schema"] == {"type": "number"}
    assert parameters("/vms/{id}")["id"] == {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def test_a_body_is_the_input_of_the_mutation() -> None:
    body = DESCRIBED["paths"]["/launch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    launch = DESCRIBED["components"]["schemas"]["LaunchGameInput"]

    assert body == {"$ref": "#/components/schemas/LaunchGameInput"}
    assert set(launch["required"]) == {"console", "gameId"}
    assert launch["additionalProperties"] is False


def test_an_older_name_of_a_path_is_deprecated() -> None:
    assert "deprecated" not in DESCRIBED["paths"]["/launch"]["post"]
    assert DESCRIBED["paths"]["/launch/game"]["post"]["deprecated"] is True


async def test_it_is_served_and_says_the_version(gateway: GatewayWorld, ann: aiohttp.ClientSession) -> None:
    async with ann.get("/openapi.json") as answer:
        assert (answer.status, (await answer.json())["info"]["version"]) == (200, "1.2.3")


@pytest.mark.parametrize(
    ("explorer", "open_explorer", "status"), [(True, True, 200), (True, False, 404), (False, True, 404)]
)
async def test_the_page_is_there_where_graphiql_is_open_to_all(
    gateway: GatewayWorld, explorer: bool, open_explorer: bool, status: int
) -> None:
    app = create_app(web_gateway(gateway), Readiness({}, {}), explorer=explorer, open_explorer=open_explorer)
    async with listening(app) as address, aiohttp.ClientSession(f"http://{address}") as http:
        async with http.get("/openapi") as page:
            assert page.status == status
        async with http.get("/rest-explorer/..%2fopenapi.py") as other:
            assert other.status == 404


@pytest.mark.skipif(
    EXECUTABLE is None, reason="the REST page was NOT tried in a browser: no Chromium here; `apt-get install chromium`"
)
async def test_in_a_browser_a_path_is_tried_and_its_response_is_shown(gateway: GatewayWorld, tmp_path: Path) -> None:
    app = create_app(web_gateway(gateway), Readiness({}, {}))
    async with listening(app) as address, open_page(f"http://{address}/openapi", tmp_path) as page:
        await page.until("document.querySelectorAll('#paths details').length > 20")
        entry = "[...document.querySelectorAll('#paths details')].find(e => e.innerText.includes('POST /launch '))"
        await page.evaluate(f"{entry}.open = true")
        body = json.loads(await page.evaluate(f"{entry}.querySelector('textarea').value"))
        await page.evaluate(f"{entry}.querySelector('button').click()")
        await page.until(f"{entry}.querySelector('pre').innerText.includes('UNAUTHENTICATED')")

        assert set(body) == {"console", "gameId"}
        assert page.complaints == [] or all("401" in each for each in page.complaints)
        assert [url for url in page.requests if not url.startswith(f"http://{address}/")] == []
    assert await gateway.db.find(Launch, {}) == []
