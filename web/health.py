"""Liveness and readiness endpoints."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from errors import GatewayError
from models.write_probe import WriteProbe
from resolvers.service import SERVICE_NAME
from web.responses import json_answer

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[Mapping[str, Any] | None]]
_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Named checks. A check raises when something is wrong, and may return details; an `ok` among them counts.

    The `needed` checks decide readiness. The `helpful` ones are only reported: the process is useful even while a cloud
    is unavailable.
    """

    needed: Mapping[str, Check] = field(default_factory=dict)
    helpful: Mapping[str, Check] = field(default_factory=dict)

    async def answer(self, _: Request) -> Response:
        """Answer GET /ready with the result of every check."""
        checks = {**self.needed, **self.helpful}
        results = dict(zip(checks, await asyncio.gather(*map(_checked, checks, checks.values())), strict=True))
        ready = all(results[name]["ok"] for name in self.needed)
        return json_answer({"status": "ready" if ready else "not ready", "checks": results}, 200 if ready else 503)


async def answer_health(_: Request) -> Response:
    """Answer GET /health: a process that responds is alive."""
    return json_answer({"status": "healthy", "service": SERVICE_NAME})


async def _checked(name: str, check: Check) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            details = await check()
    except GatewayError as error:
        return {"ok": False, "detail": error.message}
    except TimeoutError:
        return {"ok": False, "detail": f"no answer within {_TIMEOUT_S:g} s"}
    except Exception:
        log.exception("unexpected error in a readiness check", extra={"check": name})
        return {"ok": False, "detail": "failed"}
    return {"ok": True, **(details or {})}


def database_check(probe: WriteProbe) -> Check:
    """Return a check that fails while reads fail, and until the first successful write since the start.

    After that, it only reports whether writes succeed: reads are worth serving without them.
    """

    async def check() -> Mapping[str, Any]:
        _, writable = await asyncio.gather(probe.read(), probe.check())
        if probe.has_written:
            return {"writable": writable}
        return {"ok": False, "writable": False, "detail": "the database has not accepted a write since the start"}

    return check
