"""The sweeper's memory between rounds: machines without a live record, and when it last read each cloud."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Model

from models.audit import Outcome
from providers.base import ProviderName


class OrphanMachine(Model):
    """A machine with our tag and no live record. It is spared for a while, because its record may be under way."""

    id: str = Field(primary_field=True)  # "<provider>:<machine>"
    provider: ProviderName
    machine_id: str
    tag: str
    first_seen: datetime
    predates: bool = False  # first seen when the sweeper first read this cloud, or soon after a gap
    held: bool = False  # held back by the brake until an operator decides, even if the others are gone
    started_at: datetime | None = None  # when an adoption requested its start
    told: Outcome | None = None  # the outcome of its deletion in the audit log

    model_config = {"collection": "strays"}


class Sweep(Model):
    """When a cloud was last swept. After a gap, the database may be a different one, or an old backup."""

    id: ProviderName = Field(primary_field=True)
    at: datetime
    since: datetime | None = None  # start of the time without gaps; None in documents of earlier versions

    model_config = {"collection": "sweeps"}
