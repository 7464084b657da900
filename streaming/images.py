"""Pulls container images on a machine before a player needs them.

Wolf itself would pull an app's image at the player's first start, behind a black screen. It uses an existing image with
the name in its configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from errors import ImageMissingError, ProviderBusyError
from providers.base import ProgressCallback
from streaming.name_checks import validate_image
from streaming.ssh import CommandFailedError, Shell

_PULL_S: Final = 1200
_ENGINE: Final = ("env", "LC_ALL=C", "docker")
_LAYER: Final = re.compile(r"([0-9a-f]{12}): (Pulling fs layer|Pull complete|Already exists)")
_UNKNOWN: Final = ("manifest unknown", "name unknown", "repository does not exist", "denied")
_NOT_FOUND: Final = re.compile(r"failed to resolve reference .*: not found")  # with containerd's image store
_TOO_MANY: Final = "toomanyrequests"
_TOO_MANY_WAIT_S: Final = 60.0


async def has_image(shell: Shell, image: str) -> bool:
    """Return whether the image is on the machine. Raises ProviderBusyError if no container engine responds there."""
    try:
        await shell.sudo(*_ENGINE, "image", "inspect", "--format", "{{.Id}}", validate_image(image))
    except CommandFailedError as error:
        if "no such image" in error.answer.complaint.lower():
            return False
        raise
    return True


async def pull_image(shell: Shell, image: str, report: ProgressCallback) -> bool:
    """Ensure that the image is on the machine; return whether it was pulled. May be repeated: finished layers remain.

    Raises ImageMissingError if the registry does not know the image or requires a log-in, and ProviderBusyError for
    transient failures: the engine is not ready, or the registry does not respond or limits pulls.
    """
    if await has_image(shell, image):
        return False
    report("Fetching the emulator")
    layers = _LayerCount(report)
    try:
        await shell.sudo(*_ENGINE, "pull", validate_image(image), timeout_s=_PULL_S, each_line=layers.read)
    except CommandFailedError as error:
        raise _error_for(image, error) from error
    return True


def _error_for(image: str, error: CommandFailedError) -> Exception:
    said = (error.answer.stderr + error.answer.stdout).decode(errors="replace").lower()
    if any(words in said for words in _UNKNOWN) or _NOT_FOUND.search(said):
        return ImageMissingError(f"the emulator's image {image} is missing from its registry, or requires a log-in")
    if _TOO_MANY in said:
        return ProviderBusyError("the image's registry allows no more pulls at present", retry_after_s=_TOO_MANY_WAIT_S)
    return error


class _LayerCount:
    """Counts the layers that `docker pull` lists when its output is not a terminal."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._named: set[str] = set()
        self._there: set[str] = set()

    def read(self, line: str) -> None:
        found = _LAYER.match(line)
        if found is None:
            return
        self._named.add(found[1])
        if found[2] != "Pulling fs layer":
            self._there.add(found[1])
            self._report(f"Fetching the emulator: {len(self._there)} of {len(self._named)} layers")
