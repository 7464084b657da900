"""The excerpt of GeoNames that comes with the service."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from placement.build_towns import write
from placement.towns import COUNTRIES_FILE, TOWNS_FILE, load_towns, name_hash


@pytest.mark.timeout(240)  # the package is parsed as a whole
def test_the_files_are_what_the_locked_package_gives(tmp_path: Path) -> None:
    write(tmp_path / "towns.npz", tmp_path / "countries.tsv")

    assert (tmp_path / "countries.tsv").read_text(encoding="utf-8") == COUNTRIES_FILE.read_text(encoding="utf-8")
    with np.load(tmp_path / "towns.npz") as made, np.load(TOWNS_FILE) as kept:
        assert made.files == kept.files
        assert all(np.array_equal(made[name], kept[name]) for name in made.files)


def test_a_name_has_the_same_hash_in_every_process() -> None:
    assert name_hash("berlin") == -2962683422506289089


def test_no_two_names_of_the_lists_share_a_town_twice() -> None:
    towns = load_towns()

    pairs = np.stack([towns.name_hashes, towns.named_towns])

    assert np.unique(pairs, axis=1).shape == pairs.shape
