"""Messages of the workflow that starts scheduled launches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartRound:
    """One round of starting what is due."""

    deployment: str = ""
