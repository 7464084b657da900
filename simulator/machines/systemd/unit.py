"""Unit files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.machines.command import NotSimulatedError

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
}
SIMULATED: Mapping[str, tuple[str, ...]] = {
    "Unit": ("Description", "After", "Wants", "Requires"),
    "Service": (
        *("Type", "EnvironmentFile", "ExecStartPre", "ExecStart", "ExecStop", "Restart", "RestartSec"),
        *("TimeoutStartSec", "RuntimeDirectory"),
        *("NoNewPrivileges", "ProtectHome", "ProtectSystem", "MemoryMax", "TasksMax", "Nice"),  # without effect here
    ),
    "Timer": ("OnActiveSec", "OnBootSec", "OnCalendar", "OnUnitActiveSec", "AccuracySec"),
    "Install": ("WantedBy",),
}
TYPES = ("simple", "oneshot", "notify")


@dataclass(frozen=True, slots=True)
class Unit:
    """`entries` are (section, key, value) in their order."""

    name: str
    path: str
    entries: tuple[tuple[str, str, str], ...]

    @classmethod
    def parse(cls, name: str, path: str, text: str) -> Unit:
        """Parse a file. Raises NotSimulatedError for a key or a type of service that is not simulated."""
        entries: list[tuple[str, str, str]] = []
        section = ""
        for line in map(str.strip, re.sub(r"\\\n\s*", " ", text).splitlines()):
            if line.startswith("["):
                section = line.strip("[]")
            elif line and line[0] not in "#;":
                key, _, value = line.partition("=")
                entry = (section, key.strip(), value.strip())
                if entry[1] not in SIMULATED.get(section, ()) or (entry[1] == "Type" and entry[2] not in TYPES):
                    raise NotSimulatedError(f"{name}: {line}")
                entries.append(entry)
        return cls(name, path, tuple(entries))

    def every(self, section: str, key: str) -> list[str]:
        """Return all values of a key; an empty one takes back those before it."""
        values: list[str] = []
        for found_section, found_key, value in self.entries:
            if (found_section, found_key) == (section, key):
                values = [*values, value] if value else []
        return values

    def get(self, section: str, key: str, default: str = "") -> str:
        return (self.every(section, key) or [default])[-1]

    def wanted_by(self) -> list[str]:
        return [one for value in self.every("Install", "WantedBy") for one in value.split()]

    def needs(self) -> list[str]:
        values = self.every("Unit", "Requires") + self.every("Unit", "Wants")
        return [one for value in values for one in value.split()]


def span_s(text: str) -> float:
    """Return the seconds of a time span such as `5min`, `1h 30m` or `90`. Raises ValueError."""
    found = SPAN.findall(text.strip())
    if not found or any(unit not in SECONDS for _, unit in found):
        raise ValueError(f"no time span: {text!r}")
    return sum(float(number) * SECONDS[unit] for number, unit in found)
