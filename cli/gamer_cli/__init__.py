"""The command-line client of Gamer Provisioner."""

from typing import Final

__version__: Final = "1.0.0"
