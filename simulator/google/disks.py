"""Disks kept apart from their machine: images of a whole disk, and single folders."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from simulator.machines.tree import FileTree, is_below

# No image carries these over: the identity of the machine, and its logs.
NOT_IN_IMAGES = (
    *("etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub"),
    *("var/lib/cloud/instance/boot-finished", "var/log/journal"),
)


def save(machine_folder: Path, image: Path, without: str) -> None:
    """Copy a machine's disk without the folder `without`."""
    _replace(machine_folder / "root", image / "root")
    shutil.copyfile(machine_folder / "owners.json", image / "owners.json")
    for path in (*NOT_IN_IMAGES, without.lstrip("/")):
        _remove(image / "root" / path)


def save_whole(machine_folder: Path, image: Path) -> None:
    """Copy a machine's whole disk, with its identity."""
    _replace(machine_folder / "root", image / "root")
    shutil.copyfile(machine_folder / "owners.json", image / "owners.json")


def renew(machine_folder: Path) -> None:
    """Delete what the first boot of another machine makes anew, as Ubuntu's cloud-init does with SSH host keys."""
    for path in NOT_IN_IMAGES:
        _remove(machine_folder / "root" / path)


def restore(image: Path, machine_folder: Path) -> None:
    """Write a machine's disk from an image. Without an image nothing happens."""
    if image.is_dir():
        _replace(image / "root", machine_folder / "root")
        shutil.copyfile(image / "owners.json", machine_folder / "owners.json")


def save_folder(tree: FileTree, folder: str, target: Path) -> None:
    """Copy a folder with its owners. Of a folder that is not there nothing is kept."""
    _remove(target)
    source = tree.host_path(folder)
    if source.is_dir():
        _replace(source, target / "content")
        owners = {path: uid for path, uid in tree.owners().items() if is_below(path, folder)}
        (target / "owners.json").write_text(json.dumps(owners))


def load_folder(tree: FileTree, folder: str, source: Path) -> None:
    if source.is_dir():
        _replace(source / "content", tree.host_path(folder))
        for path, uid in json.loads((source / "owners.json").read_text()).items():
            tree.own(path, uid)


def _replace(source: Path, target: Path) -> None:
    _remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, symlinks=True, ignore=_sockets)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sockets(folder: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if stat.S_ISSOCK((Path(folder) / name).lstat().st_mode)]
