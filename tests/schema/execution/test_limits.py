from __future__ import annotations

from pathlib import Path

import pytest
from graphql import GraphQLSchema, GraphQLSyntaxError, build_schema, get_introspection_query, parse, validate

from schema.execution.complexity import Measurement, measure
from schema.execution.limits import Limits, QueryTooComplexError, check_document, cost_report, parse_within

ROOMY = Limits(10**9, 10**9, 10**9, 10**9, 10**9, 10**9, 10**9, 10**9, 10**12)
GRAPHQL = Path(__file__).resolve().parents[3] / "graphql"
CONTRACT = GRAPHQL / "contract.graphql"


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(CONTRACT.read_text(encoding="utf-8"))


def measured(schema: GraphQLSchema, source: str, **variables: object) -> Measurement:
    return measure(schema, parse(source), variables)


def refusal(schema: GraphQLSchema, source: str, limits: Limits = Limits()) -> dict[str, object]:  # noqa: B008 - frozen
    with pytest.raises(QueryTooComplexError) as refused:
        check_document(schema, parse_within(source, limits), limits)
    assert refused.value.extensions is not None
    return refused.value.extensions


class TestCost:
    def test_each_value_costs_one(self, schema: GraphQLSchema) -> None:
        assert measured(schema, "{ service { name version } viewer { id } }").cost == 5

    def test_a_page_multiplies_its_rows_and_not_what_stands_once(self, schema: GraphQLSchema) -> None:
        page = measured(schema, "{ vms(first: 7) { edges { cursor node { id } } pageInfo { hasNextPage } } }")

        assert page.cost == 1 + 7 * (1 + 1 + 1 + 1) + 2

    def test_a_page_without_a_size_has_the_size_that_the_schema_says(self, schema: GraphQLSchema) -> None:
        assert measured(schema, "{ vms { edges { cursor } } }").cost == 1 + 50 * 2

    def test_pages_within_pages_multiply(self, schema: GraphQLSchema) -> None:
        source = "{ launches(first: 10) { edges { node { vm { launch { steps { name } } } } } } }"

        # edges, node, vm, launch, steps, and nine names
        assert measured(schema, source).cost == 1 + 10 * (5 + 9)

    def test_a_list_that_takes_no_page_size_is_multiplied_by_what_is_usual(self, schema: GraphQLSchema) -> None:
        assert measured(schema, "{ consoles { name } }").cost == 1 + 9

    def test_a_plain_list_is_multiplied_by_its_limit(self, schema: GraphQLSchema) -> None:
        source = "{ closestRegions(from: {latitude: 0, longitude: 0}, console: NES, limit: 4) { rank score } }"

        assert measured(schema, source).cost == 50 + 4 * 2

    def test_a_page_size_may_come_from_a_variable(self, schema: GraphQLSchema) -> None:
        source = "query($n: Int) { vms(first: $n) { edges { cursor } } }"

        assert measured(schema, source, n=3).cost == 1 + 3 * 2
        assert measured(schema, source, n=3.0).cost == 1 + 3 * 2

    def test_a_variable_that_is_absent_falls_back_to_its_default_and_then_to_the_fields(
        self, schema: GraphQLSchema
    ) -> None:
        assert measured(schema, "query($n: Int = 4) { vms(first: $n) { edges { cursor } } }").cost == 1 + 4 * 2
        assert measured(schema, "query($n: Int) { vms(first: $n) { edges { cursor } } }").cost == 1 + 50 * 2

    @pytest.mark.parametrize("size", ["many", None, True, [1], {"$gt": 0}, 2.5])
    def test_a_page_size_that_is_none_counts_as_the_largest(self, schema: GraphQLSchema, size: object) -> None:
        source = "query($n: Int) { vms(first: $n) { edges { cursor } } }"

        assert measured(schema, source, n=size).cost == 1 + 100 * 2

    def test_an_explicit_null_counts_as_the_largest_page(self, schema: GraphQLSchema) -> None:
        assert measured(schema, "{ vms(first: null) { edges { cursor } } }").cost == 1 + 100 * 2

    @pytest.mark.parametrize("size", ["0", "-5"])
    def test_no_page_size_makes_a_field_free(self, schema: GraphQLSchema, size: str) -> None:
        assert measured(schema, f"{{ vms(first: {size}) {{ edges {{ cursor }} }} }}").cost == 1 + 2

    def test_what_is_dear_before_its_first_row_costs_more(self, schema: GraphQLSchema) -> None:
        assert measured(schema, "{ currentMonthCosts { total } }").cost == 100 + 1

    def test_a_fragment_costs_wherever_it_is_spread(self, schema: GraphQLSchema) -> None:
        source = "{ a: service { ...S } b: service { ...S } } fragment S on Service { name version }"

        assert measured(schema, source).cost == 2 * 3

    def test_a_fragment_on_a_connection_is_multiplied_by_the_page_it_lands_in(self, schema: GraphQLSchema) -> None:
        source = (
            "{ vms(first: 7) { ...Page } } fragment Page on VMConnection { edges { cursor } pageInfo { endCursor } }"
        )

        assert measured(schema, source).cost == 1 + 7 * 2 + 2

    def test_only_the_operation_that_is_called_counts(self, schema: GraphQLSchema) -> None:
        document = parse("query Small { viewer { id } } query Large { consoles { name } }")

        assert measure(schema, document, operation_name="Small").cost == 2
        assert measure(schema, document).cost == 10
        assert measure(schema, document, operation_name="Missing").cost == 10

    def test_the_cost_is_told(self, schema: GraphQLSchema) -> None:
        page = measured(schema, "{ viewer { id } }")

        assert cost_report(page, Limits(max_cost=500)) == {"requested": 2, "allowed": 500}


