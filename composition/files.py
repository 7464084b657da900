"""Checks at the start that files named by settings exist, are readable and are of the right kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from settings import Settings, SettingsError

_KINDS: Final = {
    "temporal_tls_cert_path": "a certificate in PEM form",
    "temporal_tls_key_path": "a private key in PEM form",
    "google_application_credentials": "a Google credentials file",
    "gcs_library_key_file": "a Google key file",
}
_FOR_WORKERS: Final = frozenset({"gcs_library_key_file"})


def check_files(settings: Settings, *, works: bool = True) -> None:
    """Raise SettingsError for the first file that cannot be used. Blocking.

    Files that only workers need are skipped for a process that does not work.
    """
    for line in file_faults(settings, works=works):
        raise SettingsError(line)


def file_faults(settings: Settings, *, works: bool = True) -> Iterator[str]:
    """Yield a line for each file that cannot be used. Blocking."""
    for name, kind in _KINDS.items():
        if name in _FOR_WORKERS and not works:
            continue
        path: Path | None = getattr(settings, name)
        if path is not None and (fault := _fault(path, kind)) is not None:
            (example,) = Settings.model_fields[name].examples or [""]
            yield f"{name.upper()}: {path} {fault}. Example: {name.upper()}={example}"


def _fault(path: Path, kind: str) -> str | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {os.strerror(error.errno or 0)}"
    return None if _has_kind(content, kind) else f"is not {kind}"


def _has_kind(content: bytes, kind: str) -> bool:
    if kind.endswith("PEM form"):
        return b"-----BEGIN " in content
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
