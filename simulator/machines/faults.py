"""The faults that a machine itself can have."""

from __future__ import annotations

from typing import Final

SSH_REFUSED: Final = "ssh-refused"
INSTALL_FAILS: Final = "install-fails"
