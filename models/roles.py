"""The three roles. They are defined here because documents record them; other code imports them from auth."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    PLAYER = "PLAYER"  # reads and changes only its own objects
    OPERATOR = "OPERATOR"  # sees everything, configures the platform
    SERVICE = "SERVICE"  # a program that acts for players
