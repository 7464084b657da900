"""Messages of the warm pool's workflows and of launches that take a machine from it."""

from __future__ import annotations

from dataclasses import dataclass

from providers.base import ProviderName


@dataclass(frozen=True, slots=True)
class PoolRound:
    """One round of the pool's planning."""

    deployment: str = ""


@dataclass(frozen=True, slots=True)
class PoolWork:
    """The machines that need a workflow: to be prepared, or to be released."""

    machine_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WarmMachineInput:
    """A machine of the pool."""

    machine_id: str


@dataclass(frozen=True, slots=True)
class TakeWarm:
    """A launch that may take the first of these machines that is ready."""

    launch_id: str
    machine_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenWarm:
    """The VM that the launch has got from the pool; None if it got none."""

    vm_id: str | None = None
    provider: ProviderName | None = None


def warm_workflow_id(machine_id: str) -> str:
    """Return the id under which Temporal runs this machine's workflow."""
    return f"warm-{machine_id}"
