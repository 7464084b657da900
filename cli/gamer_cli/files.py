"""Files that commands write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from rich.progress import Progress, TaskID

from .exits import CommandError, ExitStatus
from .output import console


async def write_new(path: Path, pieces: AsyncIterator[bytes], total: int | None = None) -> int:
    """Write a new file, and return its size in bytes. A file that is not complete is deleted."""
    try:
        file = path.open("xb")
    except FileExistsError:
        raise CommandError(f"{path} exists already", ExitStatus.USAGE) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with file, Progress(console=console(stderr=True), transient=True) as progress:
            return await _write(file, pieces, progress, progress.add_task(path.name, total=total))
    except BaseException as error:
        _delete(path)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise


async def _write(file: BinaryIO, pieces: AsyncIterator[bytes], progress: Progress, task: TaskID) -> int:
    written = 0
    async for piece in pieces:
        file.write(piece)
        written += len(piece)
        progress.update(task, completed=written)
    return written


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> CommandError:
    return CommandError(f"cannot write {path}: {error.strerror}", ExitStatus.USAGE)
