"""What every resolver is handed: who asks, the parts of the service, and loaders that live as long as one answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from auth.api_keys import ApiKeys
from auth.callers import Caller
from billing.alerts import AlertFeed
from billing.operator_alerts import OperatorAlertFeed
from errors import InvalidInputError
from fleet.service import MachineService
from fleet.vm_feed import VmFeed
from launch.service import LaunchOrder
from models.catalog import ConsoleType
from models.database import Database
from models.launches import Launch, LaunchEvent
from placement.ranking import Placements
from providers.registry import Registry
from resolvers.loaders import Loaders
from resolvers.pace import Pace

_MOST_ROWS: Final = 100_000

if TYPE_CHECKING:
    from streaming.library import Game, SkippedFiles


class LaunchDesk(Protocol):
    """Where launches are ordered and cancelled. launch.service.LaunchService is one."""

    async def request(self, order: LaunchOrder) -> Launch: ...

    async def cancel(self, launch: Launch) -> Launch: ...


class GameLibrary(Protocol):
    """The games there are. streaming.library.Library knows them."""

    async def games(self, console: ConsoleType | None) -> list[Game]: ...

    async def find(self, console: ConsoleType, game_id: str) -> Game | None: ...

    async def skipped(self, console: ConsoleType | None) -> list[SkippedFiles]: ...


class Progress(Protocol):
    """The story of a launch. launch.feed.ProgressFeed tells it."""

    def follow(self, launch_id: str, after: int = 0) -> AsyncGenerator[LaunchEvent, None]: ...


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that requests need; one object per process."""

    version: str
    db: Database
    registry: Registry
    placements: Placements
    library: GameLibrary
    launches: LaunchDesk
    progress: Progress
    machines: VmFeed
    alerts: AlertFeed
    operator_alerts: OperatorAlertFeed
    fleet: MachineService
    api_keys: ApiKeys
    pace: Pace = field(default_factory=Pace)


class Context:
    """One operation of one caller."""

    __slots__ = (
        "_rows",
        "accounts",
        "caller",
        "event_id",
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
        self.resumes_after = 0  # the id of the last event that a resumed stream has had
        self.event_id: int | None = None  # of the event that is being answered, where events are numbered
        self.is_over = False  # a resumed stream has had all of its events
        self._rows = 0  # of reports
        self.accounts = 0  # entries of the audit trail that tell how something ended
        self.loaders = Loaders(services.db, services.placements)

    def hold(self, rows: int, path: tuple[str, ...]) -> None:
        """Count rows of a report among those of the whole answer. InvalidInputError when they are too many."""
        self._rows += rows
        if self._rows > _MOST_ROWS:
            raise InvalidInputError(f"an answer holds at most {_MOST_ROWS} rows of reports: ask for less at once", path)

    def forget(self, *shown: object) -> None:
        """Load everything again, except the documents given, which are shown as they are.

        Called before and after a write, and for each event of a subscription, so that no part of an answer is older
        than the write or the event.
        """
        self.loaders = Loaders(self.services.db, self.services.placements)
        for document in shown:
            self.loaders.show(document)
