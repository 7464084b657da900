"""Lists of the trusted documents for clients that send hashes: `python -m schema.manifests` writes them.

The ids are SHA-256 of the documents as the clients print them, all of which the service knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from graphql import OperationDefinitionNode, parse

from schema.execution.trusted_documents import FOLDER, printed, sha256_of

CLIENTS: Final = Path(__file__).parents[1] / "docs" / "clients"


def apollo_manifest() -> str:
    """Return the manifest in Apollo's format. Its documents have `__typename`, as Apollo Client sends them."""
    operations = [
        {"id": sha256_of(body), "name": name, "type": kind, "body": body}
        for name, kind, body in _documents(typenames=True)
    ]
    return _as_json({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations})


def relay_manifest() -> str:
    """Return the manifest in Relay's format, texts by their hashes, for `"algorithm": "SHA256"`."""
    return _as_json({sha256_of(body): body for _, _, body in _documents(typenames=False)})


MANIFESTS: Final = MappingProxyType({"apollo-manifest.json": apollo_manifest, "relay-manifest.json": relay_manifest})


def _documents(*, typenames: bool) -> Iterator[tuple[str, str, str]]:
    """Yield name, kind and printed text of each trusted document."""
    for file in sorted(FOLDER.glob("*.graphql")):
        text = file.read_text(encoding="utf-8")
        (operation,) = parse(text, no_location=True).definitions
        assert isinstance(operation, OperationDefinitionNode)
        yield file.stem, operation.operation.value, printed(text, typenames=typenames)


def _as_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


if __name__ == "__main__":
    CLIENTS.mkdir(exist_ok=True)
    for name, manifest in MANIFESTS.items():
        (CLIENTS / name).write_text(manifest(), encoding="utf-8")
