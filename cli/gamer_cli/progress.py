"""Shows a launch while it happens: bars in a terminal, lines elsewhere, JSON lines for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from .output import console, moment, plain, print_json_line, say

STEPS: Final[Mapping[str, str]] = {
    "CHOOSE_PLACEMENT": "choose a site",
    "CREATE_VM": "rent the machine",
    "BOOT": "boot",
    "CONNECT": "connect",
    "INSTALL_STREAMING": "install streaming",
    "MOUNT_LIBRARY": "mount the library",
    "RESTORE_SAVES": "restore saves",
    "CONFIGURE_GAME": "configure the game",
    "VERIFY_STREAM": "verify the stream",
}
_SUCCESS: Final = frozenset({"DONE", "SKIPPED"})


class Display(Protocol):
    """Shows events of a launch."""

    def show(self, event: Mapping[str, Any]) -> None:
        """Show one event."""

    def remark(self, text: str) -> None:
        """Show something about the connection."""


@contextmanager
def display(*, as_json: bool) -> Iterator[Display]:
    """Return the display that suits where the output goes, for as long as the body runs."""
    if as_json:
        yield JsonLines()
    elif not console().is_terminal:
        yield Lines()
    else:
        with Bars() as bars:
            yield bars


class JsonLines:
    """Prints each event as a line of JSON."""

    def show(self, event: Mapping[str, Any]) -> None:
        print_json_line(event)

    def remark(self, text: str) -> None:
        say(text)


class Lines:
    """Prints each event as a line of text."""

    def show(self, event: Mapping[str, Any]) -> None:
        step = STEPS.get(event["step"] or "", "")
        where = f"{step}: " if step else ""
        line = f"{moment(event['at'])}  {event['progress']:>4.0%}  {event['status']:<10}  {where}{event['message']}"
        console().print(plain(line), soft_wrap=True)

    def remark(self, text: str) -> None:
        say(text)


class Bars:
    """One bar for the launch and one for each of its nine steps."""

    def __init__(self, output: Console | None = None) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=output or console(),
        )
        self._launch = self._progress.add_task("launch", total=1.0, note="")
        self._steps: dict[str, TaskID] = {
            name: self._progress.add_task(words, total=1.0, start=False, note="") for name, words in STEPS.items()
        }

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Mapping[str, Any]) -> None:
        self._progress.update(self._launch, completed=event["progress"], note=plain(event["message"]))
        step = self._steps.get(event["step"] or "")
        if step is None:
            return
        status = event["stepStatus"]
        if status == "RUNNING" and not self._progress.tasks[step].started:
            self._progress.start_task(step)
        note = "" if status == "DONE" else str(status).lower()
        self._progress.update(step, completed=1.0 if status in _SUCCESS else 0.0, note=note)
        if status in {*_SUCCESS, "FAILED"}:
            self._progress.stop_task(step)

    def remark(self, text: str) -> None:
        self._progress.update(self._launch, note=plain(text))
