"""All documents, for the preparation of a database."""

from typing import Final

from odmantic import Model

from models.api_keys import ApiKey
from models.audit import AuditEntry
from models.billed import BalanceSample, BilledAmount, BilledState
from models.catalog import ConsoleSettings
from models.cloudypad_states import CloudyPadState
from models.deployment import DeploymentRecord
from models.emulator_images import EmulatorImage
from models.golden_images import GoldenImage
from models.google_prices import GoogleRegionPrices
from models.idempotency import IdempotencyKey
from models.launch_times import LaunchTime
from models.launches import Launch, LaunchEvent
from models.limits import SpendingAlert, SpendingLimit, SpendingStop
from models.operator_alerts import OperatorAlert
from models.orphans import OrphanMachine, Sweep
from models.pairings import PairingWindow
from models.placement_cache import FullSite, GeocodedPlace, NetworkOrder
from models.provider_reports import ProviderReport
from models.rate_counters import RateWindow
from models.rollups import RolledSpan, Rollup, RollupState
from models.scheduled_launches import ScheduledLaunch, ScheduledLaunchCounter
from models.usage import UsageInterval
from models.vms import Vm
from models.warm_machines import WarmMachine, WarmPool
from models.write_probe import WriteCheck

DOCUMENTS: Final[tuple[type[Model], ...]] = (
    ApiKey,
    AuditEntry,
    BalanceSample,
    BilledAmount,
    BilledState,
    CloudyPadState,
    ConsoleSettings,
    DeploymentRecord,
    EmulatorImage,
    FullSite,
    GeocodedPlace,
    GoldenImage,
    GoogleRegionPrices,
    IdempotencyKey,
    Launch,
    LaunchEvent,
    LaunchTime,
    NetworkOrder,
    OperatorAlert,
    PairingWindow,
    ProviderReport,
    RateWindow,
    RolledSpan,
    Rollup,
    RollupState,
    ScheduledLaunch,
    ScheduledLaunchCounter,
    SpendingAlert,
    SpendingLimit,
    SpendingStop,
    OrphanMachine,
    Sweep,
    UsageInterval,
    Vm,
    WarmMachine,
    WarmPool,
    WriteCheck,
)
