"""Container images on a machine: pulled by us over its container engine, before a player needs them.

Wolf itself pulls an app's image at the player's first start, behind a black screen. What is on the machine already it
finds under the name that its configuration gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from errors import ProviderBusyError, ProviderRefusedError
from providers.base import ProgressCallback
from streaming.name_checks import checked_image
from streaming.ssh import CommandFailedError, Shell

_PULL_S: Final = 1200
_ENGINE: Final = ("env", "LC_ALL=C", "docker")
_LAYER: Final = re.compile(r"([0-9a-f]{12}): (Pulling fs layer|Pull complete|Already exists)")
_UNKNOWN: Final = ("manifest unknown", "name unknown", "repository does not exist", "denied")
_TOO_MANY: Final = "toomanyrequests"
_TOO_MANY_WAIT_S: Final = 60.0


async def has_image(shell: Shell, image: str) -> bool:
    """Return whether the image is on the machine. Raises ProviderBusyError when no container engine answers there."""
    try:
        await shell.sudo(*_ENGINE, "image", "inspect", "--format", "{{.Id}}", checked_image(image))
    except CommandFailedError as error:
        if "no such image" in error.answer.complaint.lower():
            return False
        raise
    return True


async def pull_image(shell: Shell, image: str, tell: ProgressCallback) -> bool:
    """Have the image on the machine; returns whether it had to be fetched. May be repeated: layers that arrived stay.

    Raises ProviderRefusedError when its registry does not know the image or wants a log-in, ProviderBusyError for
    everything that may pass: an engine that is not there yet, a registry that does not answer or limits us.
    """
    if await has_image(shell, image):
        return False
    tell("Fetching the emulator")
    layers = _LayerCount(tell)
    try:
        await shell.sudo(*_ENGINE, "pull", checked_image(image), timeout_s=_PULL_S, each_line=layers.read)
    except CommandFailedError as error:
        raise _translated(image, error) from error
    return True


def _translated(image: str, error: CommandFailedError) -> Exception:
    said = (error.answer.stderr + error.answer.stdout).decode(errors="replace").lower()
    if any(words in said for words in _UNKNOWN):
        return ProviderRefusedError(f"the emulator's image {image} is not at its registry, or needs a log-in there")
    if _TOO_MANY in said:
        return ProviderBusyError("the image's registry allows no more pulls for now", retry_after_s=_TOO_MANY_WAIT_S)
    return error


class _LayerCount:
    """Counts the layers that `docker pull` names when its output is no terminal."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._named: set[str] = set()
        self._there: set[str] = set()

    def read(self, line: str) -> None:
        found = _LAYER.match(line)
        if found is None:
            return
        self._named.add(found[1])
        if found[2] != "Pulling fs layer":
            self._there.add(found[1])
            self._tell(f"Fetching the emulator: {len(self._there)} of {len(self._named)} layers")
