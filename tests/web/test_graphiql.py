from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate
from starlette.exceptions import HTTPException
from starlette.requests import Request

from web import graphiql

CONTRACT = Path("graphql/contract.graphql")
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


SCRIPT = json.loads((graphiql.DIST / "manifest.json").read_text())["script"]


def request(method: str = "GET", query: str = "", name: str = "", **headers: str) -> Request:
    raw = [(header.replace("_", "-").encode(), value.encode()) for header, value in headers.items()]
    scope = {"type": "http", "method": method, "query_string": query.encode(), "headers": raw}
    return Request({**scope, "path_params": {"name": name}})


def test_a_browser_gets_the_page() -> None:
    assert graphiql.wants_page(request(accept=BROWSER["Accept"]))


@pytest.mark.parametrize(
    "asked",
    [
        request(accept="application/json"),
        request(accept="*/*"),
        request(),
        request(method="POST", accept="text/html"),
        request(query="query={viewer{id}}", accept="text/html"),
        request(query="extensions={}", accept="text/html"),
    ],
)
def test_a_client_does_not_get_the_page(asked: Request) -> None:
    assert not graphiql.wants_page(asked)


def test_the_page_names_no_other_host() -> None:
    body = bytes(graphiql.page(request()).body).decode()

    without_examples = body[: body.index('<script type="application/json"')] + body[body.index("</script>") :]
    assert "//" not in without_examples


def test_the_page_runs_no_script_but_its_own() -> None:
    policy = graphiql.page(request()).headers["content-security-policy"]

    assert "default-src 'none'; script-src 'self';" in policy
    assert "connect-src 'self'" in policy
    assert "http" not in policy


def test_a_page_that_did_not_change_is_not_sent_again() -> None:
    etag = graphiql.page(request()).headers["etag"]

    again = graphiql.page(request(if_none_match=etag))

    assert (again.status_code, again.body) == (304, b"")


async def test_assets_may_be_kept_for_ever_and_come_compressed() -> None:
    answer = await graphiql.asset(request(name=SCRIPT, accept_encoding="gzip, br"))

    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.body == (graphiql.DIST / f"{SCRIPT}.gz").read_bytes()


async def test_a_client_without_gzip_gets_the_plain_file() -> None:
    answer = await graphiql.asset(request(name=SCRIPT))

    assert "content-encoding" not in answer.headers
    assert answer.body == gzip.decompress((graphiql.DIST / f"{SCRIPT}.gz").read_bytes())


@pytest.mark.parametrize("name", ["missing.js", "manifest.json", "LICENSES.md", "../package.json", ".npmrc", ""])
async def test_only_built_files_are_served(name: str) -> None:
    with pytest.raises(HTTPException) as refused:
        await graphiql.asset(request(name=name))

    assert refused.value.status_code == 404


@pytest.mark.parametrize("name", [name for name, _ in graphiql.EXAMPLES])
def test_each_example_is_valid_by_the_contract(name: str) -> None:
    example = (graphiql.FOLDER / "examples" / f"{name}.graphql").read_text()

    assert validate(build_schema(CONTRACT.read_text()), parse(example)) == []


def test_the_built_files_are_those_of_the_sources() -> None:
    """Run `make graphiql` after a change of the page's sources."""
    sources = hashlib.sha256()
    for name in ("package-lock.json", "src/main.jsx", "src/style.css", "vite.config.js"):
        sources.update((graphiql.FOLDER / name).read_bytes())

    assert json.loads((graphiql.DIST / "manifest.json").read_text())["sources"] == sources.hexdigest()
