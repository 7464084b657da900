"""Alerts for operators that are not about spending limits. At most one is open per code and subject."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from odmantic import Field, Index, Model

from models.limits import AlertLevel

OPERATOR_ALERTS: Final = "operator-alerts"


class OperatorAlertCode(StrEnum):
    BALANCE_LOW = "BALANCE_LOW"  # a prepaid account is running out; the subject is the provider
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"  # the subject is the provider and the quota, "CLOUDYPAD:GPUS_ALL_REGIONS"
    SWEEP_PAUSED = "SWEEP_PAUSED"  # the sweeper would delete too many machines and waits for a confirmation
    FOREIGN_MACHINES = "FOREIGN_MACHINES"  # machines on the account that belong to another deployment
    MACHINE_UNREACHABLE = "MACHINE_UNREACHABLE"  # a running VM does not respond; the subject is the VM
    MACHINE_STOPPED_BY_HOST = "MACHINE_STOPPED_BY_HOST"  # a VM was stopped from outside; the subject is the VM
    ACTIVITY_UNKNOWN = "ACTIVITY_UNKNOWN"  # whether a VM is in use cannot be measured; the subject is the VM
    BILLING_EXPORT_STALE = "BILLING_EXPORT_STALE"  # the provider's bills stopped arriving; the provider


class OperatorAlert(Model):
    """An alert.

    `key` is "<code>:<subject>" while the alert is open and its own id afterwards, so that the unique index allows one
    open alert of each kind.
    """

    id: str = Field(primary_field=True)  # "<code>:<subject>:<moment>"
    channel: str = OPERATOR_ALERTS  # the same for all subscribers
    key: str
    level: AlertLevel
    code: OperatorAlertCode
    message: str
    subject_id: str
    raised_at: datetime
    about: list[str] = []  # what it has been raised about so far; additions raise it again
    cleared_at: datetime | None = None
    told: bool = False  # its opening was delivered by webhook, or given up
    cleared_told: bool = True  # its end was delivered by webhook; true while there is nothing to deliver

    model_config = {
        "collection": "operator_alerts",
        "indexes": lambda: [
            Index(OperatorAlert.key, name="operator_alert_key", unique=True),
            Index(OperatorAlert.cleared_at, OperatorAlert.raised_at, name="operator_alerts_open"),
            Index(OperatorAlert.raised_at, name="operator_alerts_by_time"),
            Index(OperatorAlert.told, OperatorAlert.raised_at, name="operator_alerts_to_tell"),
            Index(OperatorAlert.cleared_told, OperatorAlert.raised_at, name="operator_alerts_cleared_to_tell"),
        ],
    }
