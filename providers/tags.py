"""The names of our machines at the clouds: `gamer-<deployment>-<18 digits>`, so that two installations on one account
tell theirs apart.

A name is at most 37 characters long and lodash's kebabCase leaves it as it is. With what CloudyPad puts around it
(`cloudypad-…-network`) it fits the 63 characters of a Google resource, and TensorDock's names are not shorter.
Versions before 0.2 wrote `gamer-<18 digits>`; those names say nothing of the deployment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from providers.base import Tag

PREFIX: Final = "gamer-"
DEPLOYMENT: Final = "[a-z]+(?:-(?:[a-z]+|[0-9]+))*"
ANY_TAG: Final = rf"{PREFIX}(?:{DEPLOYMENT}-)?[0-9]{{18}}"  # without groups that capture, in RE2's syntax too
_TAG: Final = re.compile(rf"{PREFIX}(?:({DEPLOYMENT})-)?([0-9]{{18}})")


@dataclass(frozen=True, slots=True)
class TagParts:
    """`deployment` is None in names of former versions."""

    deployment: str | None
    vm_id: str


def tag_of(deployment: str, vm_id: str) -> Tag:
    """Return the name of a VM's machine at its cloud."""
    return Tag(f"{PREFIX}{deployment}-{vm_id}")


def parse_tag(name: str) -> TagParts | None:
    """Return what a machine's name says; None when no installation of ours gave it."""
    found = _TAG.fullmatch(name)
    return None if found is None else TagParts(found[1], found[2])
