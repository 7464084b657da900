"""The rule for names: a name is valid when lodash's `kebabCase` leaves it as it is."""

from __future__ import annotations

import re

# Letters and digits are words of their own there: `vm1` becomes `vm-1`.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def kebab_case(name: str) -> str:
    return "-".join(WORD.findall(name)).lower()


def is_right(name: str) -> bool:
    return bool(name) and name == kebab_case(name)
