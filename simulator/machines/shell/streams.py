"""What programs read from and write to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from io import FileIO
from typing import Protocol

CHUNK = 65536


class Input(Protocol):
    async def read(self, limit: int = -1) -> bytes:
        """Up to `limit` bytes, all until the end without one; b"" at the end."""
        ...


class Output(Protocol):
    def write(self, data: bytes) -> None:
        """Raises BrokenPipeError when nobody reads any more."""
        ...


@dataclass(frozen=True, slots=True)
class Streams:
    stdin: Input
    stdout: Output
    stderr: Output

    def reading(self, stdin: Input) -> Streams:
        return replace(self, stdin=stdin)

    def writing(self, stdout: Output) -> Streams:
        return replace(self, stdout=stdout)


class Bytes:
    """An input that is known beforehand."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content

    async def read(self, limit: int = -1) -> bytes:
        taken = self._content if limit < 0 else self._content[:limit]
        self._content = self._content[len(taken) :]
        return taken


class Collected:
    """An output that is kept."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, data: bytes) -> None:
        self._content += data

    def text(self) -> str:
        return self._content.decode(errors="replace")

    def content(self) -> bytes:
        return bytes(self._content)


class Pipe:
    """What one program writes the next one reads, while both run."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._rest = b""
        self._ended = False
        self._abandoned = False

    def write(self, data: bytes) -> None:
        if self._abandoned:
            raise BrokenPipeError
        if data:
            self._chunks.put_nowait(data)

    def end(self) -> None:
        """The writer is done."""
        self._chunks.put_nowait(b"")

    def abandon(self) -> None:
        """The reader is done."""
        self._abandoned = True

    async def read(self, limit: int = -1) -> bytes:
        while limit < 0 or not self._rest:
            if self._ended:
                break
            chunk = await self._chunks.get()
            self._ended = not chunk
            self._rest += chunk
        taken = self._rest if limit < 0 else self._rest[:limit]
        self._rest = self._rest[len(taken) :]
        return taken


class OpenFile:
    """A file as input or output."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    async def read(self, limit: int = -1) -> bytes:
        return self._file.read(limit) or b""

    def write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) or 0 :]

    def close(self) -> None:
        self._file.close()


async def lines(source: Input) -> list[str]:
    """All that is left, as text lines without their ends."""
    return (await source.read()).decode(errors="surrogateescape").splitlines()
