"""Charges as the providers report them: samples of a prepaid balance, and amounts by hour."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from odmantic import Field, Index, Model

from providers.base import ProviderName


class BalanceSample(Model):
    """The balance of a prepaid account at one moment."""

    id: str = Field(primary_field=True)  # "<provider>:<moment>"
    provider: ProviderName
    at: datetime
    usd: Decimal

    model_config = {
        "collection": "balance_samples",
        "indexes": lambda: [Index(BalanceSample.provider, BalanceSample.at, name="samples_of_provider")],
    }


class BilledAmount(Model):
    """The charge for one hour: of one VM where the provider attributes it, else of the whole account."""

    id: str = Field(primary_field=True)  # "<provider>:<hour>:<vm or nothing>"
    provider: ProviderName
    at: datetime  # the hour's beginning
    usd: Decimal
    vm_id: str | None = None
    user_id: str | None = None
    console: str | None = None

    model_config = {
        "collection": "billed_amounts",
        "indexes": lambda: [
            Index(BilledAmount.provider, BilledAmount.at, name="billed_by_provider"),
            Index(BilledAmount.user_id, BilledAmount.at, name="billed_to_user"),
            Index(BilledAmount.at, name="billed_by_hour"),
        ],
    }


class BilledState(Model):
    """The time up to which a provider has reported charges."""

    id: ProviderName = Field(primary_field=True)
    as_of: datetime

    model_config = {"collection": "billed_states"}
