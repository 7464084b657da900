"""Everything that `/metrics` can show, as it shows it."""

from __future__ import annotations

from decimal import Decimal

from prometheus_client.parser import text_string_to_metric_families

from providers.base import ProviderName
from resolvers.record_metrics import RecordMetrics
from schema.execution.observer import Outcome
from web.metrics import Metrics


def shown_metrics() -> str:
    """The text of a process that has counted one of each."""
    metrics = Metrics("1.2.3")
    metrics.answered("Vms", Outcome.OK, 0.1)
    metrics.http_answered(200)
    metrics.provider_called(ProviderName.TENSORDOCK, "rent", "ok", 1.0)
    metrics.database_failed("OPERATOR", "AtlasError")
    metrics.activity_failed("tell", "UnavailableError")
    metrics.executed_by_graphql_core("introspection")
    figures = RecordMetrics(
        machines={("TENSORDOCK", "RUNNING"): 1},
        launches={("READY",): 1},
        step_seconds={("TENSORDOCK", "BOOT"): [1.0]},
        audit={("stopVm", "DONE"): 1},
        usd_this_month={("TENSORDOCK",): Decimal(1)},
        operator_alerts={("BALANCE_LOW", "WARNING"): 1},
    )
    with metrics.following("VmStatus"):
        return metrics.text(figures).decode()


def labels_of_metrics() -> dict[str, set[str]]:
    """The labels of each name that a query can use: a histogram has `_bucket`, `_sum` and `_count`."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(shown_metrics()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found
