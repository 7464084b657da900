"""Alert webhooks: one signed request for each alert, repeated by Temporal until it is accepted.

The receiver computes HMAC-SHA256 with the shared secret over `<X-Gamer-Timestamp>.<body>` and compares it with
`X-Gamer-Signature`, `sha256=<hex>`. `X-Gamer-Event-Id` is the same however often an event is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from pydantic import SecretStr

from billing.amounts import tidy
from errors import ProviderBusyError, ProviderRefusedError
from models.database import Database
from models.limits import SpendingAlert
from models.operator_alerts import OperatorAlert
from providers.http import Http, Request

_TIMEOUT_S: Final = 10.0
_ANSWER_BYTES: Final = 64 * 1024
_RAISED: Final = "operator-raised:"
_CLEARED: Final = "operator-cleared:"
_WAIT_AND_ASK_AGAIN: Final = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Webhook:
    """Address of the receiver, and the secret that signs requests."""

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

    async def find_unsent(self) -> list[str]:
        """Return the ids of unsent events: spending alerts, and operator alerts raised and cleared.

        Unreadable alerts are left out, so that the others are sent.
        """
        if self._webhook is None:
            return []
        oldest_first = [("raised_at", 1)]
        spending, _ = await self._db.find_readable(SpendingAlert, {"told": False}, sort=oldest_first)
        raised, _ = await self._db.find_readable(OperatorAlert, {"told": False}, sort=oldest_first)
        cleared, _ = await self._db.find_readable(OperatorAlert, {"cleared_told": False}, sort=oldest_first)
        return [
            *(alert.id for alert in spending),
            *(f"{_RAISED}{alert.id}" for alert in raised),
            *(f"{_CLEARED}{alert.id}" for alert in cleared),
        ]

    async def deliver(self, alert_id: str) -> None:
        """Try once to deliver an event.

        Raises ProviderBusyError if it should be repeated later, and ProviderRefusedError if the receiver will never
        accept it.
        """
        body = await self._unsent_body(alert_id)
        if body is None or self._webhook is None:
            return
        timestamp = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json",
            "X-Gamer-Event-Id": event_id(alert_id),
            "X-Gamer-Timestamp": timestamp,
            "X-Gamer-Signature": signature(self._webhook.secret, timestamp, body),
        }
        request = Request(
            "POST", self._webhook.url, headers, body, timeout_s=_TIMEOUT_S, body_limit_bytes=_ANSWER_BYTES
        )
        _check_status((await self._http.send(request)).status)
        await self.mark_sent(alert_id)

    async def mark_sent(self, alert_id: str) -> None:
        """Mark an event as sent or given up."""
        if (operator_id := _operator_alert_id(alert_id)) is None:
            await self._db.update_many(SpendingAlert, {"_id": alert_id}, {"$set": {"told": True}})
        else:
            field = "told" if alert_id.startswith(_RAISED) else "cleared_told"
            await self._db.update_many(OperatorAlert, {"_id": operator_id}, {"$set": {field: True}})

    async def _unsent_body(self, alert_id: str) -> bytes | None:
        """Return the body of an event, or None if it was already sent."""
        if (operator_id := _operator_alert_id(alert_id)) is None:
            alert = await self._db.get(SpendingAlert, alert_id)
            return None if alert is None or alert.told else _body(alert)
        found = await self._db.get(OperatorAlert, operator_id)
        raised = alert_id.startswith(_RAISED)
        if found is None or (found.told if raised else found.cleared_told):
            return None
        return _operator_body(found, event_id(alert_id), raised=raised)


def signature(secret: SecretStr, timestamp: str, body: bytes) -> str:
    """Return the value of the signature header."""
    signed = hmac.new(secret.get_secret_value().encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def event_id(alert_id: str) -> str:
    """Return an event's id, which reveals nothing about the alert."""
    return hashlib.sha256(alert_id.encode()).hexdigest()[:32]


def _operator_alert_id(alert_id: str) -> str | None:
    """Return the id of an event's operator alert; None for a spending alert."""
    for prefix in (_RAISED, _CLEARED):
        if alert_id.startswith(prefix):
            return alert_id.removeprefix(prefix)
    return None


def _check_status(status: int) -> None:
    if 200 <= status < 300:
        return
    if 400 <= status < 500 and status not in _WAIT_AND_ASK_AGAIN:
        raise ProviderRefusedError(f"the alert receiver rejects alerts: status {status}")
    raise ProviderBusyError(f"the alert receiver responds with status {status}")


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
            "raisedAt": _iso(alert.raised_at),
        }
    )


def _operator_body(alert: OperatorAlert, id: str, *, raised: bool) -> bytes:
    return orjson.dumps(
        {
            "id": id,
            "type": "operator.alert" if raised else "operator.alert.cleared",
            "alertId": event_id(alert.id),
            "level": alert.level,
            "code": alert.code,
            "message": alert.message,
            "subjectId": alert.subject_id,
            "raisedAt": _iso(alert.raised_at),
            "clearedAt": None if raised or alert.cleared_at is None else _iso(alert.cleared_at),
        }
    )


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
