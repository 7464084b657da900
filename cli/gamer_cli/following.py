"""Follows subscriptions across lost connections."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from .exits import CommandError, ExitStatus
from .service import ConnectionLostError, Service

PATIENCE_S: Final = 600.0
_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 15.0
_TEMPORARY: Final = frozenset({"UNAVAILABLE", "INTERNAL", "LIMIT_REACHED"})


async def follow(
    service: Service,
    operation: str,
    variables: Mapping[str, Any],
    *,
    position: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {},
    on_gap: Callable[[str], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the data of a subscription's results until its end, whatever happens to the connection.

    `position` returns the variables that let a new subscription begin after a result. `on_gap` is called with a reason
    whenever the connection is lost. Raise CommandError if the service refuses, or is silent for `patience_s`.
    """
    current, heard_at, wait_s = dict(variables), time.monotonic(), _FIRST_WAIT_S
    while True:
        try:
            async with aclosing(service.subscribe(operation, current)) as results:
                async for data in results:
                    current |= position(data)
                    heard_at, wait_s = time.monotonic(), _FIRST_WAIT_S
                    yield data
                return
        except ConnectionLostError as lost:
            reason, pause_s = str(lost), wait_s
        except CommandError as error:
            if error.code not in _TEMPORARY:
                raise
            reason, pause_s = error.message, error.retry_after_s or wait_s
        if time.monotonic() - heard_at > patience_s:
            raise CommandError(f"no contact for {patience_s:.0f} s: {reason}", ExitStatus.UNAVAILABLE)
        on_gap(reason)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  (not for security)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        if await _answers(service):
            heard_at = time.monotonic()


async def _answers(service: Service) -> bool:
    """Return whether the service answers. Raise CommandError if it does not accept the token any longer."""
    try:
        await service.query("Viewer")
    except CommandError as error:
        if error.status is ExitStatus.NOT_ALLOWED:
            raise
        return False
    return True
