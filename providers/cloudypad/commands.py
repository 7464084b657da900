"""CloudyPad's command lines, as version 0.45 reads them: every option is given, so that nothing prompts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from errors import ProviderRefusedError

# CloudyPad wants a name that lodash's kebabCase leaves as it is: letters and digits may not touch.
_NAME: Final = re.compile(r"(?:[a-z]+|[0-9]+)(?:-(?:[a-z]+|[0-9]+))*")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

# Prompts cannot be answered, a run on an existing state goes on, and pairing would want a terminal.
_UNATTENDED: Final = ("--yes", "--overwrite-existing", "--skip-pairing")
# One attempt of CloudyPad's; Ansible is still run twice. Whoever calls repeats with patience.
_NO_RETRIES: Final = ("--retries", "0")
# A stop turns the machine off and keeps it with its disks. CloudyPad's default deletes it on every stop and makes it
# anew from an image of the day it was set up: without pairings, the game's configuration and its host key.
_KEPT_ON_STOP: Final = (
    *("--data-disk-snapshot", "no", "--base-image-snapshot", "no"),
    *("--delete-instance-server-on-stop", "no"),
)


@dataclass(frozen=True, slots=True)
class GcpOrder:
    """A machine on Google Cloud, in CloudyPad's words. The data disk keeps what a stop would lose."""

    project_id: str
    region: str
    zone: str
    machine_type: str
    gpu_type: str
    disk_gb: int
    data_disk_gb: int
    disk_type: str = "pd-balanced"
    network_tier: str = "STANDARD"
    nic_type: str = "auto"
    spot: bool = False
    autostop_seconds: int | None = None


def create_ssh(name: str, host: str, user: str, key_path: Path) -> list[str]:
    return [
        *("create", "ssh", "--name", _checked(_NAME, name), *_UNATTENDED),
        *("--hostname", _checked(_HOST, host), "--ssh-user", _checked(_USER, user)),
        *("--ssh-private-key", str(key_path), "--streaming-server", "wolf", "--autostop", "no", *_NO_RETRIES),
    ]


def create_gcp(name: str, order: GcpOrder, key_path: Path) -> list[str]:
    return [
        *("create", "gcp", "--name", _checked(_NAME, name), *_UNATTENDED),
        *("--project-id", _checked(_WORD, order.project_id)),
        *("--region", _checked(_WORD, order.region), "--zone", _checked(_WORD, order.zone)),
        *("--machine-type", _checked(_WORD, order.machine_type), "--gpu-type", _checked(_WORD, order.gpu_type)),
        *("--disk-size", str(order.disk_gb), "--data-disk-size", str(order.data_disk_gb)),
        *("--disk-type", _checked(_WORD, order.disk_type), "--network-tier", _checked(_WORD, order.network_tier)),
        *("--nic-type", _checked(_WORD, order.nic_type), "--spot", _yes_no(order.spot), "--cost-alert", "no"),
        *("--streaming-server", "wolf", *_autostop(order.autostop_seconds)),
        *_KEPT_ON_STOP,
        *("--ssh-private-key", str(key_path), *_NO_RETRIES),
    ]


def get(name: str) -> list[str]:
    return ["get", _checked(_NAME, name)]


def version() -> list[str]:
    return ["--version"]


def list_names() -> list[str]:
    return ["list", "--format", "json"]


def start(name: str, wait_s: int) -> list[str]:
    return ["start", _checked(_NAME, name), "--wait", "--timeout", str(wait_s), *_NO_RETRIES]


def stop(name: str, wait_s: int) -> list[str]:
    return ["stop", _checked(_NAME, name), "--wait", "--timeout", str(wait_s), *_NO_RETRIES]


def restart(name: str, wait_s: int) -> list[str]:
    """Google machines refuse a restart without `--wait`."""
    return ["restart", _checked(_NAME, name), "--wait", "--timeout", str(wait_s), *_NO_RETRIES]


def provision(name: str) -> list[str]:
    return ["provision", _checked(_NAME, name), "--yes", *_NO_RETRIES]


def configure(name: str) -> list[str]:
    return ["configure", _checked(_NAME, name), *_NO_RETRIES]


def deploy(name: str) -> list[str]:
    return ["deploy", _checked(_NAME, name), "--yes", *_NO_RETRIES]


def destroy(name: str) -> list[str]:
    return ["destroy", _checked(_NAME, name), "--yes", *_NO_RETRIES]


def unlocking(argv: list[str]) -> list[str]:
    """The same command over a lock that an earlier run left when it was killed."""
    return argv if "--force-pulumi-cancel" in argv else [*argv, "--force-pulumi-cancel"]


def _checked(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ProviderRefusedError(f"CloudyPad cannot be told {value[:64]!r}")
    return value


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _autostop(seconds: int | None) -> tuple[str, ...]:
    return ("--autostop", "no") if seconds is None else ("--autostop", "--autostop-timeout", str(seconds))
