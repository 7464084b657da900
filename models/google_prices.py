"""Google's list prices as the Cloud Billing Catalog told them last."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Model


class GoogleRegionPrices(Model):
    """USD by part ("vcpu:n1-standard", "gpu:nvidia-l4", "spot:gpu:nvidia-l4", ...), as decimal text: ODMantic encodes
    no Decimal in a dict. What the catalog did not tell clearly is absent."""

    id: str = Field(primary_field=True)  # the region
    usd: dict[str, str]
    at: datetime

    model_config = {"collection": "google_prices"}
