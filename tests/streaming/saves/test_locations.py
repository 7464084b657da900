from __future__ import annotations

import pytest

from streaming.saves.locations import SAVE_FOLDERS, SaveKind, kind_of

YUZU = ".local/share/yuzu/nand"
TITLE = "sdmc/Nintendo 3DS/00000000000000000000000000000000/00000000000000000000000000000000/title/00040000/00030800"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".config/retroarch/saves/mGBA/Metroid.srm", SaveKind.GAME),
        (".config/retroarch/saves/Metroid.rtc", SaveKind.GAME),
        (".config/retroarch/states/mGBA/Metroid.state.auto", SaveKind.STATE),
        (".config/retroarch/states/Metroid.state3.png", SaveKind.STATE),
        (".local/share/dolphin-emu/GC/USA/Card A/8P-GZLE-gczelda.gci", SaveKind.GAME),
        (".local/share/dolphin-emu/GC/USA/IPL.bin", None),
        (".local/share/dolphin-emu/GBA/Saves/Metroid-1.sav", SaveKind.GAME),
        (".local/share/dolphin-emu/Load/WiiSD.raw", SaveKind.GAME),
        (".local/share/dolphin-emu/Wii/title/00010000/524d4745/data/save.bin", SaveKind.GAME),
        (".local/share/dolphin-emu/Wii/title/00010001/48414441/content/00000000.app", None),
        (".local/share/dolphin-emu/Wii/shared2/menu/FaceLib/RFL_DB.dat", SaveKind.GAME),
        (".local/share/dolphin-emu/StateSaves/GZLE01.s01", SaveKind.STATE),
        (f".local/share/azahar-emu/{TITLE}/data/00000001/system.dat", SaveKind.GAME),
        (f".local/share/azahar-emu/{TITLE}/content/00000000.app", None),
        (".local/share/citra-emu/nand/data/0/sysdata/00010022/00000000/extdata", SaveKind.GAME),
        (".local/share/azahar-emu/states/0004000000030800.01.cst", SaveKind.STATE),
        (f"{YUZU}/user/save/0000000000000000/AB/0100000000010000/main", SaveKind.GAME),
        (f"{YUZU}/user/save/cache/0100000000010000/shaders", None),
        (f"{YUZU}/system/save/8000000000000010/su/avators/profiles.dat", SaveKind.GAME),
        (".config/Ryujinx/bis/user/save/0000000000000001/0/main", SaveKind.GAME),
        (".config/Ryujinx/bis/system/save/8000000000000000/0/imkvdb.arc", SaveKind.GAME),
        (".config/Ryujinx/system/Profiles.json", SaveKind.GAME),
        (".local/share/Cemu/mlc01/usr/save/system/act/80000001/account.dat", SaveKind.GAME),
        (".config/retroarch/saves/melonDS DS/dsi_sd_card.bin", SaveKind.GAME),
        (".config/retroarch/system/melonDS DS/wfcsettings.bin", SaveKind.GAME),
        (".config/melonDS/rtc.bin", SaveKind.GAME),
        (".config/melonDS/wfcsettings.bin", SaveKind.GAME),
        (f".local/share/lime3ds-emu/{TITLE}/data/00000001/system.dat", SaveKind.GAME),
        (".local/share/azahar-emu/states/0004000000030800.movie00000000000000AB.01.cst", SaveKind.STATE),
        ("Games/gba/metroid.sav", SaveKind.GAME),
        ("Games/gba/metroid.sa2", SaveKind.GAME),
        ("Games/gba/metroid-0.png", None),
        ("Games/gba/metroid.ss1", SaveKind.STATE),
        ("Games/nds/mario.ml3", SaveKind.STATE),
    ],
)
def test_every_emulators_files_are_taken_for_what_they_are(path: str, kind: SaveKind | None) -> None:
    assert kind_of(path) is kind
    assert any(path == folder or path.startswith(f"{folder}/") for folder in SAVE_FOLDERS)


@pytest.mark.parametrize(
    "path",
    [
        ".config/melonDS/melonDS.toml",
        ".config/retroarch/system/melonDS DS/dsi_nand.bin",
        ".config/retroarch/retroarch.cfg",
        ".local/share/azahar-emu/sysdata/aes_keys.txt",
        ".local/share/Cemu/mlc01/usr/title/00050000/10143500/code/title.tik",
        ".local/share/Cemu/mlc01/usr/boss/00050000/10143500/user/common/data/x/00000001",
    ],
)
def test_settings_firmware_keys_and_what_was_installed_are_left_on_the_machine(path: str) -> None:
    assert not any(path == folder or path.startswith(f"{folder}/") for folder in SAVE_FOLDERS)
