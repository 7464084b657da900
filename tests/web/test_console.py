from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
from pathlib import Path

import aiohttp
import pytest

from schema.execution.trusted_documents import TrustedDocuments
from web import console

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MANIFEST = json.loads((console.DIST / "manifest.json").read_text())
FIRST_VIEW_BYTES = 250_000


async def test_a_browser_is_led_from_the_root_to_the_console_by_a_relative_address(served: str) -> None:
    async with aiohttp.ClientSession(f"http://{served}") as session:
        async with session.get("/", headers=BROWSER, allow_redirects=False) as led:
            assert (led.status, led.headers["location"], led.headers["vary"]) == (302, "console", "Accept, Origin")
        async with session.get("/", headers=BROWSER) as opened:
            assert (opened.status, opened.url.path, opened.content_type) == (200, "/console", "text/html")


@pytest.mark.parametrize("accept", ["application/json", "*/*"])
async def test_everyone_else_gets_json_at_the_root(served: str, accept: str) -> None:
    async with (
        aiohttp.ClientSession(f"http://{served}") as session,
        session.get("/", headers={"Accept": accept}) as answer,
    ):
        assert (answer.status, (await answer.json())["message"]) == (200, "Gamer Provisioner API")


async def test_the_page_may_use_its_own_scripts_styles_and_connections_and_nothing_else(served: str) -> None:
    async with aiohttp.ClientSession(f"http://{served}") as session, session.get("/console") as answer:
        policy = answer.headers["content-security-policy"]

    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src"
    )
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["permissions-policy"] == "camera=(), geolocation=(self), microphone=()"


def test_the_page_may_also_measure_exactly_the_origins_that_are_set() -> None:
    probes = ["https://a.test:8443/ping?x=1", "http://127.0.0.1:9/ping/us-central1", "https://a.test:8443/other"]

    policy = console.content_security_policy(probes)

    assert "; connect-src 'self' http://127.0.0.1:9 https://a.test:8443; " in policy
    assert policy.count("http") == 2


async def test_the_page_names_the_hash_of_every_trusted_document(served: str) -> None:
    async with aiohttp.ClientSession(f"http://{served}") as session, session.get("/console") as answer:
        page = await answer.text()

    named = json.loads(page.split('id="operations">')[1].split("</script>")[0])
    documents = TrustedDocuments.of_folder()
    assert {documents.name_of(documents.get(sha256) or "") for sha256 in named.values()} == set(named)
    assert {"Viewer", "LaunchGame", "LaunchProgress"} <= set(named)


@pytest.mark.parametrize(("path", "root"), [("/console", "."), ("/console/", "..")])
async def test_the_addresses_in_the_page_are_relative(served: str, path: str, root: str) -> None:
    async with aiohttp.ClientSession(f"http://{served}") as session, session.get(path) as answer:
        page = await answer.text()

    assert f'src="{root}/console/{MANIFEST["script"]}"' in page
    assert f'data-endpoint="{root}/graphql"' in page
    assert "//" not in page.replace("<!doctype html>", "")


async def test_a_page_that_did_not_change_is_not_sent_again(served: str) -> None:
    async with aiohttp.ClientSession(f"http://{served}") as session:
        async with session.get("/console") as first:
            etag = first.headers["etag"]
        async with session.get("/console", headers={"If-None-Match": etag}) as again:
            assert (again.status, await again.read()) == (304, b"")


async def test_files_may_be_kept_for_ever_and_come_compressed(served: str) -> None:
    async with (
        aiohttp.ClientSession(f"http://{served}", auto_decompress=False) as session,
        session.get(f"/console/{MANIFEST['script']}", headers={"Accept-Encoding": "gzip"}) as answer,
    ):
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content_type == "text/javascript"
        assert await answer.read() == (console.DIST / f"{MANIFEST['script']}.gz").read_bytes()


@pytest.mark.parametrize("name", ["missing.js", "manifest.json", "LICENSES.md", "README.md"])
async def test_only_built_files_are_served(served: str, name: str) -> None:
    async with aiohttp.ClientSession(f"http://{served}") as session, session.get(f"/console/{name}") as answer:
        assert answer.status == 404


def test_all_files_together_stay_below_what_the_first_view_may_have() -> None:
    assert sum(file.stat().st_size for file in console.DIST.glob("*.gz")) < FIRST_VIEW_BYTES


def test_the_built_files_are_those_of_the_sources() -> None:
    """Run `make console` after a change of the page's sources."""
    names = ["package-lock.json", "tsconfig.json", "vite.config.js"]
    src = (file for file in (console.FOLDER / "src").rglob("*") if file.is_file() and file.name != "generated.ts")
    names += [file.relative_to(console.FOLDER).as_posix() for file in src]
    sources = hashlib.sha256()
    for name in sorted(names):
        sources.update(name.encode())
        sources.update((console.FOLDER / name).read_bytes())

    assert MANIFEST["sources"] == sources.hexdigest()


def test_a_build_of_the_sources_gives_the_committed_files_byte_for_byte(console_packages: Path, tmp_path: Path) -> None:
    command = ["node", str(console_packages / "vite" / "bin" / "vite.js"), "build", "--logLevel", "error"]
    subprocess.run(
        command, cwd=console.FOLDER, env={**os.environ, "CONSOLE_OUT": str(tmp_path)}, timeout=50, check=True
    )

    assert contents(tmp_path) == contents(console.DIST)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, without compression: its bytes depend on the version of Node."""
    return {
        file.name: gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for file in folder.iterdir()
    }
