"""Makes cover pictures of games that do not exist: a few coloured fields, the same for the same game."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Final

_COLUMNS: Final = 3
_ROWS: Final = 4
_FIELD: Final = 20  # pixels
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def cover(game: str) -> bytes:
    """Return a PNG of 60 by 80 pixels."""
    seed = hashlib.sha256(game.encode()).digest()
    palette = b"".join(bytes(40 + value % 180 for value in seed[at : at + 3]) for at in range(0, 12, 3))
    colours = [[seed[12 + row * _COLUMNS + column] % 4 for column in range(_COLUMNS)] for row in range(_ROWS)]
    lines = [b"\0" + bytes(colour for colour in row for _ in range(_FIELD)) for row in colours for _ in range(_FIELD)]
    head = struct.pack(">IIBBBBB", _COLUMNS * _FIELD, _ROWS * _FIELD, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
