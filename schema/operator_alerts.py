"""Alerts for operators that are not about a spending limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

import strawberry

import models.operator_alerts
from resolvers import operator_alerts
from schema.enums import AlertLevel, OperatorAlertCode
from schema.ids import global_id
from schema.node import Info

_ABOUT_VMS = {
    OperatorAlertCode.MACHINE_UNREACHABLE,
    OperatorAlertCode.MACHINE_STOPPED_BY_HOST,
    OperatorAlertCode.ACTIVITY_UNKNOWN,
}


@strawberry.type(description="Raised once per code and subject, and cleared when its cause is over.")
class OperatorAlert:
    level: AlertLevel
    code: OperatorAlertCode
    message: str
    subject_id: str = strawberry.field(description="What it is about: a VM's id, a provider, a quota or a deployment.")
    raised_at: datetime
    cleared_at: datetime | None = strawberry.field(description="Null while it is open.")

    @classmethod
    def of(cls, alert: models.operator_alerts.OperatorAlert) -> OperatorAlert:
        about_vm = alert.code in _ABOUT_VMS
        return cls(
            level=alert.level,
            code=alert.code,
            message=alert.message,
            subject_id=str(global_id("VM", alert.subject_id)) if about_vm else alert.subject_id,
            raised_at=alert.raised_at,
            cleared_at=alert.cleared_at,
        )


@strawberry.type
class OperatorAlertQuery:
    @strawberry.field(description="For operators, newest first: what needs attention; with `includeCleared` what did.")
    async def operator_alerts(
        self, info: Info, include_cleared: bool | None = False, limit: int | None = None
    ) -> list[OperatorAlert]:
        found = await operator_alerts.operator_alerts(info.context, include_cleared=bool(include_cleared), limit=limit)
        return [OperatorAlert.of(alert) for alert in found]


@strawberry.type
class OperatorAlertSubscription:
    @strawberry.subscription(
        description="For operators: each alert when it is raised and once more when it is cleared."
    )
    async def operator_alerts(self, info: Info) -> AsyncGenerator[OperatorAlert, None]:
        return _followed(await operator_alerts.operator_alerts_changed(info.context))


async def _followed(
    alerts: AsyncGenerator[models.operator_alerts.OperatorAlert, None],
) -> AsyncGenerator[OperatorAlert, None]:
    async with aclosing(alerts):
        async for alert in alerts:
            yield OperatorAlert.of(alert)
