"""Whether a machine came with a graphics driver that Wolf can use."""

from __future__ import annotations

from typing import Final

from errors import ProviderBusyError
from streaming.ssh import Shell

_VERSION: Final = "/sys/module/nvidia/version"
_MODESET: Final = "/sys/module/nvidia_drm/parameters/modeset"  # Wolf needs it


async def has_driver(shell: Shell) -> bool:
    """Return whether the driver is loaded as Wolf needs it. A machine that does not say counts as one without."""
    try:
        version, modeset = await shell.read_file(_VERSION), await shell.read_file(_MODESET)
    except ProviderBusyError:
        return False
    return bool(version) and (modeset or b"").strip() == b"Y"
