"""All Temporal definitions of the service, found in its packages, and the messages that they exchange."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from temporalio import activity, workflow

import billing
import fleet
import launch


@dataclass(frozen=True)
class Message:
    """What an activity, workflow or handler is called with and answers; `handler` is a method."""

    name: str  # on the wire
    handler: Callable[..., Any]
    arguments: list[type]
    result: type | None


def classes_of(*packages: ModuleType) -> Iterator[type]:
    """Yield every class that is defined in the packages' modules."""
    for package in packages:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for _, each in inspect.getmembers(import_module(found.name), inspect.isclass):
                if each.__module__ == found.name:
                    yield each


def workflows() -> Iterator[workflow._Definition]:
    for each in classes_of(launch, fleet, billing):
        if definition := workflow._Definition.from_class(each):
            yield definition


def activities() -> Iterator[activity._Definition]:
    for each in classes_of(launch, fleet, billing):
        for _, method in inspect.getmembers(each, inspect.isfunction):
            if definition := activity._Definition.from_callable(method):
                yield definition


def messages() -> Iterator[Message]:
    for activity_ in activities():
        yield Message(f"activity {activity_.name}", activity_.fn, activity_.arg_types or [], activity_.ret_type)
    for each in workflows():
        yield Message(f"workflow {each.name}", each.run_fn, each.arg_types or [], each.ret_type)
        for name, update in each.updates.items():
            yield Message(f"update {each.name}.{name}", update.fn, update.arg_types or [], update.ret_type)
        for name, signal in each.signals.items():
            yield Message(f"signal {each.name}.{name}", signal.fn, signal.arg_types or [], None)
