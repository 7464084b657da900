"""Messages between the launch workflow and its activities: plain values only."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.messages import SentAsArguments, SiteFacts
from providers.base import Offer


@dataclass(frozen=True, slots=True)
class LaunchInput:
    """Input of a LaunchWorkflow. `patience` scales every step's time limit; 1 is for real clouds."""

    launch_id: str
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A placement to try: the offer, its location, and the reasons in words."""

    offer: Offer
    site: SiteFacts
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the launch will run.

    Either on the player's own machine `reuse_vm_id`, which is started first if it is `asleep`; or else, or if it cannot
    be started, on the first available one of `candidates`. Before these, a machine of the warm pool is used if one of
    `warm` is still ready.
    """

    message: str
    candidates: tuple[Candidate, ...] = ()
    reuse_vm_id: str | None = None
    asleep: bool = False
    warm: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageRefresh:
    """Ask the registries for the digest of this image, or of all images of the catalog."""

    image: str | None = None


@dataclass(frozen=True, slots=True)
class StepInput:
    """Input of a step of this launch on this VM."""

    launch_id: str
    vm_id: str


@dataclass(frozen=True, slots=True)
class OrderInput(SentAsArguments):
    """Prepare the order of this candidate for the step's launch and VM."""

    step: StepInput
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class FullOffer(SentAsArguments):
    """A candidate whose site had no machine available, with the cloud's reason."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True, slots=True)
class ProgressLine(SentAsArguments):
    """A line from an activity of an earlier build, which does not name the activity."""

    line: str
