"""What the Dockerfile says of its images, for tests that run the service as they do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCKERFILE = Path(__file__).parents[1] / "deploy" / "Dockerfile"


@dataclass(frozen=True)
class Image:
    """One stage. `text` has its instructions, each on one line."""

    text: str
    environment: dict[str, str]
    user: str

    @property
    def account(self) -> str:
        """The line of /etc/passwd that its `useradd` writes; empty when it makes none."""
        made = re.search(r"useradd --uid (\d+) --gid (\d+) .*--home-dir (\S+) --shell (\S+) (\S+)", self.text)
        return "" if made is None else "{4}:x:{0}:{1}::{2}:{3}\n".format(*made.groups())


def image_of(stage: str) -> Image:
    """Return the stage with this name."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    (found,) = (part for part in re.split(r"^(?=FROM )", text, flags=re.MULTILINE) if f" AS {stage}\n" in part)
    variables = [pair for line in re.findall(r"^ENV (.*)$", found, re.MULTILINE) for pair in line.split()]
    users = re.findall(r"^USER (\d\S*)$", found, re.MULTILINE)
    return Image(found, dict(pair.split("=", 1) for pair in variables), users[-1])
