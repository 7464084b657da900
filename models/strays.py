"""Machines that carry our tag and have no live record: seen, not yet acted on."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Model

from models.audit import Outcome
from providers.base import ProviderName


class Stray(Model):
    """First seen then. It is spared for a while: its record may be on the way."""

    id: str = Field(primary_field=True)  # "<provider>:<machine>"
    provider: ProviderName
    machine_id: str
    tag: str
    first_seen: datetime
    told: Outcome | None = None  # what the audit trail says of its deletion

    model_config = {"collection": "strays"}
