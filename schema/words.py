"""The domain's own words as GraphQL enums, under the domain's own names."""

from __future__ import annotations

import strawberry

from auth.callers import Role
from models.catalog import ConsoleType, PresetName
from models.launches import LaunchStatus, LaunchStepName, StepStatus
from models.vms import VmStatus as VMStatus
from providers.base import ProviderName

__all__ = [
    "ConsoleType",
    "LaunchStatus",
    "LaunchStepName",
    "PresetName",
    "ProviderName",
    "Role",
    "StepStatus",
    "VMStatus",
]

for _words in (ConsoleType, LaunchStatus, LaunchStepName, PresetName, ProviderName, Role, StepStatus):
    strawberry.enum(_words)
strawberry.enum(VMStatus, name="VMStatus")
