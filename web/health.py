"""Is the process alive, and can it do its work?"""

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
_PATIENCE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Named checks, each of which raises when something is wrong, and may return more to tell; `ok` among it counts.
    The `needed` decide; the `helpful` are only told: a cloud that is away does not make this process useless."""

    needed: Mapping[str, Check] = field(default_factory=dict)
    helpful: Mapping[str, Check] = field(default_factory=dict)

    async def answer(self, _: Request) -> Response:
        checks = {**self.needed, **self.helpful}
        results = dict(zip(checks, await asyncio.gather(*map(_checked, checks, checks.values())), strict=True))
        ready = all(results[name]["ok"] for name in self.needed)
        return json_answer({"status": "ready" if ready else "not ready", "checks": results}, 200 if ready else 503)


async def alive(_: Request) -> Response:
    """Whoever can answer so is."""
    return json_answer({"status": "healthy", "service": SERVICE_NAME})


async def _checked(name: str, check: Check) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            told = await check()
    except GatewayError as error:
        return {"ok": False, "detail": error.message}
    except TimeoutError:
        return {"ok": False, "detail": f"no answer within {_PATIENCE_S:g} s"}
    except Exception:
        log.exception("a readiness check failed unforeseen", extra={"check": name})
        return {"ok": False, "detail": "failed"}
    return {"ok": True, **(told or {})}


def database_check(probe: WriteProbe) -> Check:
    """Return a check that fails while reads fail, and until the first write since the start. Afterwards it tells
    whether the database takes writes: reads are worth serving without."""

    async def check() -> Mapping[str, Any]:
        _, writable = await asyncio.gather(probe.read(), probe.check())
        if probe.has_written:
            return {"writable": writable}
        return {"ok": False, "writable": False, "detail": "the database has not taken a write since the start"}

    return check
