"""What the workflow and its activities hand each other: plain values, nothing live."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.messages import SiteFacts
from providers.base import Offer


@dataclass(frozen=True, slots=True)
class LaunchInput:
    """What starts a LaunchWorkflow. `patience` stretches every step's time limit; 1 is for real clouds."""

    launch_id: str
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place to try: the offer, where it is, and the reasons in words."""

    offer: Offer
    site: SiteFacts
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the launch will run: on the player's own machine `reuse_vm_id`, started first when it is `asleep`; else,
    or when that cannot be started, on the first of `candidates` that is free."""

    message: str
    candidates: tuple[Candidate, ...] = ()
    reuse_vm_id: str | None = None
    asleep: bool = False


@dataclass(frozen=True, slots=True)
class ImageRefresh:
    """Ask the registries for the digest of this image, or of all images of the catalog."""

    image: str | None = None


@dataclass(frozen=True, slots=True)
class StepInput:
    """A step of this launch on this VM."""

    launch_id: str
    vm_id: str
