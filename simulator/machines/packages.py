"""Which packages are installed, and what they bring."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.machines import image
from simulator.machines.files import Files
from simulator.machines.tree import ROOT_UID, FileTree

INSTALLED_FILE = "/var/lib/dpkg/installed"
BASE = (
    "bash",
    "ca-certificates",
    "cloud-init",
    "coreutils",
    "curl",
    "nftables",
    "openssh-server",
    "sudo",
    "systemd",
    "tar",
)
# The packages that somebody installs here, with their version in Ubuntu 24.04 or their maker's archive.
VERSIONS: Mapping[str, str] = {
    "ca-certificates": "20240203",
    "containerd.io": "1.7.27-1",
    "curl": "8.5.0-2ubuntu10.6",
    "docker-buildx-plugin": "0.21.1-1~ubuntu.24.04~noble",
    "docker-ce": "5:28.0.1-1~ubuntu.24.04~noble",
    "docker-ce-cli": "5:28.0.1-1~ubuntu.24.04~noble",
    "docker-compose-plugin": "2.33.1-1~ubuntu.24.04~noble",
    "docker-compose-v2": "2.33.0+ds1-0ubuntu1",
    "docker.io": "26.1.3-0ubuntu1",
    "fuse3": "3.14.0-5build1",
    "gnupg": "2.4.4-2ubuntu17",
    "jq": "1.7.1-3build1",
    "linux-modules-extra": "6.8.0-55.57",
    "netcat-openbsd": "1.226-1ubuntu2",
    "nvidia-container-toolkit": "1.19.0-1",
    "nvidia-driver-590-server": "590.48.01-0ubuntu1",
    "nvidia-utils-590-server": "590.48.01-0ubuntu1",
    "python3-venv": "3.12.3-0ubuntu2",
    "rclone": "1.60.1+dfsg-3ubuntu0.24.04.3",
    "rsync": "3.2.7-1ubuntu1",
    "unzip": "6.0-28ubuntu4",
}
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "docker-ce": ("docker",),
    "docker.io": ("docker",),
    "fuse3": ("fusermount3",),
    "nvidia-driver-590-server": ("nvidia-smi",),
    "rclone": ("rclone",),
}
DEPENDS: Mapping[str, tuple[str, ...]] = {
    "docker-ce": ("docker-ce-cli", "containerd.io"),
    "nvidia-driver-590-server": ("nvidia-utils-590-server",),
}
DRIVER_VERSION = "590.48.01"


class Packages:
    """The package database of one machine."""

    def __init__(self, tree: FileTree) -> None:
        self._files = Files(tree, ROOT_UID)

    @staticmethod
    def programs_of_packages() -> set[str]:
        """What a fresh machine lacks."""
        return {program for programs in PROGRAMS.values() for program in programs}

    @staticmethod
    def exists(package: str) -> bool:
        return package in VERSIONS or package in BASE

    def installed(self) -> set[str]:
        there = self._files.is_file(INSTALLED_FILE)
        return {*BASE, *(self._files.read_text(INSTALLED_FILE).split() if there else ())}

    def has(self, package: str) -> bool:
        return package in self.installed()

    def missing(self, packages: list[str]) -> list[str]:
        """These and what they depend on, less what is installed."""
        wanted = [one for package in packages for one in (*DEPENDS.get(package, ()), package)]
        return [package for package in dict.fromkeys(wanted) if package not in self.installed()]

    def add(self, package: str) -> None:
        for program in PROGRAMS.get(package, ()):
            image.install(self._files, program)
        if package == "nvidia-driver-590-server":
            self._files.mkdir("/sys/module/nvidia", parents=True)
            self._files.write("/sys/module/nvidia/version", f"{DRIVER_VERSION}\n")
        self._write(self.installed() | {package})

    def remove(self, package: str) -> None:
        for program in PROGRAMS.get(package, ()):
            image.uninstall(self._files, program)
        self._write(self.installed() - {package})

    def _write(self, packages: set[str]) -> None:
        self._files.mkdir(INSTALLED_FILE.rpartition("/")[0], parents=True)
        self._files.replace(INSTALLED_FILE, "\n".join(sorted(packages - set(BASE))) + "\n")
