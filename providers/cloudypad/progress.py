"""What CloudyPad prints for hours, in a few short sentences for the player."""

from __future__ import annotations

import re
from typing import Final

from providers.base import Tell

# The first entry that matches a line speaks for it. Ansible prints a task as "<name>...", Pulumi " +  <type> <name>".
_PHASES: Final = (
    (re.compile(r"^executing playbook", re.I), "Setting the machine up"),
    (re.compile(r"wait for machine to be reachable", re.I), "Waiting for the machine to answer"),
    (re.compile(r"reboot", re.I), "Restarting the machine"),
    (re.compile(r"nvidia|nouveau|gpu driver|graphics driver", re.I), "Installing the graphics driver"),
    (re.compile(r"wolf", re.I), "Installing the streaming server"),
    (re.compile(r"autostop", re.I), "Setting the machine's own switch-off"),
    (re.compile(r"rate.?limit", re.I), "Setting the network limits"),
    (re.compile(r"docker", re.I), "Installing the container engine"),
    (re.compile(r"data.?disk", re.I), "Preparing the data disk"),
    (re.compile(r"apparmor|ubuntu", re.I), "Preparing the system"),
    (re.compile(r"base.?image|snapshot", re.I), "Saving an image of the machine"),
    (re.compile(r"gcp:compute:\w*.* creating", re.I), "Creating the machine at Google Cloud"),
)
_STEP: Final = re.compile(r"\.\.\.$|^executing playbook|^ *[+@~] |^Updating ", re.I)


class Storyteller:
    """Turns lines into sentences, each told once in a row."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last = ""

    def hear(self, line: str) -> None:
        if not _STEP.search(line):
            return
        sentence = next((sentence for pattern, sentence in _PHASES if pattern.search(line)), "")
        if sentence and sentence != self._last:
            self._last = sentence
            self._tell(sentence)
