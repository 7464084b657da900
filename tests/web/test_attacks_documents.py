"""Attacks by documents: each has its one exact answer, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest

from tests.gateway import OPERATOR
from tests.web.attacked_gateway import AttackedGateway, attacked

__all__ = ["attacked"]

INTS = "9" * 5_000


def nested(levels: int) -> str:
    """From a machine to its launch to its machine ..."""
    inner = "id"
    for level in range(levels):
        inner = f"{'launch' if level % 2 else 'vm'} {{ {inner} }}"
    return f'{{ launch(id: "x") {{ {inner} }} }}' if levels % 2 else f'{{ vm(id: "x") {{ {inner} }} }}'


def doubling(levels: int) -> str:
    """Each fragment spreads the next one twice."""
    steps = " ".join(f"fragment F{n} on Viewer {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    return f"{{ viewer {{ ...F0 }} }} {steps} fragment F{levels} on Viewer {{ id }}"


def multiplying(levels: int) -> str:
    """Pages within pages."""
    inner = "id"
    for _ in range(levels):
        inner = f"vm {{ launch {{ {inner} }} }}"
    page = f"launches(first: 100) {{ edges {{ node {{ {inner} steps {{ name }} attempts {{ outcome }} }} }} }}"
    return "{ " + " ".join(f"a{n}: {page}" for n in range(4)) + " }"


PARSE, INVALID, COMPLEX, INPUT = (
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "QUERY_TOO_COMPLEX",
    "BAD_USER_INPUT",
)
RANKED = "placements(console: NES, limit: 100) { rank score distanceKm hourlyPrice reasons }"
VIEWER_TIMES = "{ viewer { id } }"
INTROSPECTION = "{ __schema { types { " + "fields { type { " * 6 + "name" + " } }" * 6 + " } } }"

# name: (document, code, the limit it names)
DOCUMENTS: Final[dict[str, tuple[str, str, str | None]]] = {
    "a depth of 13": (nested(13), COMPLEX, "depth"),
    "a depth of 60": (nested(60), COMPLEX, "depth"),
    "a depth without end": ("{ vm { launch " * 240, PARSE, None),
    "braces without end": ("{" * 900, PARSE, None),
    "a list within a list 900 times": ("{ a(x: " + "[" * 900, PARSE, None),
    "an object within an object 300 times": ("{ a(x: " + "{a: " * 300, PARSE, None),
    "a type within a type 900 times": ("query($a: " + "[" * 900 + "Int", PARSE, None),
    "31 aliases": ("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }", COMPLEX, "aliases"),
    "300 aliases": ("{ " + " ".join(f"a{n}: __typename" for n in range(300)) + " }", COMPLEX, "aliases"),
    "aliases of a costly field": (
        "{ " + " ".join(f"a{n}: {RANKED}" for n in range(20)) + " }",
        COMPLEX,
        "cost",
    ),
    "aliases in a fragment": (
        "{ viewer { ...F } } fragment F on Viewer { " + " ".join(f"a{n}: id" for n in range(31)) + " }",
        COMPLEX,
        "aliases",
    ),
    "one field 300 times": ("{ " + "viewer { id } " * 240 + "}", COMPLEX, "repeatedFields"),
    "one field in 160 pieces": ("{ viewer { " + "... { id } " * 160 + "} }", COMPLEX, "repeatedFields"),
    "one inner field 990 times": ("{ viewer { " + "id " * 990 + "} }", COMPLEX, "repeatedFields"),
    "two fragments of one field 480 times": (
        "{ viewer { ...A ...B } } " + " ".join(f"fragment {f} on Viewer {{ {'id ' * 480}}}" for f in "AB"),
        COMPLEX,
        "repeatedFields",
    ),
    "21 root fields": (
        "{ " + " ".join(f"a{n}: __typename" for n in range(20)) + " viewer { id } }",
        COMPLEX,
        "rootFields",
    ),
    "a circle of one fragment": ("{ viewer { ...A } } fragment A on Viewer { id ...A }", INVALID, None),
    "a circle of two fragments": (
        "{ viewer { ...A } } fragment A on Viewer { ...B } fragment B on Viewer { ...A }",
        INVALID,
        None,
    ),
    "a circle of forty fragments": (
        "{ viewer { ...F0 } } "
        + " ".join(f"fragment F{n} on Viewer {{ ...F{(n + 1) % 40} }}" for n in range(40)),
        INVALID,
        None,
    ),
    "a circle that nobody enters": ("{ viewer { id } } fragment A on Viewer { ...A }", INVALID, None),
    "spreads that double 18 times": (doubling(18), COMPLEX, "cost"),
    "spreads that double 45 times": (doubling(45), COMPLEX, "cost"),
    "51 fragments": (
        "{ viewer { id } } " + " ".join(f"fragment F{n} on Viewer {{ id }}" for n in range(51)),
        COMPLEX,
        "fragments",
    ),
    "a fragment that is not there": ("{ viewer { ...Nothing } }", INVALID, None),
    "31 directives on a field": ("{ viewer { id " + "@include(if: true) " * 31 + "} }", COMPLEX, "directives"),
    "300 directives nobody knows": ("{ viewer { id " + "@a " * 300 + "} }", COMPLEX, "directives"),
    "31 directives on an operation": ("query " + "@a " * 31 + "{ viewer { id } }", COMPLEX, "directives"),
    "31 directives on a variable": ("query($a: Int " + "@a " * 31 + ") { viewer { id } }", COMPLEX, "directives"),
    "a directive twice": ("{ viewer { id @skip(if: false) @skip(if: false) } }", INVALID, None),
    "1001 tokens": ("{ " + "a " * 999 + "}", COMPLEX, "tokens"),
    "nine thousand tokens": ("{ " + "a " * 9000 + "}", COMPLEX, "tokens"),
    "pages within pages": (multiplying(4), COMPLEX, "cost"),
    "a page of 101": ("{ vms(first: 101) { edges { cursor } } }", COMPLEX, "pageSize"),
    "a page of two thousand million": ("{ vms(first: 2147483647) { edges { cursor } } }", COMPLEX, "pageSize"),
    "a page of -1": ("{ vms(first: -1) { edges { cursor } } }", INPUT, None),
    "a page size of 5,000 digits": (f"{{ vms(first: {INTS}) {{ edges {{ cursor }} }} }}", COMPLEX, "pageSize"),
    "a coordinate of 5,000 digits": (
        f"{{ placements(console: NES, from: {{latitude: {INTS}, longitude: 1}}) {{ rank }} }}",
        INPUT,
        None,
    ),
    "a coordinate without end": (
        "{ placements(console: NES, from: {latitude: 2e400, longitude: 1}) { rank } }",
        INPUT,
        None,
    ),
    "an introspection of depth": (INTROSPECTION.replace("fields { type { " * 6, "fields { type { " * 9)
                                  .replace(" } }" * 6, " } }" * 9), COMPLEX, "introspectionDepth"),
    "an introspection by a player": ("{ __schema { queryType { name } } }", "FORBIDDEN", None),
    "an introspection in a fragment": (
        "{ ...A } fragment A on Query { b: __schema { types { name } } }",
        "FORBIDDEN",
        None,
    ),
    "an introspection of one type": ('{ __type(name: "ApiKey") { fields { name } } }', "FORBIDDEN", None),
    "an operation beside another, unnamed": ("query A { viewer { id } } query B { viewer { id } }", INPUT, None),
    "two operations of one name": ("query A { viewer { id } } query A { viewer { id } }", INVALID, None),
    "a definition of types": ("type Query { viewer: String }", INVALID, None),
    "a block string without end": ('{ node(id: """' + "x" * 15_000, PARSE, None),
    "comments only": ("# a comment\n" * 1_500, COMPLEX, "tokens"),
    "commas only": ("," * 19_000, PARSE, None),
    "a control character": ("{ viewer\x00 { id } }", PARSE, None),
    "half a surrogate pair": ('{ node(id: "\\uD800") { id } }', PARSE, None),
    "a code point beyond the last": ('{ node(id: "\\u{FFFFFFFF}") { id } }', PARSE, None),
    "lines that are none": ("{ vie\u2028wer\u2029 { id } }", PARSE, None),
    "a name of 15,000 letters": ("{ " + "a" * 15_000 + " }", INVALID, None),
    "a variable of its own default": ("query($a: Int = $a) { viewer { id } }", PARSE, None),
    "a subscription of two roots": (
        'subscription { vmStatus(vmId: "x") { id } spendingAlerts { message } }',
        INVALID,
        None,
    ),
    "a subscription by a plain request": ('subscription { vmStatus(vmId: "x") { id } }', "BAD_REQUEST", None),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_document_that_does_harm_has_its_one_answer(attacked: AttackedGateway, name: str) -> None:
    document, code, limit = DOCUMENTS[name]

    told = await attacked.ask(document)

    assert (told.status in (200, 400), told.code, told.extensions.get("limit")) == (True, code, limit)
    assert "data" not in told.content or told.content["data"] is None
    assert len(told.text) < 60_000
    await attacked.nothing_happened()


