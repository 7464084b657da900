"""Metrics for Prometheus: counters of this process, and figures from the records.

Labels are our own words: names of trusted documents, clouds and their operations, statuses. They never contain ids or
text from callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from providers.base import ProviderName
from resolvers.record_metrics import Labels, RecordMetrics
from schema.execution.observer import Outcome

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
OTHER: Final = "other"  # any operation that is not a trusted document
_ANSWER_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CALL_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1200)
_PERCENTILES: Final = (50, 95)


class Metrics:
    """One object per process, with its own registry. Implements schema.execution.observer.OperationObserver."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._gauge("gamer_build", "Always 1; the label says what runs.", "version").labels(version).set(1)
        self._operations = self._counter(
            "gamer_operations", "GraphQL operations, over HTTP, WebSocket and REST.", "operation", "outcome"
        )
        self._operation_s = self._histogram(
            "gamer_operation_seconds", "How long they took; of a subscription, its beginning.", _ANSWER_S, "operation"
        )
        self._unplanned = self._counter(
            "gamer_unplanned_executions",
            "Operations, or single values of them, that graphql-core executed instead of a compiled plan.",
            "reason",
        )
        self._following = self._gauge("gamer_subscriptions", "Subscriptions that go on now.", "operation")
        self._sockets = self._gauge("gamer_websockets", "WebSockets that are open now.")
        self._writable = self._gauge("gamer_database_writable", "Whether the database takes writes of this process.")
        self._answers = self._counter("gamer_http_answers", "HTTP answers by their status.", "status")
        self._calls = self._counter(
            "gamer_provider_calls", "Calls to clouds by how they ended.", "provider", "operation", "outcome"
        )
        self._call_s = self._histogram(
            "gamer_provider_call_seconds",
            "How long they took; those answered from memory are among them.",
            _CALL_S,
            *("provider", "operation"),
        )
        self._database_errors = self._counter(
            "gamer_database_errors", "Errors that the database answered, by what ends them.", "kind", "error"
        )
        self._activity_failures = self._counter(
            "gamer_activity_failures", "Attempts of activities that failed.", "activity", "error"
        )
        self._records = _Records()
        self.registry.register(self._records)

    def text(self, figures: RecordMetrics | None) -> bytes:
        """Return all metrics in Prometheus' text format; without `figures`, those of the records are absent."""
        self._records.figures = figures
        return generate_latest(self.registry)

    def answered(self, document: str | None, outcome: Outcome, seconds: float) -> None:
        self._operations.labels(document or OTHER, outcome.value).inc()
        self._operation_s.labels(document or OTHER).observe(seconds)

    def following(self, document: str | None) -> AbstractContextManager[None]:
        return self._following.labels(document or OTHER).track_inprogress()

    def executed_by_graphql_core(self, reason: str) -> None:
        self._unplanned.labels(reason).inc()

    def database_takes_writes(self, writable: bool) -> None:
        self._writable.set(int(writable))

    def http_answered(self, status: int) -> None:
        self._answers.labels(str(status)).inc()

    def provider_called(self, provider: ProviderName, operation: str, outcome: str, seconds: float) -> None:
        self._calls.labels(provider.value, operation, outcome).inc()
        self._call_s.labels(provider.value, operation).observe(seconds)

    def database_failed(self, kind: str, error: str) -> None:
        self._database_errors.labels(kind, error).inc()

    def activity_failed(self, activity: str, error: str) -> None:
        self._activity_failures.labels(activity, error).inc()

    def sockets_are(self, count: Callable[[], int]) -> None:
        """Set the function that returns the number of open sockets whenever metrics are read."""
        self._sockets.set_function(count)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self.registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(name, words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, words, labels, registry=self.registry, buckets=buckets)


class _Records(Collector):
    figures: RecordMetrics | None = None

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering the collector must not read the records."""
        return ()

    def collect(self) -> Iterator[Metric]:
        figures = self.figures
        yield GaugeMetricFamily(
            "gamer_records_readable", "Whether the database answers.", value=int(figures is not None)
        )
        if figures is None:
            return
        yield _family("gamer_machines", "Machines that have not ended.", ("provider", "status"), figures.machines)
        yield _family(
            "gamer_launches", "Launches of the last 24 hours, and all that are open.", ("status",), figures.launches
        )
        yield _family(
            "gamer_launch_step_seconds",
            "How long steps took in the latest launches that became ready.",
            ("provider", "step", "percentile"),
            dict(_percentiles(figures.step_seconds)),
        )
        yield _family(
            "gamer_audit_entries",
            "Entries of the audit log in the last 24 hours: changes, denials, sweeps, automatic stops.",
            ("action", "outcome"),
            figures.audit,
        )
        yield _family("gamer_operator_alerts", "Open alerts for operators.", ("code", "level"), figures.operator_alerts)
        spent = {labels: float(usd) for labels, usd in figures.usd_this_month.items()}
        yield _family("gamer_spent_usd", "What the running month has cost, by our meter.", ("provider",), spent)


def _family(name: str, words: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for of, value in sorted(values.items()):
        family.add_metric(of, value)
    return family


def _percentiles(seconds: Mapping[Labels, list[float]]) -> Iterator[tuple[Labels, float]]:
    for labels, taken in seconds.items():
        for percentile in _PERCENTILES:
            yield (*labels, str(percentile)), taken[len(taken) * percentile // 100]
