"""The context of every resolver: the caller, the services, and loaders that live for one response."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from auth.api_keys import ApiKeys
from auth.callers import Caller
from billing.alerts import AlertFeed
from billing.operator_alerts import OperatorAlertFeed
from errors import InvalidInputError
from fleet.pairing_service import PairingService
from fleet.service import MachineService
from fleet.vm_feed import VmFeed
from launch.image_service import ImageService
from launch.launch_feed import LaunchFeed
from launch.orders import LaunchOrder
from launch.playable_time import PlayableTimes
from models.catalog import ConsoleType
from models.database import Database
from models.launches import Launch, LaunchEvent
from placement.measured_rtt import RttProbe
from placement.ranking import Placements
from providers.registry import Registry
from providers.storage.signing import UrlSigner
from resolvers.loaders import ALL, Columns, Loaders
from resolvers.pace import Pace
from streaming.saves.catalog import SaveCatalog
from streaming.saves.changes import SaveChanges

_MAX_ROWS: Final = 100_000

if TYPE_CHECKING:
    from streaming.covers import Covers
    from streaming.library import Game, SkippedFiles


class LaunchRequests(Protocol):
    """Requests and cancels launches. Implemented by launch.service.LaunchService."""

    async def request(self, order: LaunchOrder) -> Launch: ...

    async def check(self, order: LaunchOrder) -> None: ...

    async def cancel(self, launch: Launch) -> Launch: ...


class GameLibrary(Protocol):
    """The games of the library. Implemented by streaming.library.Library."""

    async def games(self, console: ConsoleType | None) -> list[Game]: ...

    async def find(self, console: ConsoleType, game_id: str) -> Game | None: ...

    async def skipped_files(self, console: ConsoleType | None) -> list[SkippedFiles]: ...


class Progress(Protocol):
    """The events of a launch. Implemented by launch.progress_feed.ProgressFeed."""

    def follow(self, launch_id: str, after: int = 0) -> AsyncGenerator[LaunchEvent, None]: ...


@dataclass(frozen=True, slots=True)
class PlayerSaves:
    """The saves of players in the bucket. `undelete_for`: how long a deleted one can be brought back."""

    catalog: SaveCatalog
    changes: SaveChanges
    urls: UrlSigner
    undelete_for: timedelta


@dataclass(frozen=True, slots=True)
class Services:
    """The services that requests need; one object per process."""

    version: str
    db: Database
    registry: Registry
    placements: Placements
    library: GameLibrary
    launches: LaunchRequests
    progress: Progress
    launch_feed: LaunchFeed
    machines: VmFeed
    alerts: AlertFeed
    operator_alerts: OperatorAlertFeed
    fleet: MachineService
    api_keys: ApiKeys
    images: ImageService
    pairings: PairingService
    playable: PlayableTimes
    saves: PlayerSaves
    rtt_probes: Sequence[RttProbe] = ()
    covers: Covers | None = None
    pace: Pace = field(default_factory=Pace)


class Context:
    """The context of one operation of one caller."""

    __slots__ = (
        "_rows",
        "audit_spans",
        "caller",
        "columns",
        "event_id",
        "event_key",
        "is_over",
        "loaders",
        "request_id",
        "resumes_after",
        "services",
    )

    def __init__(self, caller: Caller, services: Services, request_id: str) -> None:
        self.caller = caller
        self.services = services
        self.request_id = request_id
        self.resumes_after = 0  # the id of the last event that a resuming client has received
        self.event_id: int | None = None  # of the current event, if events are numbered
        # Names the current event for all followers of the same object; None if it has no name.
        self.event_key: tuple[str, str, int] | None = None
        self.is_over = False  # a resuming client has received all events
        self._rows = 0  # of reports, in the whole response
        self.audit_spans = 0  # audit log entries that were opened for changes
        self.columns: Columns = ALL
        self.loaders = Loaders(services.db, services.placements)

    def read_only(self, columns: Columns) -> None:
        """Read only these attributes of records: the operation changes nothing, and shows nothing else."""
        self.columns = columns
        self.loaders = Loaders(self.services.db, self.services.placements, columns)

    def count_rows(self, rows: int, path: tuple[str, ...]) -> None:
        """Count report rows of the whole response. Raise InvalidInputError when there are too many."""
        self._rows += rows
        if self._rows > _MAX_ROWS:
            raise InvalidInputError(f"a response may have at most {_MAX_ROWS} report rows: request less at once", path)

    def forget(self, *shown: object) -> None:
        """Discard what was loaded, except the given documents, which are shown as they are.

        Call it before and after a write, and for each event of a subscription, so that no part of the response is older
        than the write or the event.
        """
        self.loaders = Loaders(self.services.db, self.services.placements, self.columns)
        for document in shown:
            self.loaders.show(document)