class TestDepth:
    def test_fields_within_fields_count_and_fragments_do_not(self, schema: GraphQLSchema) -> None:
        source = "{ vm(id: 1) { ...A } } fragment A on VM { ... on VM { launch { ...B } } } fragment B on Launch { id }"

        assert measured(schema, source).depth == 3

    def test_the_deepest_branch_counts(self, schema: GraphQLSchema) -> None:
        assert measured(schema, "{ viewer { id } vm(id: 1) { launch { vm { id } } } service { name } }").depth == 4

    def test_introspection_has_a_depth_of_its_own(self, schema: GraphQLSchema) -> None:
        asked = measured(schema, "{ viewer { id } __schema { types { name } } }")

        assert (asked.depth, asked.introspection_depth) == (2, 3)

    def test_the_usual_introspection_is_within_the_defaults(self, schema: GraphQLSchema) -> None:
        source = get_introspection_query(
            specified_by_url=True,
            directive_is_repeatable=True,
            schema_description=True,
            input_value_deprecation=True,
        )

        asked = check_document(schema, parse_within(source, Limits()), Limits())

        assert asked.introspection_depth == 15
        assert asked.cost < 6000


class TestRefusals:
    @pytest.mark.parametrize(
        ("source", "limit", "allowed", "asked"),
        [
            ("{ vm(id: 1) " + "{ launch { vm " * 6 + "{ id }" + " } }" * 6 + " }", "depth", 12, 14),
            ("{ " + " ".join(f"a{n}: viewer {{ id }}" for n in range(31)) + " }", "aliases", 30, 31),
            ("{ viewer " + "@include(if: true) " * 31 + "{ id } }", "directives", 30, 31),
            ("query(" + "".join(f"$v{n}: Int @x " for n in range(31)) + ") { viewer { id } }", "directives", 30, 31),
            ("{ " + "viewer { id } " * 21 + "}", "rootFields", 20, 21),
            ("{ ...R } fragment R on Query { " + "viewer { id } " * 21 + "}", "rootFields", 20, 21),
            ("{ vms(first: 101) { edges { cursor } } }", "pageSize", 100, 101),
            ("query($n: Int = 200) { vms(first: $n) { edges { cursor } } }", "pageSize", 100, 200),
            ("{ vms(first: " + "9" * 6000 + ") { edges { cursor } } }", "pageSize", 100, 10**12),
            ("{ " + "service { name } " * 250 + "}", "tokens", 1000, 1001),
            ("{ viewer { id } } " + "# padding\n" * 1000, "tokens", 1000, 1001),
            (
                "{ __type(name: 1) " + "{ ofType " * 15 + "{ name }" + " }" * 15 + " }",
                "introspectionDepth",
                15,
                17,
            ),
            (
                "{ viewer { ...F0 } } " + " ".join(f"fragment F{n} on Viewer {{ id }}" for n in range(51)),
                "fragments",
                50,
                51,
            ),
            ("mutation { " + "launchGame { errors { code } } " * 20 + "}", "cost", 10_000, 20 * (500 + 1 + 10)),
        ],
    )
    def test_the_error_names_the_limit_what_it_allows_and_what_was_asked(
        self, schema: GraphQLSchema, source: str, limit: str, allowed: int, asked: int
    ) -> None:
        assert refusal(schema, source) == {
            "code": "QUERY_TOO_COMPLEX",
            "limit": limit,
            "allowed": allowed,
            "asked": asked,
        }

    def test_what_is_just_within_a_limit_passes(self, schema: GraphQLSchema) -> None:
        source = "{ " + " ".join(f"a{n}: viewer {{ id }}" for n in range(20)) + " }"

        assert check_document(schema, parse(source), Limits(max_aliases=20)).aliases == 20

    def test_machines_within_launches_within_machines_are_too_dear(self, schema: GraphQLSchema) -> None:
        inner = "id " * 20 + "steps { name status startedAt finishedAt detail } attempts { outcome }"

        asked = refusal(
            schema, f"{{ launches(first: 100) {{ edges {{ node {{ {inner} vm {{ launch {{ {inner} }} }} }} }} }} }}"
        )

        assert (asked["limit"], asked["allowed"]) == ("cost", 10_000)

    def test_repeated_introspection_is_too_dear(self, schema: GraphQLSchema) -> None:
        fields = "fields { name args { name type { name kind } } type { name kind ofType { name kind } } }"
        source = "{ __schema { " + f"types {{ {fields} }} " * 30 + "} }"

        assert refusal(schema, source)["limit"] == "cost"

    def test_a_circle_through_the_schemas_own_types_is_too_dear(self, schema: GraphQLSchema) -> None:
        source = "{ __schema { types " + "{ fields { type " * 4 + "{ name }" + " } }" * 4 + " } }"

        assert refusal(schema, source)["limit"] == "cost"

    def test_other_mistakes_in_the_syntax_stay_what_they_are(self) -> None:
        with pytest.raises(GraphQLSyntaxError):
            parse_within("{ viewer { id }", Limits())

    def test_a_document_that_is_nested_beyond_reason_is_a_syntax_error(self) -> None:
        with pytest.raises(GraphQLSyntaxError, match="too deeply"):
            parse_within("{ a " * 5000 + "}" * 5000, ROOMY)


