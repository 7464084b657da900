"""The desk where launches are ordered and cancelled: validates, writes the Launch, hands it to the engine."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from models.catalog import ConsoleType
from models.launches import Launch
from placement.positions import Position
from providers.base import ProviderName


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """A wish as it came in, not yet validated beyond its types. `game_id` of None asks for a machine without a game."""

    caller_id: str
    user_id: str
    console: ConsoleType
    game_id: str | None
    near: Position | None = None
    save_id: str | None = None
    provider: ProviderName | None = None
    vm_id: str | None = None
    max_usd_per_hour: Decimal | None = None
    idle_stop_minutes: int | None = None
    max_session_hours: float | None = None
    idempotency_key: str | None = None


class Launches:
    async def request(self, order: LaunchOrder) -> Launch:
        """Raises a RefusedError whose `path` names the input field; UnavailableError when database or engine are away."""
        ...

    async def cancel(self, launch: Launch) -> Launch:
        """Ask for the end of a launch; returns it as CANCELLING. InvalidStateError when it has ended already."""
        ...
