"""Alerts told outside: one signed request for each, repeated by the engine until it is taken.

The receiver computes HMAC-SHA256 with the shared secret over `<X-Gamer-Timestamp>.<body>` and compares it with
`X-Gamer-Signature`, `sha256=<hex>`. `X-Gamer-Event-Id` is the same however often an event is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import SecretStr

from billing.amounts import tidy
from errors import ProviderBusyError, ProviderRefusedError
from models.database import Database
from models.limits import SpendingAlert
from providers.http import Http, Request

_TIMEOUT_S: Final = 10.0
_ANSWER_BYTES: Final = 64 * 1024
_WAIT_AND_ASK_AGAIN: Final = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where alerts go, and the secret that signs them."""

    url: str
    secret: SecretStr


class AlertWebhooks:
    def __init__(
        self, db: Database, http: Http, webhook: Webhook | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._db = db
        self._http = http
        self._webhook = webhook
        self._clock = clock

    async def waiting(self) -> list[str]:
        """The ids of the alerts that were not told yet. None where nobody is to be told."""
        if self._webhook is None:
            return []
        return [alert.id for alert in await self._db.find(SpendingAlert, {"told": False}, sort=[("raised_at", 1)])]

    async def deliver(self, alert_id: str) -> None:
        """One attempt. ProviderBusyError: try again later; ProviderRefusedError: the receiver will never take it."""
        alert = await self._db.get(SpendingAlert, alert_id)
        if alert is None or alert.told or self._webhook is None:
            return
        body = _body(alert)
        timestamp = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json",
            "X-Gamer-Event-Id": event_id(alert.id),
            "X-Gamer-Timestamp": timestamp,
            "X-Gamer-Signature": signature(self._webhook.secret, timestamp, body),
        }
        request = Request(
            "POST", self._webhook.url, headers, body, timeout_s=_TIMEOUT_S, body_limit_bytes=_ANSWER_BYTES
        )
        _accepted((await self._http.send(request)).status)
        await self.settle(alert_id)

    async def settle(self, alert_id: str) -> None:
        """It is told, or given up."""
        await self._db.update(SpendingAlert, {"_id": alert_id}, {"$set": {"told": True}})


def signature(secret: SecretStr, timestamp: str, body: bytes) -> str:
    signed = hmac.new(secret.get_secret_value().encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def event_id(alert_id: str) -> str:
    """Says nothing of what is in the alert."""
    return hashlib.sha256(alert_id.encode()).hexdigest()[:32]


def _accepted(status: int) -> None:
    if 200 <= status < 300:
        return
    if 400 <= status < 500 and status not in _WAIT_AND_ASK_AGAIN:
        raise ProviderRefusedError(f"the receiver of the alerts refuses them: status {status}")
    raise ProviderBusyError(f"the receiver of the alerts answers with status {status}")


def _body(alert: SpendingAlert) -> bytes:
    return orjson.dumps(
        {
            "id": event_id(alert.id),
            "type": "spending.alert",
            "level": alert.level,
            "period": alert.period,
            "periodStart": alert.period_start.date().isoformat(),
            "userId": alert.user_id,
            "currency": "USD",
            "limit": str(alert.limit_usd),
            "spent": format(tidy(alert.spent_usd), "f"),
            "forecast": format(tidy(alert.forecast_usd), "f"),
            "message": alert.message,
            "raisedAt": alert.raised_at.isoformat().replace("+00:00", "Z"),
        }
    )
