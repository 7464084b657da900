"""The documents that this client sends: exact copies of the service's trusted documents."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def document(name: str) -> str:
    """Return the text of an operation."""
    return files(__package__).joinpath("operations", f"{name}.graphql").read_text(encoding="utf-8")
