"""Turns CloudyPad's output, which lasts for many minutes, into short progress messages for the player.

Ansible names a task as `TASK [role : name] ****` with its default callback, which this service selects, and as
`name...` with the callback of CloudyPad's own image. Pulumi prints ` +  <type> <name> creating`.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import Final, Self

from providers.base import ProgressCallback
from providers.redaction import clean_line, strip_terminal_codes
from tracing import spans

_NAME_LIMIT: Final = 80

# The first entry that matches a task's name applies; otherwise the first that matches its role.
_PHASES: Final = (
    (re.compile(r"^executing playbook", re.I), "Setting the machine up"),
    (re.compile(r"wait for machine to be reachable|wait_for_connection", re.I), "Waiting for the machine to respond"),
    (re.compile(r"reboot", re.I), "Restarting the machine"),
    (re.compile(r"nvidia|nouveau|gpu driver|graphics driver", re.I), "Installing the graphics driver"),
    (re.compile(r"wolf|uinput|uhid", re.I), "Installing the streaming server"),
    (re.compile(r"autostop", re.I), "Setting up automatic shutdown"),
    (re.compile(r"rate.?limit", re.I), "Setting the network limits"),
    (re.compile(r"docker", re.I), "Installing the container engine"),
    (re.compile(r"data.?disk", re.I), "Preparing the data disk"),
    (re.compile(r"apparmor|ubuntu|prepare.?install", re.I), "Preparing the system"),
    (re.compile(r"base.?image|snapshot", re.I), "Saving an image of the machine"),
    (re.compile(r"gcp:compute:\w*.* creating", re.I), "Creating the machine at Google Cloud"),
)
_DEFAULT_TASK: Final = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?:(?P<role>[^\]]*?) : )?(?P<name>[^\]]+)\] \**$")
_DEFAULT_PLAY: Final = re.compile(r"^PLAY \[(?P<name>[^\]]+)\] \**$")
_UNIXY_TASK: Final = re.compile(r"^(?P<name>\S.*)\.\.\.$")
_PULUMI_RESOURCE: Final = re.compile(r"^ *[+~-]+ +(?P<kind>[\w:/-]+) .*\b(?P<action>creating|updating|deleting)\b")
_OTHER_STEP: Final = re.compile(r"^executing playbook|^ *[+@~] |^Updating ", re.I)
_QUIET: Final = frozenset({"Gathering Facts", "include_tasks", "include_role", "set_fact", "debug", "meta"})


class ProgressReporter:
    """Turns output lines into progress messages without repeating the last one.

    Every task is reported: by its phase, or else by its name.
    """

    def __init__(self, report: ProgressCallback) -> None:
        self._report = report
        self._last = ""

    def feed(self, line: str) -> None:
        sentence = _sentence(strip_terminal_codes(line).rstrip())
        if sentence and sentence != self._last:
            self._last = sentence
            self._report(sentence)


class TaskSpans:
    """Records a span for each task of a run: from the line that names it until the next one, or the run's end."""

    def __init__(self, run: spans.Span) -> None:
        self._run = run
        self._task = spans.NOT_RECORDED

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.end()

    def feed(self, line: str) -> None:
        name = _task_name(strip_terminal_codes(line).rstrip())
        if name:
            self._task.end()
            self._task = self._run.begin_part(name)


def _task_name(line: str) -> str:
    """Return a task's own name; empty for lines that begin no task."""
    if (task := _DEFAULT_TASK.match(line) or _UNIXY_TASK.match(line)) is not None:
        return f"task {clean_line(task['name'], _NAME_LIMIT)}"
    if (resource := _PULUMI_RESOURCE.match(line)) is not None:
        return f"pulumi {resource['kind']} {resource['action']}"
    return ""


def _sentence(line: str) -> str:
    """Return the progress message of a line; empty for lines that begin no step."""
    if (task := _DEFAULT_TASK.match(line) or _UNIXY_TASK.match(line)) is not None:
        role = task.groupdict().get("role") or ""
        return _phase(task["name"]) or _phase(role) or _named(task["name"])
    if (play := _DEFAULT_PLAY.match(line)) is not None:
        return _phase(play["name"])
    return _phase(line) if _OTHER_STEP.search(line) else ""


def _phase(words: str) -> str:
    return next((sentence for pattern, sentence in _PHASES if pattern.search(words)), "")


def _named(task: str) -> str:
    """Return a message with the task's own name, for tasks of no known phase."""
    name = clean_line(task, _NAME_LIMIT).rstrip(".")
    return "" if name in _QUIET else f"Setting the machine up: {name}"
