"""Digests, asked of a registry over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from errors import ProviderBusyError, ProviderRefusedError
from providers.container_registry import ContainerRegistry, ImageReference
from providers.http import Http
from simulator.registry.api import RegistryApi
from simulator.registry.catalog import ImageCatalog, ImageName

IMAGE = "ghcr.io/games-on-whales/retroarch:edge"
DIGEST = f"sha256:{'ab' * 32}"


@dataclass
class Registry:
    """A registry that answers as it is told to."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Docker-Content-Digest": DIGEST})
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http(timeout_s=5)
    yield http
    await http.close()


@pytest.fixture
async def stub() -> AsyncIterator[tuple[Registry, str]]:
    registry = Registry()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", registry.answer)
    async with TestServer(app) as server:
        yield registry, str(server.make_url("/"))


async def test_a_digest_is_asked_for_with_a_token_where_the_registry_wants_one(http: Http) -> None:
    images, app = ImageCatalog(), web.Application()
    RegistryApi(images).add_routes(app.router, "/_control")

    async with TestServer(app) as server:
        digest = await ContainerRegistry(http, str(server.make_url("/"))).digest(IMAGE)

    assert digest == images.digest(ImageName.read(IMAGE))


async def test_a_mirror_is_told_which_registry_is_meant(http: Http, stub: tuple[Registry, str]) -> None:
    registry, url = stub

    assert await ContainerRegistry(http, url).digest(IMAGE) == DIGEST

    assert registry.asked == ["HEAD /v2/games-on-whales/retroarch/manifests/edge?ns=ghcr.io"]


async def test_an_image_that_names_its_digest_is_not_asked_for(http: Http, stub: tuple[Registry, str]) -> None:
    registry, url = stub

    assert await ContainerRegistry(http, url).digest(f"ghcr.io/me/x:1@{DIGEST}") == DIGEST

    assert registry.asked == []


@pytest.mark.parametrize("status", [403, 404])
async def test_an_unknown_image_is_refused(http: Http, stub: tuple[Registry, str], status: int) -> None:
    registry, url = stub
    registry.status = status

    with pytest.raises(ProviderRefusedError, match=r"ghcr\.io has no image games-on-whales/retroarch:edge"):
        await ContainerRegistry(http, url).digest(IMAGE)


@pytest.mark.parametrize(
    "challenge", ["", 'Basic realm="x"', 'Bearer realm="file:///etc/passwd"', 'Bearer realm="gopher://127.0.0.1/"']
)
async def test_a_registry_that_wants_a_log_in_is_refused_and_no_odd_address_is_asked(
    http: Http, stub: tuple[Registry, str], challenge: str
) -> None:
    registry, url = stub
    registry.status, registry.headers = 401, {"WWW-Authenticate": challenge}

    with pytest.raises(ProviderRefusedError, match="log in"):
        await ContainerRegistry(http, url).digest(IMAGE)

    assert len(registry.asked) == 1


@pytest.mark.parametrize(("retry_after", "again_s"), [("30", 30), ("999999", 3600), ("Fri, 01 May 2026", None)])
async def test_a_registry_that_limits_us_says_when_to_ask_again(
    http: Http, stub: tuple[Registry, str], retry_after: str, again_s: float | None
) -> None:
    registry, url = stub
    registry.status, registry.headers = 429, {"Retry-After": retry_after}

    with pytest.raises(ProviderBusyError, match="no more requests") as raised:
        await ContainerRegistry(http, url).digest(IMAGE)

    assert raised.value.retry_after_s == again_s


@pytest.mark.parametrize(
    ("status", "digest"), [(500, DIGEST), (200, ""), (200, "sha256:12"), (200, DIGEST.upper()), (302, DIGEST)]
)
async def test_an_answer_without_a_digest_is_none(
    http: Http, stub: tuple[Registry, str], status: int, digest: str
) -> None:
    registry, url = stub
    registry.status, registry.headers = status, {"Docker-Content-Digest": digest}

    with pytest.raises(ProviderBusyError):
        await ContainerRegistry(http, url).digest(IMAGE)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("x", ImageReference("docker.io", "library/x", "latest", None)),
        ("me/x:1", ImageReference("docker.io", "me/x", "1", None)),
        ("localhost:5000/x", ImageReference("localhost:5000", "x", "latest", None)),
        (f"ghcr.io/me/x@{DIGEST}", ImageReference("ghcr.io", "me/x", None, DIGEST)),
    ],
)
def test_a_name_is_read_as_container_engines_read_it(image: str, expected: ImageReference) -> None:
    assert ImageReference.parse(image) == expected
