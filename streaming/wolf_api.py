"""Wolf's own API on a machine: HTTP over a unix socket that only root may use, reached over SSH.

Two generations of Wolf exist. The older keeps its socket inside its container, writes client ids as 64-bit numbers and
lacks some paths; the newer puts the socket where the host sees it and writes ids as text. Ids are kept as received.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from errors import ProviderBusyError
from streaming.ssh import Answer, CommandFailedError, Shell
from streaming.wolf import CONTAINER

_BASE: Final = "http://localhost/api/v1/"
_CALL_S: Final = 15
_HOST_SOCKET: Final = "/tmp/sockets/wolf.sock"  # noqa: S108 - CloudyPad's configuration of Wolf
_OLD_SOCKET: Final = "/tmp/wolf.sock"  # noqa: S108 - inside the older builds' container
_WAYS: Final = (
    ("curl", "--unix-socket", _HOST_SOCKET),
    ("docker", "exec", "-i", CONTAINER, "curl", "--unix-socket", _OLD_SOCKET),
)


class WolfFaultError(ProviderBusyError):
    """Wolf rejected the request."""


class WolfApi:
    """Client of Wolf's API. Its responses about sessions contain stream keys and must not be logged or stored."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def get(self, path: str, items: str) -> list[dict[str, Any]]:
        """Return the list `items` of the response."""
        found = (await self._call(path, None)).get(items)
        if not isinstance(found, list):
            raise ProviderBusyError("Wolf responded in an unknown format")
        return [item for item in found if isinstance(item, dict)]

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """Send a request. Raises WolfFaultError if Wolf rejects it or does not know the path."""
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
            raise WolfFaultError(f"Wolf rejected {path}: {str(document.get('error', 'no reason given'))[:100]}")
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
        raise ProviderBusyError(f"Wolf does not respond on its socket: {failed.answer.complaint}") from failed
