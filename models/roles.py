"""The three roles. They stand here because documents record them; the rest of the service takes them from auth."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    PLAYER = "PLAYER"  # sees and touches only what is its own
    OPERATOR = "OPERATOR"  # sees everything, configures the platform
    SERVICE = "SERVICE"  # another program that acts for players
