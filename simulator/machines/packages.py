"""The package database of a machine, and what each package brings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from simulator.clock import Clock
from simulator.machines import image
from simulator.machines.files import Files
from simulator.machines.tree import ROOT_UID, FileTree

INSTALL_FAILS = "install-fails"  # a fault
INSTALLED_FILE = "/var/lib/dpkg/installed"
PERIODIC_FILE = "/etc/apt/apt.conf.d/99-gamer"
DRIVER = "nvidia-driver-590-server"
DRIVER_VERSION = "590.48.01"
BASE = ("bash", "ca-certificates", "cloud-init", "coreutils", "curl", "nftables", "openssh-server", "sudo", "systemd")
# The packages that are installed here, with their version in Ubuntu 24.04 or their maker's archive.
VERSIONS: Mapping[str, str] = {
    "docker-ce": "5:28.0.1-1~ubuntu.24.04~noble",
    "docker-compose-plugin": "2.33.1-1~ubuntu.24.04~noble",
    "fuse3": "3.14.0-5build1",
    "linux-modules-extra": "6.8.0-55.57",
    "nvidia-container-toolkit": "1.19.0-1",
    DRIVER: f"{DRIVER_VERSION}-0ubuntu1",
    "rclone": "1.60.1+dfsg-3ubuntu0.24.04.3",
}
PROGRAMS: Mapping[str, str] = {"docker-ce": "docker", "fuse3": "fusermount3", "rclone": "rclone"}


class PackageError(Exception):
    """What apt prints on stderr when it installs nothing."""


class Packages:
    def __init__(self, tree: FileTree, clock: Clock, faults: Collection[str]) -> None:
        self._files = Files(tree, ROOT_UID)
        self._clock = clock
        self._faults = faults

    def installed(self) -> set[str]:
        there = self._files.is_file(INSTALLED_FILE)
        return {*BASE, *(self._files.read_text(INSTALLED_FILE).split() if there else ())}

    def preinstall(self, names: Sequence[str]) -> None:
        """Install packages that the disk's image brings."""
        for name in names:
            self._add(name)

    @property
    def upgrade_themselves(self) -> bool:
        """Return whether the machine updates itself after its first boot, and holds apt's lock meanwhile."""
        return not (
            self._files.is_file(PERIODIC_FILE) and 'Periodic::Enable "0"' in self._files.read_text(PERIODIC_FILE)
        )

    async def update(self) -> None:
        await self._clock.sleep(self._clock.delays.update_s)

    async def install(self, names: Sequence[str]) -> list[str]:
        """Install packages, and return those that were missing. Raises PackageError."""
        if unknown := [name for name in names if name not in VERSIONS and name not in BASE]:
            raise PackageError(f"E: Unable to locate package {unknown[0]}")
        missing = [name for name in dict.fromkeys(names) if name not in self.installed()]
        if missing and INSTALL_FAILS in self._faults:
            await self._clock.sleep(self._clock.delays.update_s)
            raise PackageError(
                f"E: Failed to fetch {missing[0]}  Connection failed [IP: 91.189.91.82 80]\n"
                "E: Unable to fetch some archives, maybe run apt-get update?"
            )
        for name in missing:
            await self._clock.sleep(self._clock.delays.of_package(name))
            self._add(name)
        return missing

    def _add(self, package: str) -> None:
        if package in PROGRAMS:
            image.install(self._files, PROGRAMS[package])
        if package == DRIVER:
            self._files.mkdir("/sys/module/nvidia", parents=True)
            self._files.write("/sys/module/nvidia/version", f"{DRIVER_VERSION}\n")
            self._files.mkdir("/sys/module/nvidia_drm/parameters", parents=True)
            self._files.write("/sys/module/nvidia_drm/parameters/modeset", "Y\n")
        self._files.mkdir(INSTALLED_FILE.rpartition("/")[0], parents=True)
        packages = self.installed() - set(BASE) | {package}
        self._files.replace(INSTALLED_FILE, "\n".join(sorted(packages)) + "\n")
