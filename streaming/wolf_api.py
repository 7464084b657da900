"""Wolf's own interface on a machine: HTTP over a unix socket that only root may use, so it is asked over SSH.

Two ages of Wolf are met. The older keeps its socket inside its container, writes client ids as 64-bit numbers and
lacks some paths; the newer puts it where the host sees it and writes ids as text. Ids are kept as they came.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from errors import ProviderBusyError
from streaming.ssh import Answer, CommandFailedError, Shell
from streaming.wolf import CONTAINER

_BASE: Final = "http://localhost/api/v1/"
_CALL_S: Final = 15
_HOST_SOCKET: Final = "/tmp/sockets/wolf.sock"  # noqa: S108 - where CloudyPad has Wolf put it
_OLD_SOCKET: Final = "/tmp/wolf.sock"  # noqa: S108 - inside the older builds' container
_WAYS: Final = (
    ("curl", "--unix-socket", _HOST_SOCKET),
    ("docker", "exec", "-i", CONTAINER, "curl", "--unix-socket", _OLD_SOCKET),
)


class WolfFaultError(ProviderBusyError):
    """Wolf answered that it would not."""


class WolfApi:
    """What it answers of sessions holds stream keys: nothing of it may be logged or stored."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def get(self, path: str, items: str) -> list[dict[str, Any]]:
        """The list called `items` in the answer."""
        found = (await self._call(path, None)).get(items)
        if not isinstance(found, list):
            raise ProviderBusyError("Wolf answered in a form that we do not know")
        return [item for item in found if isinstance(item, dict)]

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """Raises WolfFaultError when Wolf says no, or does not know the path."""
        await self._call(path, orjson.dumps(body))

    async def _call(self, path: str, body: bytes | None) -> dict[str, Any]:
        answer = await self._reach(path, body)
        try:
            document = orjson.loads(answer.stdout)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise WolfFaultError(f"Wolf does not know {path}")
        if document.get("success") is not True:
            raise WolfFaultError(f"Wolf refused {path}: {str(document.get('error', 'no reason given'))[:100]}")
        return document

    async def _reach(self, path: str, body: bytes | None) -> Answer:
        posting = () if body is None else ("-X", "POST", "-H", "Content-Type: application/json", "--data-binary", "@-")
        failed: CommandFailedError | None = None
        for way in _WAYS:
            try:
                return await self._shell.sudo(
                    *(*way, "-sS", "--max-time", str(_CALL_S), *posting, f"{_BASE}{path}"),
                    input=body,
                    timeout_s=_CALL_S + 10,
                )
            except CommandFailedError as error:
                failed = failed or error
        assert failed is not None
        raise ProviderBusyError(f"Wolf does not answer on its socket: {failed.answer.complaint}") from failed
