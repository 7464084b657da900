"""What travels between workflows and the activities of the fleet: plain values, nothing live."""

from __future__ import annotations

from dataclasses import dataclass

from models.catalog import ConsoleType, PresetName
from providers.base import Offer


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Where an offer stands, as it will be written on the VM."""

    city: str
    region: str
    country: str
    country_code: str | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class RentOrder:
    """Rent this offer for this launch as the VM `vm_id`; repeated with another offer only when nothing was rented."""

    vm_id: str
    launch_id: str
    user_id: str
    console: ConsoleType
    preset: PresetName
    game_id: str | None
    offer: Offer
    site: SiteFacts
    idle_stop_minutes: int
    max_session_hours: float


@dataclass(frozen=True, slots=True)
class Done:
    """A step's work is done; `message` says so to the player."""

    message: str


@dataclass(frozen=True, slots=True)
class Released:
    """`gone` is the cloud's word that nothing is left; False leaves the VM LOST, for the sweeper."""

    gone: bool
    message: str
