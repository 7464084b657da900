"""How many files an archive of saves holds, read from as little of it as possible.

Uploads of ours say it beside the object. Older ones begin with a manifest, which names every file. What others packed
has to be read whole.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from dataclasses import dataclass
from typing import Final

import orjson

from streaming.saves.archive import MANIFEST

_GZIP_BEGINS: Final = b"\x1f\x8b"
_BLOCK: Final = 512
_MOST_BYTES: Final = 16 * 2**20  # of a manifest, unzipped: it names at most 20,000 files


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """`files` counts those that can be read; an archive that is `damaged` may have held more."""

    files: int
    damaged: bool = False


def summary_of_start(start: bytes) -> ArchiveSummary | None:
    """Return what the manifest at the start of an archive says; None where it is not whole or not there."""
    try:
        content = _unzip(start, _MOST_BYTES)
        if len(content) < _BLOCK:
            return None
        member = tarfile.TarInfo.frombuf(content[:_BLOCK], "utf-8", "surrogateescape")
        document = content[_BLOCK : _BLOCK + member.size]
        if member.name != MANIFEST or len(document) < member.size:
            return None
        return ArchiveSummary(len(orjson.loads(document)["files"]))
    except (tarfile.TarError, zlib.error, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def summary_of_archive(packed: bytes, limit_bytes: int) -> ArchiveSummary:
    """Count the files of a whole archive, as far as it can be read. Blocks; call it in a thread."""
    files = 0
    try:
        content = io.BytesIO(_unzip(packed, limit_bytes))
        with tarfile.open(fileobj=content, mode="r:", encoding="utf-8") as archive:
            for member in archive:
                files += member.isreg() and member.name != MANIFEST
        return ArchiveSummary(files, damaged=not _is_whole(packed))
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError):
        return ArchiveSummary(files, damaged=True)


def _unzip(packed: bytes, limit_bytes: int) -> bytes:
    if not packed.startswith(_GZIP_BEGINS):
        return packed
    return zlib.decompressobj(wbits=31).decompress(packed, limit_bytes)


def _is_whole(packed: bytes) -> bool:
    if not packed.startswith(_GZIP_BEGINS):
        return True
    unzip = zlib.decompressobj(wbits=31)
    pending = packed
    while pending and not unzip.eof:
        unzip.decompress(pending, 2**20)
        pending = unzip.unconsumed_tail
    return unzip.eof
