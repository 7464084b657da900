"""Operator alerts: everything that needs attention and is not a spending limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

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


@strawberry.type(
    description="Something other than spending that an operator must know. It is raised once per code and "
    "subject, and cleared when its cause is over."
)
class OperatorAlert:
    level: AlertLevel = strawberry.field(description="How urgent the alert is.")
    code: OperatorAlertCode = strawberry.field(description="The kind of alert.")
    message: str = strawberry.field(description="The alert in a sentence.")
    subject_id: str = strawberry.field(
        description="The subject of the alert: a VM's global id, a provider, a provider and its quota, or `sweeper`."
    )
    raised_at: datetime = strawberry.field(description="When the alert was raised.")
    cleared_at: datetime | None = strawberry.field(description="When the alert was cleared. Null while it is open.")

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
    @strawberry.field(description="List operator alerts, newest first. Operators only.")
    async def operator_alerts(
        self,
        info: Info,
        include_cleared: Annotated[
            bool | None, strawberry.argument(description="Whether to include alerts that were cleared.")
        ] = False,
        limit: Annotated[
            int | None, strawberry.argument(description="How many alerts to return: 1 to 100. Null: 50.")
        ] = None,
    ) -> list[OperatorAlert]:
        found = await operator_alerts.operator_alerts(info.context, include_cleared=bool(include_cleared), limit=limit)
        return [OperatorAlert.of(alert) for alert in found]


@strawberry.type
class OperatorAlertSubscription:
    @strawberry.subscription(
        description="Follow operator alerts: each is sent when it is raised and again when it is cleared. Operators "
        "only."
    )
    async def operator_alerts(self, info: Info) -> AsyncGenerator[OperatorAlert, None]:
        return _as_graphql(await operator_alerts.operator_alerts_changed(info.context))


async def _as_graphql(
    alerts: AsyncGenerator[models.operator_alerts.OperatorAlert, None],
) -> AsyncGenerator[OperatorAlert, None]:
    async with aclosing(alerts):
        async for alert in alerts:
            yield OperatorAlert.of(alert)
