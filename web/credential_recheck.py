"""Checks the credentials of open sockets and event streams again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from math import inf

from starlette.types import Scope

from auth.callers import Caller
from errors import DatabaseFaultError, UnauthenticatedError, UnavailableError
from web.gateway import Gateway


async def wait_until_revoked(gateway: Gateway, caller: Caller, scope: Scope, payload: object = None) -> str:
    """Wait until the credentials are no longer valid, and return the reason."""
    while True:
        await asyncio.sleep(min(gateway.limits.recheck_s, _left_s(caller)))
        reason = await rejection_reason(gateway, caller, scope, payload)
        if reason is not None:
            return reason


async def rejection_reason(gateway: Gateway, caller: Caller, scope: Scope, payload: object = None) -> str | None:
    """Return why the credentials are no longer valid, or None if they are.

    While keys or database are unavailable, validity cannot be determined and the connection is kept.
    """
    if _left_s(caller) <= 0:
        return "the credentials have expired"
    try:
        now = await gateway.authenticate(scope, payload)
    except UnauthenticatedError:
        return "the credentials are no longer valid"
    except (UnavailableError, DatabaseFaultError):
        return None
    return None if (now.id, now.role) == (caller.id, caller.role) else "the credentials are no longer valid"


def _left_s(caller: Caller) -> float:
    return inf if caller.expires_at is None else max(0.0, (caller.expires_at - datetime.now(UTC)).total_seconds())
