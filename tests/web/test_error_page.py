"""docs/errors.md lists every code that a client can get, with its status over REST."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import errors
from schema.mutation_errors import KINDS, mutation_error
from web.error_responses import STATUSES

PAGE = Path("docs/errors.md").read_text(encoding="utf-8")
CODE = re.compile(r"[A-Z]+(_[A-Z]+)*")
NO_CODES = {"REFUSED"}  # of a base class, which is never raised itself


def listed() -> dict[str, str]:
    """Return the last column of each code."""
    return dict(re.findall(r"^\| `([A-Z_]+)` \|.*\| (\S+) \|$", PAGE, re.MULTILINE))


def written(tree: ast.AST) -> Iterator[str]:
    """Yield the codes in a module: values of `code`, constants, and arguments of functions that refuse."""
    for node in ast.walk(tree):
        values: list[ast.expr | None] = []
        match node:
            case ast.Assign(targets=[ast.Name(id="code")], value=value):
                values = [value]
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if name.isupper() and name[0] != "_":
                values = [value]
            case ast.Dict(keys=keys, values=found):
                values = [
                    v for k, v in zip(keys, found, strict=True) if isinstance(k, ast.Constant) and k.value == "code"
                ]
            case ast.Call(func=ast.Name(id="refused"), args=[_, value]):
                values = [value]
        for each in values:
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and CODE.fullmatch(each.value):
                yield each.value


def test_the_page_lists_every_code_that_the_code_names_and_no_other() -> None:
    files = [Path("errors.py"), *Path("schema/execution").glob("*.py"), *Path("web").glob("*.py")]
    found = {code for file in files for code in written(ast.parse(file.read_text(encoding="utf-8")))}

    assert set(listed()) == (found | set(STATUSES)) - NO_CODES


def test_the_page_has_the_status_of_each_code_over_rest() -> None:
    shown = {code: status for code, status in listed().items() if status != "-"}

    assert shown == {code: str(status) for code, status in STATUSES.items()}


@pytest.mark.parametrize(
    "refusal",
    [
        errors.InvalidInputError("x"),
        errors.IdempotencyKeyReusedError("x"),
        errors.NotFoundError("x"),
        errors.InvalidStateError("x", "RUNNING"),
        errors.NoPlacementError("x"),
        errors.SpendingLimitError("x", Decimal(1), Decimal(2)),
        errors.ProviderDownError("x", "TENSORDOCK"),
    ],
    ids=lambda refusal: refusal.code,
)
def test_the_page_has_the_type_of_each_refusal(refusal: errors.RefusedError) -> None:
    kind = type(mutation_error(refusal))

    assert kind in KINDS
    assert f"| `{refusal.code}` | `{kind.__name__}` |" in PAGE
