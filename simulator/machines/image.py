"""The disk of a new machine: as much of Ubuntu as the service reads."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.machines.files import Files
from simulator.machines.tree import ROOT_UID, FileTree

PROGRAM_FOLDER = "/usr/bin"
FOLDERS = (
    *("/boot", "/dev/dri", "/dev/input", "/etc/ssh", "/etc/sudoers.d", "/etc/systemd/system", "/etc/udev/rules.d"),
    *("/home", "/media", "/mnt", "/opt", "/proc/self", "/proc/sys/kernel/random", "/run/systemd", "/run/udev", "/srv"),
    *("/sys/module", "/usr/lib/systemd/system", "/usr/local/bin", "/usr/local/sbin", "/usr/share", "/var/cache"),
    *("/var/lib/cloud/instance", "/var/lib/docker", "/var/log"),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/fuse", "/dev/kmsg", "/dev/dri/renderD128", "/dev/nvidia0", "/dev/nvidiactl")
LINKS = {"/bin": "usr/bin", "/sbin": "usr/bin", "/usr/sbin": "bin", "/lib": "usr/lib"}


def write_disk(tree: FileTree, hostname: str, programs: Iterable[str]) -> None:
    """Create the disk of a machine that was never on."""
    files = Files(tree, ROOT_UID)
    tree.root.mkdir(parents=True)
    for folder in (PROGRAM_FOLDER, *FOLDERS):
        files.mkdir(folder, parents=True)
    for folder, mode in (("/root", 0o700), ("/var/tmp", 0o1777), ("/tmp", 0o1777)):
        files.mkdir(folder, mode)
    for link, target in LINKS.items():
        files.symlink(target, link)
    for device in DEVICES:
        (tree.root / device.lstrip("/")).touch()
        files.chmod(device, 0o666)
    for name in programs:
        install(files, name)
    files.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    files.write("/etc/hostname", f"{hostname}\n")
    files.write("/proc/self/mounts", "")


def install(files: Files, program: str) -> None:
    """Put a program where it is searched for. Its file only shows that it is there."""
    path = f"{PROGRAM_FOLDER}/{program}"
    files.write(path, f"simulated {program}\n")
    files.chmod(path, 0o755)