@pytest.mark.parametrize("path", sorted((GRAPHQL / "operations").glob("*.graphql")), ids=lambda path: path.stem)
def test_what_clients_send_is_well_within_the_defaults(schema: GraphQLSchema, path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    asked = check_document(schema, parse_within(source, Limits()), Limits())

    assert asked.depth < Limits().max_depth
    assert asked.cost < Limits().max_cost / 2


class TestBombs:
    """What blocks other limiters. Counted is the work, so that the clock of a busy machine says nothing here."""

    @pytest.mark.parametrize("fragments", [18, 100, 1000])
    def test_fragments_that_double_are_measured_once_each(self, schema: GraphQLSchema, fragments: int) -> None:
        source = "{ vm(id: 1) { ...F0 } } " + " ".join(
            f"fragment F{n} on VM {{ launch {{ vm {{ ...F{n + 1} ...F{n + 1} }} }} }}" for n in range(fragments)
        )
        source += f" fragment F{fragments} on VM {{ id }}"

        asked = measured(schema, source)

        assert asked.visited <= 10 * fragments + 20
        assert asked.depth == 2 * fragments + 2

    def test_doubling_fragments_cost_what_they_would(self, schema: GraphQLSchema) -> None:
        source = "{ service { ...F0 } } " + " ".join(
            f"fragment F{n} on Service {{ ...F{n + 1} ...F{n + 1} }}" for n in range(10)
        )

        assert measured(schema, source + " fragment F10 on Service { name }").cost == 1 + 2**10

    def test_no_sum_grows_without_end(self, schema: GraphQLSchema) -> None:
        source = "{ service { ...F0 } } " + " ".join(
            f"fragment F{n} on Service {{ ...F{n + 1} ...F{n + 1} }}" for n in range(1000)
        )

        asked = measured(schema, source + " fragment F1000 on Service { name }")

        assert asked.cost == 10**12

    def test_nested_pages_multiply_up_to_the_ceiling(self, schema: GraphQLSchema) -> None:
        cyclic = build_schema("type Query { users(first: Int = 100): [Query!]! id: ID }")
        source = "{ users " * 60 + "{ id }" + " }" * 60

        asked = measured(cyclic, source)

        assert (asked.depth, asked.cost) == (61, 10**12)
        assert asked.visited <= 4 * 61

    @pytest.mark.parametrize(
        "source",
        [
            "{ ...A } fragment A on Query { ...A }",
            "{ ...A } fragment A on Query { viewer { id } ...B } fragment B on Query { ...A ...B service { name } }",
            "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { ...C ...C } fragment C on Query { ...A }",
        ],
    )
    def test_circles_are_measured_once_and_left_to_validation(self, schema: GraphQLSchema, source: str) -> None:
        asked = check_document(schema, parse(source), Limits())

        assert asked.visited < 30
        assert any("itself" in error.message for error in validate(schema, parse(source)))

    @pytest.mark.parametrize(
        "source",
        [
            "{ ...Missing }",
            "{ nothing { below { it } } }",
            "{ viewer { id } } fragment F on Nowhere { id ...G }",
            "{ ... on Nowhere { id } ... on Viewer { vms(first: 10) { edges } } }",
            "{ viewer(first: 1000000) { id } }",
            "{ vms { edges { ...on Connection { edges { edges } } } } }",
            "type T { a: Int } { viewer { id } }",
            "fragment F on Query { viewer { id } }",
            "subscription { launchProgress(launchId: {a: [1]}) { sequence } }",
            "mutation { }",
        ],
    )
    def test_what_is_wrong_in_other_ways_is_left_to_validation(self, schema: GraphQLSchema, source: str) -> None:
        check_document(schema, parse(source), Limits())

    @pytest.mark.parametrize("fragments", [100, 1000, 5000])
    def test_a_long_chain_of_fragments_needs_no_deep_stack(self, schema: GraphQLSchema, fragments: int) -> None:
        source = "{ service { ...F0 } } " + " ".join(
            f"fragment F{n} on Service {{ ...F{n + 1} }}" for n in range(fragments)
        )

        asked = measured(schema, source + f" fragment F{fragments} on Service {{ name }}")

        assert (asked.depth, asked.cost, asked.fragments) == (2, 2, fragments + 1)
        assert asked.visited <= 4 * fragments + 10

    @pytest.mark.parametrize("width", [10, 100, 1000])
    def test_work_grows_with_the_document_and_no_faster(self, schema: GraphQLSchema, width: int) -> None:
        source = "{ vm(id: 1) { " + "launch { vm { ...F } ...G } " * width + "} } "
        source += "fragment F on VM { " + "launch { ...G } " * width + "} fragment G on Launch { id status }"

        asked = measured(schema, source)

        assert asked.visited <= 2 * (6 * width + 10)
