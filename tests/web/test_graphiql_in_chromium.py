"""The page as people use it: in a browser in which no name outside this machine resolves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.web.chromium import EXECUTABLE, Page, open_page
from tests.web.contract_service import ContractService

pytestmark = pytest.mark.skipif(
    EXECUTABLE is None, reason="GraphiQL was NOT tried in a browser: no Chromium here; `apt-get install chromium`"
)

RUN = ".graphiql-execute-button"
TABS = "[...document.querySelectorAll('.graphiql-tab')].map(tab => tab.innerText)"
EDITED = "document.querySelector('.graphiql-query-editor .view-lines')?.innerText"
ANSWER = "document.querySelector('.graphiql-response')?.innerText.replaceAll('\\u00a0', ' ')"
KEPT_BY_THE_BROWSER = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"


@dataclass
class Opened:
    page: Page
    service: ContractService
    url: str

    async def run(self, tab: str, until_answer_has: str) -> None:
        """Click on the tab of this name, then on the button that sends its operation."""
        await self.page.click(f".graphiql-tab:nth-child({(await self.page.evaluate(TABS)).index(tab) + 1}) button")
        await self.page.until(f"{EDITED}?.includes('{tab}')")
        await self.page.click(RUN)
        await self.page.until(f"{ANSWER}.includes({json.dumps(until_answer_has)})")


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    service = ContractService()
    async with service.listening() as url, open_page(f"{url}/graphql", tmp_path) as page:
        await page.until(f"{EDITED}?.includes('Consoles') && document.querySelector('{RUN}')")
        yield Opened(page, service, url)
        (tmp_path / "page.png").write_bytes(await page.picture())  # to look at: pytest keeps the last runs' folders


async def test_four_examples_are_open_and_nobody_else_is_asked(opened: Opened) -> None:
    page = opened.page

    assert await page.evaluate(TABS) == ["Consoles", "PlacementsNearDallas", "LaunchMarioOdyssey", "LaunchProgress"]
    assert len(page.requests) > 5
    assert [url for url in page.requests if not url.startswith(f"{opened.url}/graph")] == []
    assert page.complaints == []


async def test_a_query_runs(opened: Opened) -> None:
    await opened.run("Consoles", until_answer_has='"name": "Nintendo Switch"')

    assert opened.page.complaints == []


async def test_a_subscription_follows_the_launch_that_was_ordered_last(opened: Opened) -> None:
    await opened.run("LaunchMarioOdyssey", until_answer_has='"id": "launch-of-mario-odyssey"')

    await opened.run("LaunchProgress", until_answer_has='"message": "launch-of-mario-odyssey is ready"')

    assert f"{opened.url}/graphql".replace("http", "ws") in opened.page.requests
    assert opened.page.complaints == []


async def test_a_token_goes_with_every_request_and_is_not_kept(opened: Opened) -> None:
    await opened.page.write("#credential", "aaa.bbb.ccc")
    await opened.page.click(".credential button")

    await opened.run("Consoles", until_answer_has="Nintendo Switch")
    await opened.run("LaunchProgress", until_answer_has="is ready")

    assert opened.service.headers[-1]["authorization"] == "Bearer aaa.bbb.ccc"
    assert opened.service.connection_params == [{"Authorization": "Bearer aaa.bbb.ccc"}]
    assert "aaa.bbb.ccc" not in await opened.page.evaluate(KEPT_BY_THE_BROWSER)


async def test_an_api_key_goes_in_its_own_header(opened: Opened) -> None:
    await opened.page.write("#credential", "key-without-dots")
    await opened.page.click(".credential button")

    await opened.run("Consoles", until_answer_has="Nintendo Switch")

    assert opened.service.headers[-1]["x-api-key"] == "key-without-dots"
    assert "authorization" not in opened.service.headers[-1]
