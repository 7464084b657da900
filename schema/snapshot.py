"""`python -m schema.snapshot` writes the schema to graphql/schema.graphql, so that API changes show in a diff."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schema.root import sdl

SNAPSHOT: Final = Path(__file__).parent.parent / "graphql" / "schema.graphql"

if __name__ == "__main__":
    SNAPSHOT.write_text(sdl(), encoding="utf-8")
