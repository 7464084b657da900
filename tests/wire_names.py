"""Every name that another build, the database, Temporal or Prometheus knows us by, one a line.

`tests/wire_names.txt` is the committed list; `make wire-names` writes it again after a change on purpose.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

import pymongo
from odmantic import EmbeddedModel, Model
from odmantic.index import ODMBaseIndex
from temporalio import activity, workflow

import billing
import fleet
import launch
from billing.price_refreshing import REFRESH_PRICES
from billing.schedules import INTERVALS, schedule_name
from fleet.commands import machine_workflow_id
from fleet.schedules import SWEEP
from fleet.spending_workflows import WATCH_SPENDING, alert_workflow_id
from launch.stranded import RESCUE
from launch.temporal import workflow_id
from models.everything import DOCUMENTS
from providers.base import ProviderName
from resolvers.census import Census
from schema.listening import Outcome
from web.metrics import Metrics

LIST: Final = Path(__file__).with_name("wire_names.txt")
_SCHEDULED: Final = (*INTERVALS, SWEEP, WATCH_SPENDING, RESCUE, REFRESH_PRICES)


def wire_names() -> list[str]:
    """Return all names, sorted, each once."""
    return sorted({*_of_temporal(), *_of_the_database(), *_of_the_metrics()})


def classes_of(*packages: ModuleType) -> Iterator[type]:
    """Yield every class that is defined in the packages' modules."""
    for package in packages:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = import_module(found.name)
            yield from (
                each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == found.name
            )


def _of_temporal() -> Iterator[str]:
    for each in classes_of(launch, fleet, billing):
        if definition := workflow._Definition.from_class(each):
            yield f"temporal workflow {definition.name}"
            for kind in ("signals", "updates", "queries"):
                yield from (f"temporal workflow {definition.name} {kind} {name}" for name in getattr(definition, kind))
        for _, method in inspect.getmembers(each, inspect.isfunction):
            if found := activity._Definition.from_callable(method):
                yield f"temporal activity {found.name}"
    ids = (workflow_id("<launch>"), machine_workflow_id("<vm>"), alert_workflow_id("<alert>"))
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


def _words(model: type[Model] | type[EmbeddedModel]) -> Iterator[str]:
    """Yield the stored values of enumerations."""
    for field in model.model_fields.values():
        for kind in _parts(field.annotation):
            if issubclass(kind, Enum):
                yield from (f"{kind.__name__} {word.value}" for word in kind)
            elif issubclass(kind, EmbeddedModel):
                yield from _words(kind)


def _parts(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


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
    with metrics.following(None):
        pass
    metrics.text(
        Census(
            machines={("provider", "status"): 1},
            launches={("status",): 1},
            step_seconds={("provider", "step"): [1.0]},
            audit={("action", "outcome"): 1},
            usd_this_month={("provider",): Decimal(1)},
        )
    )
    return metrics


if __name__ == "__main__":
    LIST.write_text("\n".join(wire_names()) + "\n")
