"""The simulated registry, asked as a container engine asks one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from simulator.registry.api import RegistryApi
from simulator.registry.catalog import ImageCatalog, ImageName

RETROARCH = "games-on-whales/retroarch"
MANIFEST = f"/v2/{RETROARCH}/manifests/edge?ns=ghcr.io"
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    RegistryApi(ImageCatalog()).add_routes(app.router, "/_control")
    async with TestClient(TestServer(app)) as client:
        yield client


async def token(client: Client, repository: str = RETROARCH) -> dict[str, str]:
    answer = await client.get("/registry-token", params={"scope": f"repository:{repository}:pull"})
    return {"Authorization": f"Bearer {(await answer.json())['token']}"}


async def head(client: Client, path: str = MANIFEST, **headers: str) -> aiohttp.ClientResponse:
    return await client.head(path, headers={**await token(client), **headers})


async def order(client: Client, **wanted: Any) -> None:
    await client.post("/_control/registry", json=wanted)


async def test_without_a_token_a_challenge_says_where_to_get_one(client: Client) -> None:
    answer = await client.head(MANIFEST)

    assert answer.status == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith(f'Bearer realm="{client.make_url("/registry-token")}",service="')
    assert challenge.endswith(f'scope="repository:{RETROARCH}:pull"')


async def test_a_token_for_another_repository_opens_nothing(client: Client) -> None:
    answer = await client.head(MANIFEST, headers=await token(client, "games-on-whales/pegasus"))

    assert answer.status == 401


async def test_a_tag_stands_for_the_same_digest_until_it_moves(client: Client) -> None:
    first, second = [(await head(client)).headers["Docker-Content-Digest"] for _ in range(2)]
    await order(client, move=f"ghcr.io/{RETROARCH}:edge")
    third = (await head(client)).headers["Docker-Content-Digest"]
    by_digest = await head(client, f"/v2/{RETROARCH}/manifests/{first}?ns=ghcr.io")

    assert first == second != third
    assert (by_digest.status, by_digest.headers["Docker-Content-Digest"]) == (200, first)


async def test_an_image_that_is_missing_is_unknown(client: Client) -> None:
    await order(client, missing=f"ghcr.io/{RETROARCH}:edge")
    answer = await client.get(MANIFEST, headers=await token(client))
    await order(client, missing=f"ghcr.io/{RETROARCH}:edge", on=False)

    assert answer.status == 404
    assert (await answer.json())["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    assert (await head(client)).status == 200


async def test_who_asks_too_often_is_told_when_to_ask_again(client: Client) -> None:
    await order(client, limited=True)

    answer = await head(client)

    assert (answer.status, answer.headers["Retry-After"]) == (429, "30")


@pytest.mark.parametrize(
    ("text", "repository", "reference"),
    [
        ("ghcr.io/me/x:edge", "ghcr.io/me/x", "edge"),
        ("ghcr.io/me/x", "ghcr.io/me/x", "latest"),
        ("localhost:5000/x:1", "localhost:5000/x", "1"),
        ("x", "docker.io/library/x", "latest"),
        ("me/x:1", "docker.io/me/x", "1"),
        (f"ghcr.io/me/x:edge@sha256:{'0' * 64}", "ghcr.io/me/x", f"sha256:{'0' * 64}"),
    ],
)
def test_names_are_read_as_container_engines_read_them(text: str, repository: str, reference: str) -> None:
    assert ImageName.read(text) == ImageName(repository, reference)
