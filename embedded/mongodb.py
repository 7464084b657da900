"""The embedded database for development: SecantusDB, which speaks MongoDB's wire protocol.

It is GPL-2.0-only and runs as a separate program; none of its code is imported.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from embedded.child import ChildSpec, EmbeddedError

# It usually ends within 2 s, but sometimes not at all. Acknowledged writes are on disk, so it may be killed.
PATIENCE_S: Final = 3.0


def mongodb_spec(folder: Path) -> ChildSpec:
    """Return how to run the database. Raise EmbeddedError if it is not installed."""
    executable = Path(sys.executable).with_name("secantusd-py")
    if not executable.exists():
        raise EmbeddedError(
            f"MONGODB_ATLAS_URI: missing, and the embedded database is not installed ({executable}); "
            "it needs Python 3.11, 3.12 or 3.13. "
            "Example: MONGODB_ATLAS_URI=mongodb+srv://user:password@cluster.example.net"
        )
    # Without this file it would read one from the user's home folder.
    configuration = folder / "secantusd.toml"
    folder.mkdir(parents=True, exist_ok=True)
    configuration.touch()

    def command(port: int) -> tuple[str, ...]:
        return (
            str(executable),
            *("--config", str(configuration)),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--storage-path", str(folder / "data")),
            *("--log-level", "WARNING"),
            # Without it a kill -9 loses acknowledged writes.
            "--sync-on-commit",
        )

    return ChildSpec(
        "mongodb", "the embedded database (SecantusDB)", folder, _version(), command, patience_s=PATIENCE_S
    )


def _version() -> str:
    try:
        return version("secantusdb")
    except PackageNotFoundError:
        raise EmbeddedError("MONGODB_ATLAS_URI: missing, and the embedded database is not installed") from None
