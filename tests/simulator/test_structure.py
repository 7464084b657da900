"""The files of the simulator: small, and none imports one that imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES: Mapping[str, Path] = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "simulator").rglob("*.py")
}


def test_no_file_imports_one_that_imports_it() -> None:
    try:
        TopologicalSorter({name: set(_imports(path)) for name, path in FILES.items()}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_file_has_less_than_300_lines() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in FILES.items()}

    assert {name: length for name, length in lengths.items() if length >= 300} == {}


def _imports(path: Path) -> Iterator[str]:
    """Yield the simulator's modules that a file imports, those for types among them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield from [full] if full in FILES else [node.module] if node.module in FILES else []
