"""The output of Ansible, by the callback that ANSIBLE_STDOUT_CALLBACK names: its default, or unixy."""

from __future__ import annotations

import json
import os
import sys
from typing import Protocol

WIDTH = 79
# Ansible shows the role in front of a task's name; by how the names here begin.
ROLES = {
    "Check": "roles/prepare-install",
    "Mount data disk": "roles/data-disk",
    "Install Docker": "geerlingguy.docker",
    "Ensure docker": "geerlingguy.docker",
    "Configure rate": "roles/rate-limit",
    "Install autostop": "roles/autostop",
    "Install": "roles/nvidia-driver",
    "Reboot": "roles/nvidia-driver",
    "Load": "roles/wolf",
    "Create": "roles/wolf",
    "Start": "roles/wolf",
}


class Output(Protocol):
    def begin(self, play: str) -> None: ...
    def task(self, name: str) -> None: ...
    def done(self, *, changed: bool) -> None: ...
    def skipped(self) -> None: ...
    def failed(self, message: str) -> None: ...
    def recap(self, numbers: str) -> None: ...


class DefaultOutput:
    def __init__(self, host: str) -> None:
        self._host = host

    def begin(self, play: str) -> None:
        _print(f"\n{_starred(f'PLAY [{play}]')}")

    def task(self, name: str) -> None:
        role = next((role for beginning, role in ROLES.items() if name.startswith(beginning)), "")
        _print(f"\n{_starred(f'TASK [{role} : {name}]' if role else f'TASK [{name}]')}")

    def done(self, *, changed: bool) -> None:
        _print(f"{'changed' if changed else 'ok'}: [{self._host}]")

    def skipped(self) -> None:
        _print(f"skipping: [{self._host}]")

    def failed(self, message: str) -> None:
        _print(f"fatal: [{self._host}]: FAILED! => {json.dumps({'changed': False, 'msg': message})}")

    def recap(self, numbers: str) -> None:
        _print(f"\n{_starred('PLAY RECAP')}\n{self._host:<26} : {numbers}")


class UnixyOutput:
    def __init__(self, host: str) -> None:
        self._host = host

    def begin(self, play: str) -> None:
        _print("Executing playbook wolf.yml\n")
        _print(f"- {play} on hosts: all -")

    def task(self, name: str) -> None:
        _print(f"{name}...")

    def done(self, *, changed: bool) -> None:
        _print(f"  {self._host} {'done' if changed else 'ok'}")

    def skipped(self) -> None:
        _print(f"  {self._host} skipped | msg: Conditional result was False")

    def failed(self, message: str) -> None:
        _print(f"  {self._host} failed | msg: {message}")

    def recap(self, numbers: str) -> None:
        _print(f"\n- Play recap -\n  {self._host}  : {numbers}")


def output_for(host: str) -> Output:
    name = os.environ.get("ANSIBLE_STDOUT_CALLBACK", "default")
    return UnixyOutput(host) if name.rpartition(".")[2] == "unixy" else DefaultOutput(host)


def _starred(words: str) -> str:
    return f"{words} {'*' * max(3, WIDTH - len(words))}"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
