"""Files that an emulator needs besides its image: libretro cores, and the assets of RetroArch's menu.

The images contain neither. Machines get the contents of the bucket's cores/ folder, once.
"""

from __future__ import annotations

from typing import Final

from providers.storage.bucket import Bucket
from streaming.apps import ASSETS, CORE_FOLDER
from streaming.ssh import Shell

_CORE_BYTES: Final = 128 * 2**20
_ASSET_BYTES: Final = 512 * 2**20


async def bring_core(shell: Shell, bucket: Bucket, core: str) -> bool:
    """Copy a core and RetroArch's assets to the machine.

    Returns whether the core is there. Without it, no game of its console starts.
    """
    file = f"{core}_libretro.so"
    if await _is_there(shell, file):
        return True
    await shell.sudo("install", "-d", "-m", "0755", CORE_FOLDER)
    for part in ASSETS:
        if not await _is_there(shell, f"{part}.zip"):
            await _bring(shell, bucket, f"{part}.zip", _ASSET_BYTES)
    return await _bring(shell, bucket, file, _CORE_BYTES)  # last, so that its presence implies the others


async def _is_there(shell: Shell, file: str) -> bool:
    return (await shell.run("test", "-f", f"{CORE_FOLDER}/{file}", expected=(0, 1))).exit_status == 0


async def _bring(shell: Shell, bucket: Bucket, file: str, limit_bytes: int) -> bool:
    found = await bucket.read(f"cores/{file}", limit_bytes)
    if found is None:
        return False
    await shell.write_file(f"{CORE_FOLDER}/{file}", found[1], 0o644)
    return True
