"""Input and output of the programs on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

CHUNK_BYTES = 65536


class Input(Protocol):
    async def read(self, limit: int = -1) -> bytes:
        """Return up to `limit` bytes, everything until the end without a limit, and b"" at the end."""
        ...


class Output(Protocol):
    def write(self, data: bytes) -> None:
        """Write all of it. Raises BrokenPipeError when the reader is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Streams:
    stdin: Input
    stdout: Output
    stderr: Output


class Bytes:
    """An input that is known in advance."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content

    async def read(self, limit: int = -1) -> bytes:
        taken = self._content if limit < 0 else self._content[:limit]
        self._content = self._content[len(taken) :]
        return taken


class Collected:
    """An output that is kept."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> None:
        self.content += data
