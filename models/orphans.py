"""What the sweeper remembers from round to round: machines without a live record, and when it saw each cloud last."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Model

from models.audit import Outcome
from providers.base import ProviderName


class OrphanMachine(Model):
    """A machine that carries our tag and has no live record. It is spared for a while: its record may be on the way."""

    id: str = Field(primary_field=True)  # "<provider>:<machine>"
    provider: ProviderName
    machine_id: str
    tag: str
    first_seen: datetime
    predates: bool = False  # it turned up when the sweeper saw this cloud for the first time, or soon after a gap
    held: bool = False  # the brake has caught it: it waits for an operator, also when the others are gone
    started_at: datetime | None = None  # an adoption asked its cloud then to turn it on
    told: Outcome | None = None  # what the audit trail says of its deletion

    model_config = {"collection": "strays"}


class Sweep(Model):
    """When a cloud was swept last. After a gap, the database may be another one, or as it was last night."""

    id: ProviderName = Field(primary_field=True)
    at: datetime
    since: datetime | None = None  # no gap was found after that; unknown in what earlier versions wrote

    model_config = {"collection": "sweeps"}
