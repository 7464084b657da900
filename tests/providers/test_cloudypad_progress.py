"""What a player hears of Ansible's output, by its default callback and by that of CloudyPad's image."""

from __future__ import annotations

import pytest

from providers.cloudypad.progress import ProgressReporter

DEFAULT = """
PLAY [Wait for machine to be reachable (timeout: 10min)] ***********************

TASK [wait_for_connection] *****************************************************
ok: [203.0.113.7]

PLAY [all] *********************************************************************

TASK [Gathering Facts] *********************************************************
ok: [203.0.113.7]

TASK [roles/prepare-install : Check distribution] ******************************
ok: [203.0.113.7]

TASK [geerlingguy.docker : Install Docker packages.] ***************************
changed: [203.0.113.7]

TASK [geerlingguy.docker : Ensure handlers are notified now.] ******************

TASK [roles/nvidia-driver : Blacklist nouveau] *********************************
changed: [203.0.113.7]

TASK [roles/nvidia-driver : Reboot after dotrun driver install] ****************
changed: [203.0.113.7]

TASK [roles/wolf : Copy Wolf config.toml] **************************************
changed: [203.0.113.7]

TASK [Update the message of the day] *******************************************
ok: [203.0.113.7]

PLAY RECAP *********************************************************************
"""
UNIXY = """
Executing playbook wolf.yml

- wolf on hosts: all -
Wait for machine to be reachable (timeout: 10min)...
  203.0.113.7 ok
Install NVIDIA driver...
  203.0.113.7 done | msg: docker...
Copy Wolf config.toml...
"""


def heard(printed: str) -> list[str]:
    told: list[str] = []
    teller = ProgressReporter(told.append)
    for line in printed.splitlines():
        teller.feed(line)
    return told


def test_every_task_of_the_default_output_is_told_of_by_its_phase_or_its_name() -> None:
    assert heard(DEFAULT) == [
        "Waiting for the machine to respond",
        "Preparing the system",
        "Installing the container engine",
        "Installing the graphics driver",
        "Restarting the machine",
        "Installing the streaming server",
        "Setting the machine up: Update the message of the day",
    ]


def test_the_output_of_cloudypads_image_is_understood_too() -> None:
    assert heard(UNIXY) == [
        "Setting the machine up",
        "Waiting for the machine to respond",
        "Installing the graphics driver",
        "Installing the streaming server",
    ]


@pytest.mark.parametrize(
    "line", ["\x1b[0;32mTASK [roles/wolf : x] ****\x1b[0m", "RUNNING HANDLER [roles/wolf : x] ***"]
)
def test_colours_and_handlers_are_no_obstacle(line: str) -> None:
    assert heard(line) == ["Installing the streaming server"]


def test_a_name_that_holds_a_credential_is_told_without_it() -> None:
    (told,) = heard("TASK [set password: hunter2-hunter2] ****")

    assert "hunter2" not in told
