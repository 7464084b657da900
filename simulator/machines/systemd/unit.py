"""Unit files."""

from __future__ import annotations

import re
from dataclasses import dataclass

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """`entries` are (section, key, value) in their order."""

    name: str
    path: str
    entries: tuple[tuple[str, str, str], ...]

    @classmethod
    def parse(cls, name: str, path: str, text: str) -> Unit:
        entries: list[tuple[str, str, str]] = []
        section = ""
        for line in map(str.strip, re.sub(r"\\\n\s*", " ", text).splitlines()):
            if line.startswith("["):
                section = line.strip("[]")
            elif line and line[0] not in "#;" and "=" in line:
                key, _, value = line.partition("=")
                entries.append((section, key.strip(), value.strip()))
        return cls(name, path, tuple(entries))

    def every(self, section: str, key: str) -> list[str]:
        """All values of a key; an empty one takes back those before it."""
        values: list[str] = []
        for found_section, found_key, value in self.entries:
            if (found_section, found_key) == (section, key):
                values = [*values, value] if value else []
        return values

    def get(self, section: str, key: str, default: str = "") -> str:
        return (self.every(section, key) or [default])[-1]

    def says_yes(self, section: str, key: str) -> bool:
        return self.get(section, key).lower() in ("yes", "true", "1", "on")

    def wanted_by(self) -> list[str]:
        return [one for value in self.every("Install", "WantedBy") for one in value.split()]

    def needs(self) -> list[str]:
        keys = ("Requires", "Wants", "BindsTo")
        return [one for key in keys for value in self.every("Unit", key) for one in value.split()]


def span_s(text: str) -> float:
    """A time span such as `5min`, `1h 30m` or `90`, in seconds."""
    found = SPAN.findall(text.strip())
    if not found or any(unit not in SECONDS for _, unit in found):
        raise ValueError(text)
    return sum(float(number) * SECONDS[unit] for number, unit in found)
