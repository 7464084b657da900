"""The domain's own words as GraphQL enums, under the domain's own names."""

from __future__ import annotations

import strawberry

from auth.callers import Role
from billing.windows import Granularity as CostGranularity
from models.catalog import ConsoleType, PresetName
from models.launches import LaunchStatus, LaunchStepName, StepStatus
from models.limits import AlertLevel, LimitPeriod
from models.operator_alerts import OperatorAlertCode
from models.rollups import RollupKind as CostGroup
from models.vms import VmStatus as VMStatus
from providers.base import ProviderName
from resolvers.costs import Basis as CostBasis

__all__ = [
    "AlertLevel",
    "ConsoleType",
    "CostBasis",
    "CostGranularity",
    "CostGroup",
    "LaunchStatus",
    "LaunchStepName",
    "LimitPeriod",
    "OperatorAlertCode",
    "PresetName",
    "ProviderName",
    "Role",
    "StepStatus",
    "VMStatus",
]

for _words in (
    AlertLevel,
    ConsoleType,
    LaunchStatus,
    LaunchStepName,
    LimitPeriod,
    OperatorAlertCode,
    PresetName,
    ProviderName,
    Role,
    StepStatus,
):
    strawberry.enum(_words)
strawberry.enum(CostBasis, name="CostBasis")
strawberry.enum(CostGranularity, name="CostGranularity")
strawberry.enum(CostGroup, name="CostGroup")
strawberry.enum(VMStatus, name="VMStatus")
