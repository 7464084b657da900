"""Finds in CloudyPad's output why a run failed.

Its logger writes an error over many coloured lines: ` Error  <what failed>`, a stack of `  • <file>` lines, then
`Caused by (1): <kind>: <why>` with a stack of its own, and so on down to the root. A Pulumi failure appears as
`CommandError` with both outputs of Pulumi inside it. The footer on standard error is never informative.
"""

from __future__ import annotations

import json
import re
from typing import Final

from providers.redaction import clean_line, strip_terminal_codes

_FAILED_TASK: Final = " failed | msg:"
_FATAL: Final = re.compile(r"^(?:fatal|failed): \[[^\]]+\].*?(?:FAILED|UNREACHABLE)! => (?P<said>\{.*)$")
_TASK: Final = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<name>[^\]]+)\] \**$")
_IGNORED: Final = "...ignoring"
_CAUSE: Final = re.compile(r"^Caused by \(\d+\): (?:\w*Error: )?")
_ERROR: Final = re.compile(r"^\s*\w*Error\s+(\S.*)$")
_LOGGED: Final = re.compile(r"\tERROR\t(?:[^\t]*\t)*(\S[^\t]*)$")
_USAGE: Final = re.compile(r"^error: .*$|^Instance initialization cancelled.*$")
_AT_THE_CLOUD: Final = re.compile(r"\bgoogleapi: Error|^\s*error: ")
_BLURB: Final = re.compile(r"^(?:Oops|If you think this is a bug)")
_PARTS: Final = re.compile(r"^\s*(?:code: -?\d+|stdout:|err\?:.*)\s*|^\s*stderr:\s*(?:undefined)?")
_STACK: Final = "  •"


def reason_in(printed: str) -> str:
    """Return the reason in one line: Ansible's failed task, else CloudyPad's root error, else the last line."""
    lines = [line for line in strip_terminal_codes(printed).splitlines() if line.strip() and not _BLURB.match(line)]
    reason = (
        _failed_task(lines) or _root(lines) or _reported_error(lines) or (lines[-1] if lines else "it printed nothing")
    )
    return clean_line(reason)


def _failed_task(lines: list[str]) -> str:
    """Return the last task that failed for good, in either of Ansible's formats."""
    for number in range(len(lines) - 1, -1, -1):
        if _FAILED_TASK in lines[number]:
            return lines[number]
        ignored = lines[number + 1 : number + 2] == [_IGNORED]
        if not ignored and (fatal := _FATAL.match(lines[number])) is not None:
            task = next((found["name"] for line in reversed(lines[:number]) if (found := _TASK.match(line))), "a task")
            return f"{task}: {_said(fatal['said'])}"
    return ""


def _said(document: str) -> str:
    """Return the `msg` of an Ansible failure in JSON, and the last line that the program printed."""
    try:
        said = json.loads(document)
    except ValueError:
        return document
    if not isinstance(said, dict):
        return document
    lines = str(said.get("stderr") or "").strip().splitlines()
    return ": ".join(filter(None, [str(said.get("msg") or "it failed"), lines[-1] if lines else ""]))


def _root(lines: list[str]) -> str:
    """Return the text between the last cause and its stack; of a cloud's message only the line with its error."""
    start = max((number for number, line in enumerate(lines) if _CAUSE.match(line)), default=None)
    if start is None:
        return ""
    block = [_CAUSE.sub("", lines[start])]
    for line in lines[start + 1 :]:
        if line.startswith(_STACK):
            break
        block.append(line)
    said = [part for part in (_PARTS.sub("", line) for line in block) if part]
    return next((line for line in said if _AT_THE_CLOUD.search(line)), " ".join(dict.fromkeys(said)))


def _reported_error(lines: list[str]) -> str:
    """Return an error without a cause: over several lines, on one line, or as a usage error."""
    for line in reversed(lines):
        for pattern in (_ERROR, _LOGGED):
            if found := pattern.search(line):
                return found[1]
        if _USAGE.match(line):
            return line
    return ""
