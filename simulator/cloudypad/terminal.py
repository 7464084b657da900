"""The output of CloudyPad: log lines and errors on standard output, prompts, a fixed footer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum

FOOTER = """
Oops, something went wrong. The error is above.

If you think this is a bug, please file an issue on the project's page.
"""
_RED, _GREY, _OFF = "\x1b[31m\x1b[1m", "\x1b[37m", "\x1b[39m\x1b[0m\x1b[0m"


class Level(IntEnum):
    INFO = 3
    WARN = 4
    ERROR = 5


class UsageError(Exception):
    """The command line is wrong; the message is the whole line for stderr."""


class CommandError(Exception):
    """The command failed. `hint` is for stderr."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class PromptClosedError(Exception):
    """A prompt needs an answer, and standard input is closed."""


def say(line: str = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def log(level: Level, message: str, logger: str = "cloudypad") -> None:
    """Print a line as the tool's logger does: on standard output, if its level is let through."""
    wanted = os.environ.get("CLOUDYPAD_LOG_LEVEL", "4")
    if level >= (int(wanted) if wanted.isdigit() else Level.WARN):
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        name = f"{_RED}{level.name}\x1b[22m{_OFF}" if level is Level.ERROR else f"{_GREY}{level.name}{_OFF}"
        say(f"{_GREY}{stamp}{_OFF}\t{name}\t{_GREY}main.js:1{_OFF}\t{logger}\t{message}")


def complain(error: Exception) -> None:
    """Print an error as the tool's logger does, always in colours: the failure, its stack and its causes."""
    stack = f"  • \x1b[33mmain.js{_OFF}\tasync main{_OFF}"
    what = f"\n\x1b[97m\x1b[101m\x1b[1m Error \x1b[22m\x1b[49m{_OFF} The command failed{_OFF}"
    log(Level.ERROR, "\n".join([what, "error stack:", stack, f"Caused by (1): Error: {error}", stack]))


def ask(question: str) -> str:
    """Print a question and read its answer. Waits as long as standard input is open."""
    sys.stdout.write(f"? {question} ")
    sys.stdout.flush()
    answer = sys.stdin.readline() if sys.stdin and not sys.stdin.closed else ""
    if not answer:
        say()
        raise PromptClosedError("User force closed the prompt")
    return answer.strip()


def confirm(question: str) -> bool:
    return ask(f"{question} (y/N)").lower() in ("y", "yes")


def end_of_run(run: Callable[[], int]) -> int:
    """Run a command and turn how it ended into output and exit status."""
    try:
        return run()
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
    except (CommandError, PromptClosedError) as error:
        complain(error)
        sys.stderr.write(getattr(error, "hint", "") + FOOTER)
    return 1
