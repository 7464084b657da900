"""The manifests for Apollo and Relay name documents that the service runs by their hashes."""

from __future__ import annotations

import hashlib
import json

import pytest

from schema.execution.trusted_documents import TrustedDocuments
from schema.manifests import CLIENTS, MANIFESTS
from tests.gateway import OPERATIONS

DOCUMENTS = TrustedDocuments.of_folder()


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_current(name: str) -> None:
    assert (CLIENTS / name).read_text() == MANIFESTS[name](), "run `python -m schema.manifests`"


def test_apollos_manifest_has_every_operation_under_a_hash_that_is_known() -> None:
    manifest = json.loads((CLIENTS / "apollo-manifest.json").read_text())

    assert (manifest["format"], manifest["version"]) == ("apollo-persisted-query-manifest", 1)
    assert [each["name"] for each in manifest["operations"]] == sorted(
        file.stem for file in OPERATIONS.glob("*.graphql")
    )
    for each in manifest["operations"]:
        assert each["id"] == hashlib.sha256(each["body"].encode()).hexdigest()
        assert DOCUMENTS.get(each["id"]) == each["body"]
        assert f"{each['type']} {each['name']}" in each["body"]
        assert "__typename" in each["body"]


def test_relays_manifest_has_texts_by_hashes_that_are_known() -> None:
    manifest = json.loads((CLIENTS / "relay-manifest.json").read_text())

    assert len(manifest) == len(list(OPERATIONS.glob("*.graphql")))
    assert all(DOCUMENTS.get(sha256) == text for sha256, text in manifest.items())
