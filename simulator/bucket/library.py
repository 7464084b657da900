"""The first content of the simulated bucket: placeholders for games, and one save."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

from simulator.bucket.pictures import cover
from simulator.bucket.store import ObjectStore

# platform: (extension, games). The names and bytes are made up, but for the first game that people try.
GAMES = {
    "nes": ("nes", ("lantern-keeper", "pixel-plumber", "star-courier")),
    "snes": ("sfc", ("castle-of-clouds", "kart-of-kites", "moon-harvest")),
    "gb": ("gb", ("block-garden", "pocket-quest", "tiny-trains")),
    "gba": ("gba", ("advance-orchard", "golden-compass", "mirror-valley")),
    "nds": ("nds", ("double-diary", "stylus-safari", "two-screen-tales")),
    "n3ds": ("3ds", ("depth-divers", "paper-lagoon", "street-parade")),
    "gc": ("iso", ("cube-regatta", "dolphin-bay", "manor-of-mist")),
    "wii": ("iso", ("bowling-for-bears", "island-games", "swing-and-sing")),
    "switch": ("nsp", ("mario-odyssey", "harbour-horizons", "joy-kart")),
}
GAME_BYTES = 4096
# What RetroArch starts games with, and the files of its menu: names alone, as much a placeholder as the games.
CORES = ("fceumm", "snes9x", "gambatte", "mgba", "melondsds")
ASSETS = ("assets", "autoconfig")
SAVE = "saves/users/developer/SWITCH/mario-odyssey/main/current.tar.gz"
SAVE_FILES = {
    ".local/share/citron/nand/user/save/0000000000000000/developer/0100000000010000/SaveData0.bin": b"moons=42\n",
    ".local/share/citron/nand/user/save/0000000000000000/developer/0100000000010000/Common.bin": b"hat=red\n",
}
SAVED_AT = 1767225600


def seed(store: ObjectStore, bucket: str) -> None:
    """Fill a bucket that does not exist yet. One that exists is left as it is."""
    if bucket in store.buckets():
        return
    store.create_bucket(bucket)
    for platform, (extension, games) in GAMES.items():
        for game in games:
            store.write(bucket, f"roms/{platform}/{game}.{extension}", _made_up(platform, game))
            store.write(bucket, f"covers/{platform}/{game}.png", cover(f"{platform}/{game}"))
    for core in CORES:
        store.write(bucket, f"cores/{core}_libretro.so", f"A placeholder, not a core: {core}.\n".encode())
    for part in ASSETS:
        store.write(bucket, f"cores/{part}.zip", f"A placeholder, not an archive: {part}.\n".encode())
    store.write(bucket, SAVE, _archive(), resource={"contentType": "application/gzip"})


def _made_up(platform: str, game: str) -> bytes:
    """Return made-up bytes, the same for the same game."""
    head = f"A placeholder, not a game: {game} for {platform}.\n".encode()
    return head + hashlib.shake_256(f"{platform}/{game}".encode()).digest(GAME_BYTES - len(head))


def _archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in SAVE_FILES.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime, member.mode = len(content), SAVED_AT, 0o644
            member.uid = member.gid = 1000
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=SAVED_AT)
