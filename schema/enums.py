"""The domain's enums as GraphQL enums, under the same names, with their descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import strawberry

from auth.callers import Role
from billing.windows import Granularity as CostGranularity
from models.catalog import ConsoleType, PresetName
from models.launch_times import PlayableBasis
from models.launches import LaunchStatus, LaunchStepName, StepStatus
from models.limits import AlertLevel, LimitPeriod
from models.operator_alerts import OperatorAlertCode
from models.pairings import PairingStatus
from models.rollups import RollupKind as CostGroup
from models.scheduled_launches import ScheduledLaunchStatus
from models.vms import VmStatus as VMStatus
from models.warm_machines import WarmStatus as WarmMachineStatus
from providers.base import ProviderName
from resolvers.costs import Basis as CostBasis
from streaming.saves.locations import SaveKind
from streaming.saves.parts import VersionReason as SaveVersionReason

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
    "PairingStatus",
    "PlayableBasis",
    "PresetName",
    "ProviderName",
    "Role",
    "SaveKind",
    "SaveVersionReason",
    "ScheduledLaunchStatus",
    "StepStatus",
    "VMStatus",
    "WarmMachineStatus",
]


def _register(enum: type[StrEnum], description: str, values: Mapping[StrEnum, str], name: str | None = None) -> None:
    """Make a GraphQL enum of a domain enum. Raise KeyError when a value has no description."""
    strawberry.enum(enum, name=name, description=description)
    described: Any = enum
    for value in described.__strawberry_definition__.values:
        value.description = values[enum(value.value)]


_register(
    AlertLevel,
    "How urgent an alert is.",
    {
        AlertLevel.INFO: "For information. Spending: the forecast is above the limit.",
        AlertLevel.WARNING: "Needs attention soon. Spending: 80 % of the limit is spent.",
        AlertLevel.CRITICAL: "Needs attention now. Spending: the limit is reached.",
    },
)
_register(
    ConsoleType,
    "A game console.",
    {
        ConsoleType.NES: "Nintendo Entertainment System.",
        ConsoleType.SNES: "Super Nintendo Entertainment System.",
        ConsoleType.GB: "Game Boy and Game Boy Color.",
        ConsoleType.GBA: "Game Boy Advance.",
        ConsoleType.DS: "Nintendo DS.",
        ConsoleType.N3DS: "Nintendo 3DS.",
        ConsoleType.GC: "Nintendo GameCube.",
        ConsoleType.WII: "Nintendo Wii.",
        ConsoleType.SWITCH: "Nintendo Switch.",
    },
)
_register(
    CostBasis,
    "Where the amounts of a report come from.",
    {
        CostBasis.METERED: "Our own meter: the price of each machine for the time that it ran or was kept.",
        CostBasis.PROVIDER_BILLED: "What the providers say they charged.",
    },
    name="CostBasis",
)
_register(
    CostGranularity,
    "The length of a report's buckets.",
    {
        CostGranularity.HOUR: "One bucket per hour.",
        CostGranularity.DAY: "One bucket per day, UTC.",
        CostGranularity.MONTH: "One bucket per calendar month, UTC.",
    },
    name="CostGranularity",
)
_register(
    CostGroup,
    "What a report's amounts are grouped by.",
    {
        CostGroup.PROVIDER: "By cloud.",
        CostGroup.CONSOLE: "By console.",
        CostGroup.USER: "By user.",
        CostGroup.VM: "By VM.",
    },
    name="CostGroup",
)
_register(
    LaunchStatus,
    "The state of a launch.",
    {
        LaunchStatus.QUEUED: "Accepted, but not begun.",
        LaunchStatus.RUNNING: "Under way.",
        LaunchStatus.READY: "The machine is ready to stream. Final.",
        LaunchStatus.CANCELLING: "Being cancelled: its machine is being deleted.",
        LaunchStatus.CANCELLED: "Cancelled: the cloud confirmed that nothing is left of it. Final.",
        LaunchStatus.FAILED: "Failed; `failure` says why. Final.",
    },
)
_register(
    LaunchStepName,
    "A step of a launch, in the order in which steps run.",
    {
        LaunchStepName.CHOOSE_PLACEMENT: "Rank the sites and choose one.",
        LaunchStepName.CREATE_VM: "Rent the machine.",
        LaunchStepName.BOOT: "Wait until the machine runs and has an address.",
        LaunchStepName.CONNECT: "Connect to the machine by SSH.",
        LaunchStepName.INSTALL_STREAMING: "Install the game-streaming server.",
        LaunchStepName.MOUNT_LIBRARY: "Mount the game library.",
        LaunchStepName.RESTORE_SAVES: "Download the player's saves.",
        LaunchStepName.CONFIGURE_GAME: "Set up the game on the streaming server.",
        LaunchStepName.VERIFY_STREAM: "Check that the streaming server answers from outside.",
    },
)
_register(
    LimitPeriod,
    "The period of a spending limit.",
    {
        LimitPeriod.DAILY: "A calendar day, UTC.",
        LimitPeriod.MONTHLY: "A calendar month, UTC.",
    },
)
_register(
    OperatorAlertCode,
    "The kind of an operator alert, with the subject that it is about.",
    {
        OperatorAlertCode.BALANCE_LOW: "A prepaid account is running out of money. Subject: the provider.",
        OperatorAlertCode.QUOTA_EXCEEDED: "A quota is used up. Subject: the provider and the quota, such as "
        "`CLOUDYPAD:GPUS_ALL_REGIONS`.",
        OperatorAlertCode.SWEEP_PAUSED: "The sweeper would delete an unusual number of machines and waits for an "
        "operator's confirmation. Subject: `sweeper`.",
        OperatorAlertCode.FOREIGN_MACHINES: "The account has machines of another deployment. Subject: the provider.",
        OperatorAlertCode.MACHINE_UNREACHABLE: "A running machine does not respond. Subject: the VM.",
        OperatorAlertCode.MACHINE_STOPPED_BY_HOST: "A machine was stopped by its host. Subject: the VM.",
        OperatorAlertCode.ACTIVITY_UNKNOWN: "It cannot be measured whether a machine is in use. Subject: the VM.",
        OperatorAlertCode.BILLING_EXPORT_STALE: "A provider's billing data stopped arriving. Subject: the provider.",
    },
)
_register(
    PairingStatus,
    "How far a pairing is.",
    {
        PairingStatus.WAITING: "The PIN waits for a device that asks to be paired.",
        PairingStatus.PAIRED: "A device has paired.",
        PairingStatus.WRONG_PIN: "A device used another PIN and was refused. The window is still open.",
        PairingStatus.EXPIRED: "The window closed before a device paired.",
    },
)
_register(
    PlayableBasis,
    "Where an expected waiting time comes from.",
    {
        PlayableBasis.SITE: "Our own launches at this site.",
        PlayableBasis.PROVIDER: "Our own launches at this cloud.",
        PlayableBasis.PUBLIC_FIGURES: "Published figures of others, because there are too few launches of our own.",
    },
)
_register(
    PresetName,
    "The name of a machine size.",
    {
        PresetName.RETRO: "A machine without a GPU, for 8- and 16-bit consoles and handhelds.",
        PresetName.ADVANCED: "A machine with a basic GPU.",
        PresetName.PREMIUM: "A machine with a high-end GPU.",
    },
)
_register(
    ProviderName,
    "A cloud that machines are rented from.",
    {
        ProviderName.TENSORDOCK: "TensorDock, a marketplace of GPU hosts.",
        ProviderName.CLOUDYPAD: "Google Cloud, through CloudyPad.",
    },
)
_register(
    Role,
    "What a caller may do.",
    {
        Role.PLAYER: "May play, and see and change only what is its own.",
        Role.SERVICE: "May act for any player.",
        Role.OPERATOR: "May act for any player and change settings, limits and keys.",
    },
)
_register(
    SaveKind,
    "What saves are made by.",
    {
        SaveKind.GAME: "What games save themselves: memory cards, battery memory and the files that these need.",
        SaveKind.STATE: "Save states: an emulator's snapshots of a whole console.",
    },
)
_register(
    SaveVersionReason,
    "Why a version of a save exists.",
    {
        SaveVersionReason.UPLOADED: "A machine uploaded it, and it became current then.",
        SaveVersionReason.IMPORTED: "It was current, but no upload of this service.",
        SaveVersionReason.CONFLICT: "Another machine had saved meanwhile. The player has to choose.",
        SaveVersionReason.SHRUNK: "A save in it suddenly held nothing. The player has to choose.",
        SaveVersionReason.SETTLED: "The player has chosen between it and others.",
    },
    name="SaveVersionReason",
)
_register(
    StepStatus,
    "The state of a launch step.",
    {
        StepStatus.PENDING: "Not begun.",
        StepStatus.RUNNING: "Under way.",
        StepStatus.DONE: "Completed.",
        StepStatus.SKIPPED: "Not needed for this launch.",
        StepStatus.FAILED: "Failed.",
    },
)
_register(
    VMStatus,
    "The state of a VM.",
    {
        VMStatus.PROVISIONING: "Being rented and set up.",
        VMStatus.RUNNING: "Running, and billed at its hourly price.",
        VMStatus.STOPPING: "Being stopped.",
        VMStatus.STOPPED: "Stopped: kept with its disk, and usually billed only for storage.",
        VMStatus.STARTING: "Being started after a stop.",
        VMStatus.DELETING: "Being deleted: saves are uploaded first.",
        VMStatus.DELETED: "Deleted: the cloud confirmed it. Final.",
        VMStatus.FAILED: "No machine was ever rented for it. Final.",
        VMStatus.LOST: "The cloud lost the machine, or its deletion could not be confirmed. The sweeper resolves it.",
    },
    name="VMStatus",
)

_register(
    WarmMachineStatus,
    "How far a machine of the warm pool is.",
    {
        WarmMachineStatus.PREPARING: "It is being rented and set up.",
        WarmMachineStatus.READY: "It is set up, and off until a launch takes it.",
        WarmMachineStatus.TAKEN: "A launch has taken it: it is a VM now.",
        WarmMachineStatus.RELEASING: "It is being deleted at its cloud.",
        WarmMachineStatus.RELEASED: "Nothing of it remains at its cloud.",
    },
    "WarmMachineStatus",
)

_register(
    ScheduledLaunchStatus,
    "The state of a scheduled launch.",
    {
        ScheduledLaunchStatus.PLANNED: "Its launch will be requested in time.",
        ScheduledLaunchStatus.STARTING: "Its launch is being requested.",
        ScheduledLaunchStatus.STARTED: "Its launch was requested: see `launch`.",
        ScheduledLaunchStatus.CANCELLED: "It was cancelled before its launch was requested.",
        ScheduledLaunchStatus.FAILED: "Its launch was refused: see `failure`.",
    },
)
