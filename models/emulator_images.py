"""Which image each tag of the catalog stood for when its registry was last asked."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Model


class EmulatorImage(Model):
    """An image by the name that the catalog gives it. Launches use `digest` until a refresh finds another one."""

    id: str = Field(primary_field=True)  # the name, with its tag
    digest: str | None = None
    resolved_at: datetime | None = None  # when the digest was found to be this one first
    checked_at: datetime | None = None  # when the registry was last asked
    problem: str | None = None  # why it gave no answer then

    model_config = {"collection": "emulator_images"}