VARIABLES: Final[dict[str, tuple[str, Any, str]]] = {
    "a page of a million": ("query($n: Int) { vms(first: $n) { edges { cursor } } }", {"n": 10**6}, COMPLEX),
    "a page by a variable that is no number": (
        "query($n: Int) { vms(first: $n) { edges { cursor } } }",
        {"n": {"$gt": 0}},
        INPUT,
    ),
    "a page by a fraction": ("query($n: Int) { vms(first: $n) { edges { cursor } } }", {"n": 1.5}, INPUT),
    "a page by a truth": ("query($n: Int) { vms(first: $n) { edges { cursor } } }", {"n": True}, INPUT),
    "1,500 statuses": (
        "query($s: [VMStatus!]) { vms(status: $s) { edges { cursor } } }",
        {"s": ["X"] * 1_500},
        INPUT,
    ),
    "an operator for an id": ("query($i: ID!) { vm(id: $i) { id } }", {"i": {"$ne": None}}, INPUT),
    "a list for an id": ("query($i: ID!) { vm(id: $i) { id } }", {"i": [["x"]]}, INPUT),
    "null for what must be": ("query($i: ID!) { vm(id: $i) { id } }", {"i": None}, INPUT),
    "nothing for what must be": ("query($i: ID!) { vm(id: $i) { id } }", {}, INPUT),
    "a field that no input has": (
        "mutation($i: LaunchGameInput!) { launchGame(input: $i) { errors { code } } }",
        {"i": {"console": "NES", "gameId": "x", "$where": "1", "__proto__": {"role": "OPERATOR"}}},
        INPUT,
    ),
    "a latitude of 91": (
        "query($f: CoordinatesInput) { placements(console: NES, from: $f) { rank } }",
        {"f": {"latitude": 91, "longitude": 0}},
        INPUT,
    ),
    "a date of another calendar": (
        "query($d: Date!) { costReport(start: $d, end: $d) { total } }",
        {"d": "9999999-01-01"},
        INPUT,
    ),
    "a price of 5,000 digits": (
        "mutation($i: CreateVmInput!) { createVm(input: $i) { errors { code } } }",
        {"i": {"console": "NES", "maxHourlyPrice": "9" * 5_000}},
        INPUT,
    ),
    "a price that is no number": (
        "mutation($i: CreateVmInput!) { createVm(input: $i) { errors { code } } }",
        {"i": {"console": "NES", "maxHourlyPrice": "NaN"}},
        INPUT,
    ),
    "hours without end": ("query($h: Float!) { costEstimate(console: NES, hours: $h) { total } }", {"h": 1e308}, INPUT),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIABLES)
