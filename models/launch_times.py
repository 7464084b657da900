"""How long launches took until the game could be started, one record for each that became READY."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from odmantic import EmbeddedModel, Field, Index, Model

from models.catalog import PresetName
from providers.base import ProviderName


class PlayableBasis(StrEnum):
    SITE = "SITE"  # our own launches at this site
    PROVIDER = "PROVIDER"  # our own launches at this provider
    PUBLIC_FIGURES = "PUBLIC_FIGURES"  # what others have published: too few launches of our own


class PlayablePromise(EmbeddedModel):
    """What a player sees before a launch: the seconds from the request until the game can be started."""

    p50_seconds: float
    p90_seconds: float
    samples: int  # of our own launches, also where they were too few to count
    basis: PlayableBasis
    warm: bool  # on a machine that is there already


class LaunchTime(Model):
    """A launch that became READY, and what was promised for it."""

    id: str = Field(primary_field=True)  # of the launch
    provider: ProviderName
    site_id: str
    preset: PresetName
    warm: bool
    seconds: float
    ready_at: datetime
    promised_p90_seconds: float | None = None

    model_config = {
        "collection": "launch_times",
        "indexes": lambda: [Index(LaunchTime.ready_at, name="launch_times_by_age")],
    }
