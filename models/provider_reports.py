"""Health of clouds as workers report it: one document per worker and cloud, valid until it expires."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Index, Model

from providers.base import ProviderName


class ProviderReport(Model):
    """A report. `detail` is for people and has no credential. After `expires_at` the worker counts as gone."""

    id: str = Field(primary_field=True)  # "<provider>:<worker>"
    provider: ProviderName
    healthy: bool
    detail: str | None = None
    at: datetime
    expires_at: datetime

    model_config = {
        "collection": "provider_reports",
        "indexes": lambda: [Index(ProviderReport.provider, ProviderReport.expires_at, name="reports_of_provider")],
    }
