"""Credentials that were good when a stream was opened, and are not for ever."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from math import inf

from starlette.types import Scope

from auth.callers import Caller
from errors import DatabaseFaultError, UnauthenticatedError, UnavailableError
from web.gateway import Gateway


async def wait_until_revoked(gateway: Gateway, caller: Caller, scope: Scope, payload: object = None) -> str:
    """Wait until the credentials have expired or were revoked, and say which."""
    while True:
        await asyncio.sleep(min(gateway.limits.recheck_s, _left_s(caller)))
        why = await rejection_reason(gateway, caller, scope, payload)
        if why is not None:
            return why


async def rejection_reason(gateway: Gateway, caller: Caller, scope: Scope, payload: object = None) -> str | None:
    """Why the credentials are no longer good now; None while they are.

    Who was let in stays in while keys or database are away: nothing can be said about its credentials then.
    """
    if _left_s(caller) <= 0:
        return "the credentials have expired"
    try:
        now = await gateway.caller(scope, payload)
    except UnauthenticatedError:
        return "the credentials are no longer good"
    except (UnavailableError, DatabaseFaultError):
        return None
    return None if (now.id, now.role) == (caller.id, caller.role) else "the credentials are no longer good"


def _left_s(caller: Caller) -> float:
    return inf if caller.expires_at is None else max(0.0, (caller.expires_at - datetime.now(UTC)).total_seconds())
