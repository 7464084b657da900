"""The two ages of Wolf's interface."""

from __future__ import annotations

from enum import StrEnum


class WolfShape(StrEnum):
    """The older one sends ids as numbers, has fewer paths, and keeps its socket inside its container."""

    Y2024 = "2024"
    NEWER = "newer"
