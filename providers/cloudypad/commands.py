"""CloudyPad's command lines for version 0.45. Every option is given, so that nothing prompts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from errors import ProviderRefusedError

# CloudyPad requires names that lodash's kebabCase leaves unchanged: letters and digits must not be adjacent.
_NAME: Final = re.compile(r"(?:[a-z]+|[0-9]+)(?:-(?:[a-z]+|[0-9]+))*")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

# Prompts cannot be answered, an existing state is continued, and pairing would need a terminal.
_UNATTENDED: Final = ("--yes", "--overwrite-existing", "--skip-pairing")
# One attempt by CloudyPad (Ansible still runs twice). The caller repeats with a delay.
_NO_RETRIES: Final = ("--retries", "0")
# A stop turns the machine off and keeps it with its disks. By default CloudyPad deletes the server on every stop and
# recreates it from an image of the day of its set-up: without pairings, game configuration and host key.
_KEPT_ON_STOP: Final = (
    *("--data-disk-snapshot", "no", "--base-image-snapshot", "no"),
    *("--delete-instance-server-on-stop", "no"),
)


@dataclass(frozen=True, slots=True)
class GcpOrder:
    """Order of a Google Cloud machine in CloudyPad's terms. The data disk keeps what a stop would lose."""

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


# All parts of the set-up but the driver's, which restarts the machine several times.
_WITHOUT_DRIVER: Final = (
    "--ansible-args-override",
    "--tags prepare-install,docker,nvidia-container-toolkit,rate-limit,wolf,autostop",
)


def create_ssh(name: str, host: str, user: str, key_path: Path, *, has_driver: bool = False) -> list[str]:
    """Return the command that sets up a machine reachable over SSH, without the driver if it has one."""
    return [
        *("create", "ssh", "--name", _validate(_NAME, name), *_UNATTENDED),
        *("--hostname", _validate(_HOST, host), "--ssh-user", _validate(_USER, user)),
        *("--ssh-private-key", str(key_path), "--streaming-server", "wolf", "--autostop", "no", *_NO_RETRIES),
        *(_WITHOUT_DRIVER if has_driver else ()),
    ]


def create_gcp(name: str, order: GcpOrder, key_path: Path) -> list[str]:
    """Return the command that rents and sets up a machine at Google Cloud."""
    return [
        *("create", "gcp", "--name", _validate(_NAME, name), *_UNATTENDED),
        *("--project-id", _validate(_WORD, order.project_id)),
        *("--region", _validate(_WORD, order.region), "--zone", _validate(_WORD, order.zone)),
        *("--machine-type", _validate(_WORD, order.machine_type), "--gpu-type", _validate(_WORD, order.gpu_type)),
        *("--disk-size", str(order.disk_gb), "--data-disk-size", str(order.data_disk_gb)),
        *("--disk-type", _validate(_WORD, order.disk_type), "--network-tier", _validate(_WORD, order.network_tier)),
        *("--nic-type", _validate(_WORD, order.nic_type), "--spot", _yes_no(order.spot), "--cost-alert", "no"),
        *("--streaming-server", "wolf", *_autostop(order.autostop_seconds)),
        *_KEPT_ON_STOP,
        *("--ssh-private-key", str(key_path), *_NO_RETRIES),
    ]


def get(name: str) -> list[str]:
    """Return the command that describes an instance."""
    return ["get", _validate(_NAME, name)]


def version() -> list[str]:
    """Return the command that prints the version."""
    return ["--version"]


def list_names() -> list[str]:
    """Return the command that lists all instances as JSON."""
    return ["list", "--format", "json"]


def start(name: str, wait_s: int) -> list[str]:
    """Return the command that starts an instance and waits for it."""
    return ["start", _validate(_NAME, name), "--wait", "--timeout", str(wait_s), *_NO_RETRIES]


def stop(name: str, wait_s: int) -> list[str]:
    """Return the command that stops an instance and waits for it."""
    return ["stop", _validate(_NAME, name), "--wait", "--timeout", str(wait_s), *_NO_RETRIES]


def restart(name: str, wait_s: int) -> list[str]:
    """Return the command that restarts an instance. Google machines refuse a restart without `--wait`."""
    return ["restart", _validate(_NAME, name), "--wait", "--timeout", str(wait_s), *_NO_RETRIES]


def provision(name: str) -> list[str]:
    """Return the command that applies an instance's cloud resources."""
    return ["provision", _validate(_NAME, name), "--yes", *_NO_RETRIES]


def configure(name: str) -> list[str]:
    """Return the command that sets an instance up again."""
    return ["configure", _validate(_NAME, name), *_NO_RETRIES]


def deploy(name: str) -> list[str]:
    """Return the command that provisions an instance and sets it up."""
    return ["deploy", _validate(_NAME, name), "--yes", *_NO_RETRIES]


def destroy(name: str) -> list[str]:
    """Return the command that removes an instance and its resources."""
    return ["destroy", _validate(_NAME, name), "--yes", *_NO_RETRIES]


def with_lock_broken(argv: list[str]) -> list[str]:
    """Return the command with the option that breaks a lock left by a killed run."""
    return argv if "--force-pulumi-cancel" in argv else [*argv, "--force-pulumi-cancel"]


def _validate(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ProviderRefusedError(f"CloudyPad does not accept the value {value[:64]!r}")
    return value


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _autostop(seconds: int | None) -> tuple[str, ...]:
    return ("--autostop", "no") if seconds is None else ("--autostop", "--autostop-timeout", str(seconds))
