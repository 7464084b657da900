"""Save archives: a gzipped tar of files below a home folder, with a manifest of their checksums.

The worker packs every archive itself, so that it contains only regular files with harmless names. The functions here
block and are called in threads.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

import orjson

from errors import ProviderRefusedError

MANIFEST: Final = "manifest.json"
PLAYER_ID: Final = 1000  # the user that games run as, on the machine and in their containers
_FILES_LIMIT: Final = 20_000
_GZIP_BEGINS: Final = b"\x1f\x8b"
_OVERHEAD_BYTES: Final = 2048  # maximum headers and padding of one file in a tar archive


class DamagedArchiveError(ProviderRefusedError):
    """The archive differs from its manifest, or contains something that no save contains."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    content: bytes
    modified_at: int  # seconds since 1970 by the machine's clock


@dataclass(frozen=True, slots=True)
class Manifest:
    """Origin of an archive: the machine's folder that wrote it, the generation it is based on, and its version."""

    written_by: str
    restored_from: int
    version: str | None = None


# Names are bytes: those that are not UTF-8 are kept with surrogates.
Files = Mapping[str, SavedFile]


def digest(files: Files) -> str:
    """Return a digest of names and contents, independent of times."""
    whole = hashlib.sha256()
    for path in sorted(files):
        described = f"{path}\0{hashlib.sha256(files[path].content).hexdigest()}\n"
        whole.update(described.encode(errors="surrogateescape"))
    return whole.hexdigest()


def pack(files: Files, manifest: Manifest | None = None) -> bytes:
    """Return an archive of these files; a manifest, if given, comes first.

    The GNU format stores names as plain bytes; GNU tar does not understand how the alternative, PAX, marks names that
    are not UTF-8.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.GNU_FORMAT, encoding="utf-8") as archive:
        if manifest is not None:
            now = int(datetime.now(UTC).timestamp())
            _add(archive, MANIFEST, SavedFile(_manifest_document(files, manifest), now))
        for path in sorted(files):
            _add(archive, path, files[path])
    return packed.getvalue()


def pack_link(path: str, target: str) -> bytes:
    """Return an archive with one link."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.GNU_FORMAT, encoding="utf-8") as archive:
        member = tarfile.TarInfo(path)
        member.type, member.linkname = tarfile.SYMTYPE, target
        archive.addfile(member)
    return packed.getvalue()


def is_blank(file: SavedFile) -> bool:
    """Return whether the file has no content: no bytes, or a single repeated byte, like unused battery memory."""
    return file.content == file.content[:1] * len(file.content)


def unpack(packed: bytes, limit_bytes: int) -> tuple[dict[str, SavedFile], Manifest | None]:
    """Return the files of an archive, verified against its manifest if it has one.

    Rejects absolute names, `..`, links, anything that is not a regular file, and more than `limit_bytes`.
    """
    files = _members(packed, limit_bytes, plain_only=False)
    described = files.pop(MANIFEST, None)
    return files, None if described is None else _verify(files, described.content)


def read_plain_files(packed: bytes, limit_bytes: int) -> dict[str, SavedFile]:
    """Return the regular files of an archive made on a machine. Links and devices are skipped."""
    return _members(packed, limit_bytes, plain_only=True)


def packed_limit(limit_bytes: int) -> int:
    """Return the maximum size of an archive of so many bytes; incompressible content grows a little."""
    return limit_bytes + limit_bytes // 100 + _FILES_LIMIT * _OVERHEAD_BYTES // 10


def _members(packed: bytes, limit_bytes: int, *, plain_only: bool) -> dict[str, SavedFile]:
    try:
        content = io.BytesIO(_unzip(packed, limit_bytes))
        with tarfile.open(fileobj=content, mode="r:", encoding="utf-8") as archive:
            return _read_members(archive, limit_bytes, plain_only=plain_only)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise DamagedArchiveError(f"an archive of saves cannot be read: {type(error).__name__}") from None


def _unzip(packed: bytes, limit_bytes: int) -> bytes:
    """Unzip up to the checksum at the end, and never more than an archive of that size can contain."""
    if not packed.startswith(_GZIP_BEGINS):
        return packed  # already unzipped by the bucket or the HTTP client (Content-Encoding: gzip)
    unzip = zlib.decompressobj(wbits=31)
    content = unzip.decompress(packed, limit_bytes + _FILES_LIMIT * _OVERHEAD_BYTES)
    if not unzip.eof:
        raise DamagedArchiveError(f"an archive of saves is cut off, or larger than {limit_bytes} bytes")
    return content


def _read_members(archive: tarfile.TarFile, limit_bytes: int, *, plain_only: bool) -> dict[str, SavedFile]:
    files: dict[str, SavedFile] = {}
    size = 0
    for member in archive:
        if member.isdir() or (plain_only and not member.isreg()):
            continue
        if not member.isreg():
            raise DamagedArchiveError("a save's archive contains something that is not a file")
        size += member.size
        if size > limit_bytes or len(files) >= _FILES_LIMIT:
            raise DamagedArchiveError(f"a save is larger than {limit_bytes} bytes or {_FILES_LIMIT} files")
        content = archive.extractfile(member)
        assert content is not None
        files[_validate_name(member.name)] = SavedFile(content.read(), int(member.mtime))
    return files


def _validate_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise DamagedArchiveError("a save's archive contains a name outside of its folder")
    return str(path)


def _add(archive: tarfile.TarFile, path: str, file: SavedFile) -> None:
    member = tarfile.TarInfo(path)
    member.size = len(file.content)
    member.mtime = file.modified_at
    member.mode = 0o644
    member.uid = member.gid = PLAYER_ID
    archive.addfile(member, io.BytesIO(file.content))


def _manifest_document(files: Files, manifest: Manifest) -> bytes:
    return orjson.dumps(
        {
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "written_by": manifest.written_by,
            "restored_from": str(manifest.restored_from),
            **({} if manifest.version is None else {"version": manifest.version}),
            "files": [_describe(path, files[path]) for path in sorted(files)],
        },
        option=orjson.OPT_INDENT_2,
    )


def _describe(path: str, file: SavedFile) -> dict[str, Any]:
    """Return a manifest entry. Names that are not UTF-8 are written in hexadecimal."""
    named = path.encode(errors="surrogateescape")
    try:
        name = {"path": named.decode()}
    except UnicodeDecodeError:
        name = {"path_hex": named.hex()}
    return {**name, "bytes": len(file.content), "sha256": hashlib.sha256(file.content).hexdigest()}


def _verify(files: Files, document: bytes) -> Manifest:
    try:
        manifest = orjson.loads(document)
        said = manifest["files"]
        version = manifest.get("version")
        found = Manifest(str(manifest["written_by"]), int(manifest["restored_from"]), version and str(version))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        raise DamagedArchiveError("a save's manifest cannot be read") from None
    if said != [_describe(path, files[path]) for path in sorted(files)]:
        raise DamagedArchiveError("a save's files differ from its manifest")
    return found
