"""Prepares a machine for an image of its disk, from which other machines are created."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Final

from providers.base import ProgressCallback
from streaming.images import pull_image
from streaming.library_mount import KEY_FILE
from streaming.pairing import USED_FILE
from streaming.saves.slots import STATE_ROOT
from streaming.ssh import Shell
from streaming.wolf import CONFIG, serialize

_WOLF_IDENTITY: Final = (f"{STATE_ROOT}/cfg/key.pem", f"{STATE_ROOT}/cfg/cert.pem")
_MACHINE_ID: Final = "/etc/machine-id"  # an empty one is made anew at the next boot


async def prepare_for_image(shell: Shell, images: Sequence[str], report: ProgressCallback) -> None:
    """Pull these container images, and delete what no other machine may have: identities, pairings and credentials.

    Mounting the library writes its key again; until then, the mount of this machine goes on without the file. The
    machine was never played on, so it has no saves. The marks of its empty slot stay: without them its stop
    would report saves that were not uploaded. SSH host keys stay too, because SSH would not work without them until
    the machine is stopped. The first boot of another machine makes new ones, which its first connection verifies.
    May be repeated.
    """
    for image in images:
        await pull_image(shell, image, report)
    await _forget_wolf(shell)
    await shell.sudo("rm", "-f", KEY_FILE, USED_FILE)
    await shell.write_file(_MACHINE_ID, b"", 0o444)


async def _forget_wolf(shell: Shell) -> None:
    """Let Wolf make a new key and certificate at its next start, with a new id and without paired devices."""
    existing = await shell.read_file(CONFIG)
    if existing is not None:
        config = tomllib.loads(existing.decode(errors="replace"))
        config.pop("uuid", None)
        config["paired_clients"] = []
        await shell.write_file(CONFIG, serialize(config).encode(), 0o644, in_place=True)
    await shell.sudo("rm", "-f", *_WOLF_IDENTITY)
