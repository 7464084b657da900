"""Names of our machines at the clouds: `gamer-<deployment>-<18 digits>`.

The deployment in the name lets two installations share one account. A name has at most 37 characters, and lodash's
kebabCase leaves it unchanged. With CloudyPad's prefix and suffix (`cloudypad-…-network`) it fits the 63 characters of a
Google resource name, and TensorDock allows no less. Versions before 0.2 wrote `gamer-<18 digits>`, which does not name
the deployment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from providers.base import Tag

PREFIX: Final = "gamer-"
DEPLOYMENT: Final = "[a-z]+(?:-(?:[a-z]+|[0-9]+))*"
ANY_TAG: Final = rf"{PREFIX}(?:{DEPLOYMENT}-)?[0-9]{{18}}"  # without capturing groups, valid in RE2 too
_TAG: Final = re.compile(rf"{PREFIX}(?:({DEPLOYMENT})-)?([0-9]{{18}})")


@dataclass(frozen=True, slots=True)
class TagParts:
    """Parts of a tag. `deployment` is None in names from versions before 0.2."""

    deployment: str | None
    vm_id: str


def tag_of(deployment: str, vm_id: str) -> Tag:
    """Return the name of a VM's machine at its cloud."""
    return Tag(f"{PREFIX}{deployment}-{vm_id}")


def belongs_to(name: str, deployment: str) -> bool:
    """Return whether a machine's name allows this deployment to touch the machine. Names of former versions do."""
    parts = parse_tag(name)
    return parts is not None and parts.deployment in {None, deployment}


def parse_tag(name: str) -> TagParts | None:
    """Return the parts of a machine's name, or None if this service did not create the name."""
    found = _TAG.fullmatch(name)
    return None if found is None else TagParts(found[1], found[2])
