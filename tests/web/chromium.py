"""A headless Chromium for tests, spoken to over its DevTools protocol. No name outside this machine resolves in it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

EXECUTABLE: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1400,900",
)
LISTENING: Final = b"DevTools listening on "


@asynccontextmanager
async def open_page(url: str, profile: Path) -> AsyncIterator[Page]:
    """A browser of its own with this page loaded; both are gone afterwards."""
    assert EXECUTABLE is not None
    browser = await create_subprocess_exec(
        EXECUTABLE, *FLAGS, f"--user-data-dir={profile}", stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    assert browser.stderr is not None
    try:
        address = await asyncio.wait_for(_address(browser.stderr), timeout=30)
        async with asyncio.TaskGroup() as helpers, connect(address, max_size=None, compression=None) as socket:
            page = Page(socket)
            tasks = [helpers.create_task(page.listen()), helpers.create_task(browser.stderr.read())]
            await page.open(url)
            try:
                yield page
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        browser.terminate()
        await browser.wait()


async def _address(words: asyncio.StreamReader) -> str:
    async for line in words:
        if line.startswith(LISTENING):
            return line.removeprefix(LISTENING).decode().strip()
    raise AssertionError("Chromium ended before it listened")


class Page:
    """One tab. `requests` are the addresses that it and its workers asked for, `complaints` what its console said."""

    def __init__(self, socket: ClientConnection) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self._loaded = asyncio.Event()

    async def open(self, url: str) -> None:
        target = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Network", "Page", "Runtime", "Log"):
            await self.ask(f"{domain}.enable")
        # Workers wait until their requests are listened to as well.
        await self.ask("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
        self._loaded.clear()
        await self.ask("Page.navigate", url=url)
        await self._loaded.wait()

    async def reload(self) -> None:
        """Load the page again, and wait until that is done: evaluations during a navigation fail."""
        self._loaded.clear()
        await self.ask("Page.reload")
        await self._loaded.wait()

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._send(number, method, self._session, params)
        return await self._answers[number]

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, awaited if it is a promise."""
        answer = await self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "error" not in answer, answer["error"]
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, within_s: float = 45) -> None:
        """Until the expression is truthy; AssertionError with the page's text when it stays falsy."""
        became_true = await self.evaluate(f"""new Promise(done => {{
            const end = Date.now() + {within_s * 1000};
            (function look() {{
                if ({expression}) done(true);
                else if (Date.now() > end) done(false);
                else setTimeout(look, 20);
            }})();
        }})""")
        if not became_true:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {expression}\n{self.complaints}\n{text}")

    async def click(self, selector: str) -> None:
        await self.until(f"document.querySelector({json.dumps(selector)})")
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def write(self, selector: str, text: str) -> None:
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.ask("Input.insertText", text=text)

    async def picture(self) -> bytes:
        """What the page looks like now, as a PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot", format="png"))["data"])

    async def listen(self) -> None:
        async for text in self._socket:
            await self._hear(json.loads(text))

    async def _hear(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case None:
                if answered := self._answers.pop(message["id"], None):
                    answered.set_result(message.get("result", message))
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent" if not params["request"]["url"].startswith("data:"):
                self.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(params["url"])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
            case "Target.attachedToTarget" if params["waitingForDebugger"]:
                for method in ("Network.enable", "Runtime.runIfWaitingForDebugger"):
                    await self._send(next(self._numbers), method, params["sessionId"], {})

    async def _send(self, number: int, method: str, session: str | None, params: dict[str, Any]) -> None:
        message = {"id": number, "method": method, "params": params}
        await self._socket.send(json.dumps(message if session is None else {**message, "sessionId": session}))
