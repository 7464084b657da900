"""Builds the disk of a real machine: a distribution's own packages, put there by debootstrap and apt.

The distribution comes from the package source that this system is configured with, so no address is named here. An
Ubuntu disk is built as well when REAL_MACHINE_UBUNTU_MIRROR names a mirror.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    *("openssh-server", "sudo", "systemd-sysv", "dbus", "udev", "kmod", "cloud-init", "locales", "libpam-systemd"),
    *("python3", "rclone", "fuse3", "nftables", "docker.io", "curl", "procps", "iproute2", "openssl", "cpio"),
)
# Units that would configure the network or the devices of the system that the machine shares.
MASKED: Final = (
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service"),
    *("systemd-resolved.service", "systemd-timesyncd.service", "systemd-udevd.service", "ssh.socket"),
    *("console-getty.service", "getty@tty1.service", "systemd-firstboot.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer"),
)
# No bridge and no firewall rules: both would be those of the system that the machine shares.
DOCKER: Final = '{"bridge": "none", "iptables": false, "ip-forward": false, "ip-masq": false}\n'
_POLICY: Final = "#!/bin/sh\nexit 101\n"  # packages start no service while the disk is being built


@dataclass(frozen=True, slots=True)
class Distribution:
    name: str
    mirror: str
    component: str


def distributions() -> list[Distribution]:
    """Return what can be built here: this system's own distribution, and Ubuntu where a mirror is named."""
    found = [Distribution(_codename(), _own_mirror(), "main")]
    if ubuntu := os.environ.get("REAL_MACHINE_UBUNTU_MIRROR"):
        found.append(Distribution("noble", ubuntu, "main,universe"))
    return found


def build(distribution: Distribution, cache: Path) -> Path:
    """Return the folder of a finished disk, built once per list of packages; about four minutes the first time."""
    text = f"{distribution} {Path(__file__).read_text()}"
    root = cache / f"{distribution.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if (root / "built").exists():
        return root / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    disk = root / "root"
    with (root / "build.log").open("wb") as log:
        _run(
            log,
            "debootstrap",
            "--variant=minbase",
            f"--components={distribution.component}",
            distribution.name,
            str(disk),
            distribution.mirror,
        )
        _configure_apt(disk, distribution)
        _run(log, "chroot", str(disk), "/bin/sh", "-euc", _STEPS, "sh", *PACKAGES)
    _configure(disk)
    (root / "built").touch()
    return disk


_STEPS: Final = """
export DEBIAN_FRONTEND=noninteractive
unset TMPDIR
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
id user 2>/dev/null || useradd --create-home --uid 1000 --shell /bin/bash user
chmod 0750 /home/user
echo 'user ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-image
chmod 0440 /etc/sudoers.d/90-image
rm -f /etc/ssh/ssh_host_* /etc/machine-id
apt-get clean
"""


def _configure_apt(disk: Path, distribution: Distribution) -> None:
    """Give the machine this system's way to its packages: proxies, certificates and keys included."""
    shutil.copytree("/etc/apt/apt.conf.d", disk / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    for file in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copy(file, disk / file.lstrip("/"))
    if Path("/etc/ssl/certs/ca-certificates.crt").exists():
        (disk / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", disk / "etc/ssl/certs/ca-certificates.crt")
    components = distribution.component.replace(",", " ")
    (disk / "etc/apt/sources.list").write_text(f"deb {distribution.mirror} {distribution.name} {components}\n")
    policy = disk / "usr/sbin/policy-rc.d"
    policy.write_text(_POLICY)
    policy.chmod(0o755)


def _configure(disk: Path) -> None:
    (disk / "usr/sbin/policy-rc.d").unlink()
    for unit in MASKED:
        link = disk / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    (disk / "etc/docker").mkdir(exist_ok=True)
    (disk / "etc/docker/daemon.json").write_text(DOCKER)
    (disk / "etc/cloud/cloud.cfg.d/90-machine.cfg").write_text(
        "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nmanage_etc_hosts: false\nlocale: false\n"
    )
    # The machine runs without a way to the outside: everything it may ask apt for is on the disk already.
    packages = disk / "var/local/packages"
    packages.mkdir()
    (packages / "Packages").touch()
    (disk / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/var/local/packages ./\n")
    for old in (disk / "etc/apt/sources.list.d").glob("*"):
        old.unlink()


def _codename() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise RuntimeError("/etc/os-release names no VERSION_CODENAME")


def _own_mirror() -> str:
    """Return the source that apt takes this distribution's main packages from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(IDENTIFIER) $(CODENAME) $(COMPONENT) $(REPO_URI)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for line in listed.splitlines():
        identifier, codename, component, uri = line.split(" ", 3)
        if (identifier, codename, component) == ("Packages", _codename(), "main"):
            return uri
    raise RuntimeError("apt knows no source for this system's own distribution: run apt-get update")


def _run(log: object, *argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed with {done.returncode}; see build.log")