async def test_variables_that_do_harm_have_their_one_answer(attacked: AttackedGateway, name: str) -> None:
    query, variables, code = VARIABLES[name]

    told = await attacked.ask({"query": query, "variables": variables})

    found = told.content
    codes = [error["extensions"]["code"] for error in found.get("errors", ())]
    codes += [
        error["code"] for payload in (found.get("data") or {}).values() for error in (payload or {}).get("errors", ())
    ]
    assert set(codes) == {code}
    assert len(codes) <= 51  # however many are wrong
    await attacked.nothing_happened()


async def test_numbers_of_5000_digits_in_json_are_no_json(attacked: AttackedGateway) -> None:
    body = f'{{"query": "query($n: Int) {{ vms(first: $n) {{ edges {{ cursor }} }} }}", "variables": {{"n": {INTS}}}}}'

    told = await attacked.send(body.encode())

    assert told.status == 400
    assert told.code in (INPUT, "BAD_REQUEST", COMPLEX)


async def test_the_schema_is_not_learnt_by_misspelling_it(attacked: AttackedGateway) -> None:
    for guess in ("{ vewer { id } }", "{ viewer { iid } }", "{ vms(frist: 1) { edges { cursor } } }", "{ mutaton }"):
        told = await attacked.ask(guess)
        assert (told.code, "Did you mean" in told.text) == (INVALID, False)

    shown = await attacked.ask("{ vewer { id } }", OPERATOR)
    assert "Did you mean" in shown.text


async def test_sixty_bombs_at_once_leave_room_for_others(attacked: AttackedGateway) -> None:
    bombs = [doubling(45), nested(60), multiplying(4), DOCUMENTS["one inner field 990 times"][0]] * 15

    told = await asyncio.gather(*(attacked.ask(bomb) for bomb in bombs))

    assert {one.status for one in told} == {400}
    assert len(attacked.served) >= 1


async def test_what_is_refused_is_told_back_cut(attacked: AttackedGateway) -> None:
    """Nobody can have a text of their own repeated at length, or in the place of another's."""
    name = "a" * 15_000

    told = await attacked.ask({"query": VIEWER_TIMES, "operationName": name})
    echoed = await attacked.ask(f"{{ {name} }}")

    assert name not in told.text
    assert len(json.dumps(echoed.content["errors"][0]["message"])) < 600


async def test_an_answer_does_not_grow_with_the_mistakes_of_a_document(attacked: AttackedGateway) -> None:
    directives = await attacked.ask("{ __typename " + "@aa" * 10 + " }")
    fields = await attacked.ask("{ " + " ".join(f"a{number}" for number in range(20)) + " }")

    for told in (directives, fields):
        assert told.code == INVALID
        assert len(told.content["errors"]) == 6  # five, and that there are more
