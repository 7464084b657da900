from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from streaming.saves.archive import DamagedArchiveError, Manifest, SavedFile, digest, pack, read_plain_files, unpack

FILES = {
    ".config/retroarch/saves/tetris.srm": SavedFile(b"high score", 1_700_000_000),
    ".config/retroarch/saves/a b;$(x).srm": SavedFile(b"", 1_700_000_001),
}
LIMIT = 10_000


def test_what_is_packed_is_unpacked_with_its_manifest() -> None:
    assert unpack(pack(FILES, Manifest("machine", 42)), LIMIT) == (FILES, Manifest("machine", 42))


def test_an_archive_without_a_manifest_is_taken_as_it_is() -> None:
    assert unpack(pack(FILES), LIMIT) == (FILES, None)


def test_an_archive_that_was_unzipped_on_its_way_is_read() -> None:
    assert unpack(gzip.decompress(pack(FILES, Manifest("machine", 42))), 100_000) == (FILES, Manifest("machine", 42))


def test_names_that_are_no_text_are_kept_and_vouched_for() -> None:
    files = {b"saves/\x83e\x83g.srm".decode(errors="surrogateescape"): SavedFile(b"level 7", 1_700_000_000)}

    assert unpack(pack(files, Manifest("machine", 42, "20261130T141500000000Z")), LIMIT) == (
        files,
        Manifest("machine", 42, "20261130T141500000000Z"),
    )


def test_files_that_the_manifest_does_not_vouch_for_are_refused() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(FILES, Manifest("machine", 42)))) as honest:
        document = honest.extractfile("manifest.json")
        assert document is not None
        forged = pack({**FILES, "manifest.json": SavedFile(document.read(), 0), "more": SavedFile(b"", 0)})

    with pytest.raises(DamagedArchiveError, match="differ from its manifest"):
        unpack(forged, LIMIT)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "..", "."])
def test_names_that_lead_out_of_the_folder_are_refused(name: str) -> None:
    with pytest.raises(DamagedArchiveError):
        unpack(made_of(member(name)), LIMIT)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused_from_the_bucket_and_left_out_from_a_machine(kind: bytes) -> None:
    packed = made_of(member("saves/link", kind=kind, link="/etc/passwd"), member("saves/x.srm", b"x"))

    with pytest.raises(DamagedArchiveError, match="not a file"):
        unpack(packed, LIMIT)

    assert list(read_plain_files(packed, LIMIT)) == ["saves/x.srm"]


def test_more_than_the_limit_is_refused_before_it_is_read() -> None:
    bomb = made_of(member("x", bytes(LIMIT + 1)))

    with pytest.raises(DamagedArchiveError, match="larger than"):
        unpack(bomb, LIMIT)


@pytest.mark.parametrize(
    "damage",
    [b"", b"not gzip", gzip.compress(b"not tar"), pack(FILES)[:60], pack(FILES)[:-20]],
    ids=["nothing", "no gzip", "no tar in gzip", "its beginning", "all but its end"],
)
def test_what_is_no_archive_is_refused(damage: bytes) -> None:
    with pytest.raises(DamagedArchiveError):
        unpack(damage, LIMIT)


def test_the_digest_is_of_names_and_contents_alone() -> None:
    other_times = {path: SavedFile(file.content, 0) for path, file in reversed(FILES.items())}

    assert digest(other_times) == digest(FILES)
    assert digest({"x": SavedFile(b"", 0)}) != digest({"y": SavedFile(b"", 0)})


def made_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content), link
    return info, content
