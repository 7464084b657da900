"""CloudyPad's files of one instance, packed so that they can be moved to another home.

A parcel has the instance's folder and its stacks in Pulumi's file backend, if that is used. It has no locks, no history
and no credentials: unpacking writes the log-in again, with the key of the host that unpacks.
"""

from __future__ import annotations

import gzip
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import orjson
import yaml

from errors import ProviderBusyError

_STATE: Final = "state.yml"
_PULUMI: Final = "pulumi-backend"
_LEFT_OUT: Final = frozenset({"locks", "history", "backups"})
_MARKS_BACKEND: Final = "meta.yaml"  # without it Pulumi assumes a backend with an older layout
Signature = tuple[tuple[str, int, int], ...]
_SECRET_KEYS: Final = ("privateKeyContentBase64", "passwordBase64", "privateKeyPath")


class InstanceHome:
    """The files of one instance. Writers must hold the instance's lock."""

    def __init__(self, home: Path, name: str, key_path: Path | None = None) -> None:
        self._home = home
        self.name = name
        self._key_path = key_path
        self._version = home / "locks" / f"{name}.version"

    @property
    def exists(self) -> bool:
        """Return whether CloudyPad knows the instance here."""
        return self._state_file.exists()

    @property
    def is_broken(self) -> bool:
        """Return whether the state here cannot be read, as after a write on a full disk. No run may be writing it."""
        return self.exists and self._state() is None

    @property
    def provider(self) -> str:
        """Return CloudyPad's name of the instance's provider ("gcp", "ssh"); empty while the state cannot be read."""
        provision = (self._state() or {}).get("provision")
        return str(provision.get("provider", "")) if isinstance(provision, dict) else ""

    @property
    def version(self) -> int:
        """Return the stored version that these files began from; 0 if they were never stored."""
        try:
            return int(self._version.read_text())
        except (OSError, ValueError):
            return 0

    def record_version(self, version: int) -> None:
        draft = self._version.with_name(f".{self.name}.{secrets.token_hex(4)}")
        draft.write_text(str(version))
        draft.rename(self._version)

    def signature(self) -> Signature:
        """Return a value that changes with any file."""
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in _stats(self._home, self._files()))

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write the state of an instance that CloudyPad creates next."""
        self._state_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._state_file.with_name(f".state.{secrets.token_hex(4)}")
        draft.write_text(yaml.safe_dump(dict(state), sort_keys=False))
        draft.rename(self._state_file)

    def pack(self) -> bytes | None:
        """Return the packed files, or None while there is no state or it is being written."""
        state = self._state()
        if state is None:
            return None
        files = {f"instances/{self.name}/{_STATE}": yaml.safe_dump(_without_secrets(state), sort_keys=False)}
        try:
            for path in self._files():
                if path != self._state_file:
                    files[path.relative_to(self._home).as_posix()] = path.read_text()
        except OSError:
            return None
        return gzip.compress(orjson.dumps(files), mtime=0)

    def unpack(self, parcel: bytes) -> None:
        """Replace the instance's files by those of the parcel."""
        files = _unpack(parcel)
        self.clear()
        for relative, text in files.items():
            path = self._home / relative
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Other instances' stacks share the backend, so its marker file belongs to them too.
            if path.name != _MARKS_BACKEND or not path.exists():
                path.write_text(self._with_our_key(text) if path == self._state_file else text)

    def discard_broken_state(self) -> None:
        """Delete a state that cannot be read, unless Pulumi's files say that resources of it may exist."""
        if [path for path in self._files() if path.name != _MARKS_BACKEND] == [self._state_file]:
            self.clear()

    def clear(self) -> None:
        for path in self._files():
            if path.name != _MARKS_BACKEND:
                path.unlink(missing_ok=True)
        shutil.rmtree(self._state_file.parent, ignore_errors=True)
        self._version.unlink(missing_ok=True)

    @property
    def _state_file(self) -> Path:
        return self._home / "instances" / self.name / _STATE

    def _state(self) -> dict[str, Any] | None:
        try:
            state = yaml.safe_load(self._state_file.read_text())
        except (OSError, yaml.YAMLError):
            return None
        return state if isinstance(state, dict) and "provision" in state else None

    def _files(self) -> list[Path]:
        own = [path for path in self._state_file.parent.rglob("*") if path.is_file()]
        backend = self._home / _PULUMI
        shared = [path for path in backend.rglob("*") if self._is_ours(path.relative_to(backend)) and path.is_file()]
        return sorted([*own, *shared])

    def _is_ours(self, path: Path) -> bool:
        if _LEFT_OUT & set(path.parts):
            return False
        return path.name == _MARKS_BACKEND or any(part.partition(".")[0] == self.name for part in path.parts)

    def _with_our_key(self, text: str) -> str:
        state = yaml.safe_load(text)
        if self._key_path is not None:
            state["provision"].setdefault("input", {}).setdefault("ssh", {})["privateKeyPath"] = str(self._key_path)
        return yaml.safe_dump(state, sort_keys=False)


def _without_secrets(state: dict[str, Any]) -> dict[str, Any]:
    given = state["provision"].get("input")
    login = given.get("ssh") if isinstance(given, dict) else None
    if isinstance(login, dict):
        for key in _SECRET_KEYS:
            login.pop(key, None)
    return state


def _unpack(parcel: bytes) -> dict[str, str]:
    """Unpack a parcel.

    Raises ProviderBusyError if it is malformed or has a path outside the home.
    """
    try:
        files = orjson.loads(gzip.decompress(parcel))
    except (OSError, EOFError, orjson.JSONDecodeError):
        files = None
    if not isinstance(files, dict) or not all(_is_inside(name) for name in files):
        raise ProviderBusyError("the stored state of a CloudyPad instance cannot be read")
    return files


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.parts[:1] in {("instances",), (_PULUMI,)}


def _stats(home: Path, paths: list[Path]) -> Iterator[tuple[str, Any]]:
    for path in paths:
        try:
            yield path.relative_to(home).as_posix(), path.stat()
        except FileNotFoundError:
            continue
