"""The database of the development default: SecantusDB, MongoDB's wire protocol over WiredTiger.

It is GPL-2.0-only and runs as a program of its own: nothing of it is imported.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from embedded.child import ChildSpec, EmbeddedError

# It ends in 2 s, or now and then not at all. Every acknowledged write is on disk by then, so it may be killed.
PATIENCE_S: Final = 3.0


def mongodb_spec(folder: Path) -> ChildSpec:
    executable = Path(sys.executable).with_name("secantusd-py")
    if not executable.exists():
        raise EmbeddedError(
            f"MONGODB_ATLAS_URI: missing, and the embedded database is not installed ({executable}); "
            "it needs Python 3.11, 3.12 or 3.13. "
            "Example: MONGODB_ATLAS_URI=mongodb+srv://user:password@cluster.example.net"
        )
    # Its own search for a configuration would end in the user's home folder.
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
            # Without it a kill -9 loses writes that were acknowledged.
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
