"""Google's list prices as last read from the Cloud Billing Catalog."""

from __future__ import annotations

from datetime import datetime

from odmantic import Field, Model


class GoogleRegionPrices(Model):
    """Prices of a region in USD by part ("vcpu:n1-standard", "gpu:nvidia-l4", "spot:gpu:nvidia-l4", ...).

    They are decimal text, because ODMantic encodes no Decimal in a dict. Prices that the catalog does not state clearly
    are absent.
    """

    id: str = Field(primary_field=True)  # the region
    usd: dict[str, str]
    at: datetime

    model_config = {"collection": "google_prices"}
