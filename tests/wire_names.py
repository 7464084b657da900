"""Every name that another build, the database, Temporal or Prometheus knows us by, one a line.

`tests/wire_names.txt` is the committed list; `make wire-names` writes it again after a change on purpose.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import pymongo
from odmantic import EmbeddedModel, Model
from odmantic.index import ODMBaseIndex

from billing.price_refresh import REFRESH_PRICES
from billing.workflows import INTERVALS, schedule_name
from fleet.messages import launch_workflow_id, machine_workflow_id
from fleet.schedules import SWEEP
from fleet.spending_workflows import WATCH_SPENDING, alert_workflow_id
from fleet.warm_pool.messages import warm_workflow_id
from fleet.warm_pool.workflows import WARM_POOL
from launch.golden_images import BUILD_IMAGES
from launch.image_refresh import REFRESH_IMAGES
from launch.recovery import RESCUE
from launch.scheduled.workflow import START_SCHEDULED
from launch.versions import deployment_name
from models.registry import DOCUMENTS
from providers.base import ProviderName
from resolvers.record_metrics import RecordMetrics
from schema.execution.observer import Outcome
from tests.temporal_definitions import activities, messages, workflows
from web.metrics import Metrics

LIST: Final = Path(__file__).with_name("wire_names.txt")
_SCHEDULED: Final = (
    *(*INTERVALS, SWEEP, WATCH_SPENDING, RESCUE, REFRESH_PRICES, REFRESH_IMAGES, BUILD_IMAGES),
    *(WARM_POOL, START_SCHEDULED),
)


def wire_names() -> list[str]:
    """Return all names, sorted, each once."""
    return sorted({*_of_temporal(), *_of_the_database(), *_of_the_metrics()})


def _of_temporal() -> Iterator[str]:
    for each in workflows():
        yield f"temporal workflow {each.name}"
        for kind in ("signals", "updates", "queries"):
            yield from (f"temporal workflow {each.name} {kind} {name}" for name in getattr(each, kind))
    yield from (f"temporal activity {each.name}" for each in activities())
    for message in messages():
        for annotation in (*message.arguments, message.result):
            yield from (f"temporal word {word}" for word in _words(annotation))
    yield f"temporal worker deployment {deployment_name('task.queue')}"
    ids = [launch_workflow_id("<launch>"), machine_workflow_id("<vm>"), alert_workflow_id("<alert>")]
    ids += [warm_workflow_id("<machine>")]
    yield from (f"temporal workflow id {each}" for each in ids)
    yield from (f"temporal schedule {schedule_name(each, '<task queue>')}" for each in _SCHEDULED)


def _of_the_database() -> Iterator[str]:
    for model in DOCUMENTS:
        yield from (f"mongodb {model.__collection__} field {field}" for field in _fields(model))
        yield from (f"mongodb {model.__collection__} index {index}" for index in map(_index, model.__indexes__()))
        yield from (f"mongodb word {word}" for word in _words(model))


def _fields(model: type[Model] | type[EmbeddedModel], within: str = "") -> Iterator[str]:
    for field in model.__odm_fields__.values():
        yield f"{within}{field.key_name}"
        if embedded := getattr(field, "model", None):
            yield from _fields(embedded, f"{within}{field.key_name}.")


def _words(annotation: Any) -> Iterator[str]:
    """Yield the words of enumerations in it, which travel or are stored."""
    for part in get_args(annotation):
        yield from _words(part)
    if not isinstance(annotation, type):
        return
    if issubclass(annotation, Enum):
        yield from (f"{annotation.__name__} {word.value}" for word in annotation)
    elif is_dataclass(annotation) or issubclass(annotation, Model | EmbeddedModel):
        for hint in get_type_hints(annotation).values():
            yield from _words(hint)


def _index(index: ODMBaseIndex | pymongo.IndexModel) -> str:
    document = dict((index.get_pymongo_index() if isinstance(index, ODMBaseIndex) else index).document)
    keys = ",".join(f"{key}:{order}" for key, order in document.pop("key").items())
    return " ".join([document.pop("name"), keys, *(f"{name}={value}" for name, value in sorted(document.items()))])


def _of_the_metrics() -> Iterator[str]:
    for family in _used().registry.collect():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if family.name.startswith("gamer_"):
            yield " ".join(["metric", family.type, family.name, *sorted(labels)])


def _used() -> Metrics:
    """Return metrics that counted one of each: labels show only then."""
    metrics = Metrics("1")
    metrics.answered(None, next(iter(Outcome)), 1)
    metrics.http_answered(200)
    metrics.provider_called(ProviderName.TENSORDOCK, "list", "ok", 1)
    metrics.database_failed("TRANSIENT", "NotWritablePrimary")
    metrics.activity_failed("tell", "UnavailableError")
    with metrics.following(None):
        pass
    metrics.text(
        RecordMetrics(
            machines={("provider", "status"): 1},
            launches={("status",): 1},
            step_seconds={("provider", "step"): [1.0]},
            audit={("action", "outcome"): 1},
            usd_this_month={("provider",): Decimal(1)},
        )
    )
    return metrics


def changed_indexes(committed: Iterable[str], now: Iterable[str]) -> list[str]:
    """Return the indexes, each with its collection, that changed under their names."""
    before, after = ({_name_of(line): line for line in lines if " index " in line} for lines in (committed, now))
    return sorted(name for name in before.keys() & after.keys() if before[name] != after[name])


def _name_of(index: str) -> str:
    """Return what is before the keys."""
    return " ".join(index.split(" ")[:4])


if __name__ == "__main__":
    names = wire_names()
    if changed := changed_indexes(LIST.read_text().splitlines(), names):
        sys.exit(f"changed under its name: {', '.join(changed)}; give it a new name, and retire the old one later")
    LIST.write_text("\n".join(names) + "\n")
