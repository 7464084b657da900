"""Random values of the schema's types, as resolvers return them, with faults in some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from random import Random
from types import SimpleNamespace
from typing import Any, Final, cast

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from odmantic import Model

from auth.callers import Caller
from billing.reports import Bucket, Line
from billing.usage_totals import Usage
from billing.windows import Window
from errors import UnavailableError, UnreadableRecordError
from models.catalog import CONSOLES, ConsoleType
from models.rollups import RollupKind
from models.rows import row_reader
from models.vms import VmStatus
from placement.coordinates import Position
from providers.base import ProviderName
from resolvers.loaders import Loader
from schema.execution.plan.fields import How, how_resolved, origin_of, strawberry_field
from schema.root import SCHEMA
from tests.gateway import NOON, a_launch, a_vm

_WRONG: Final[list[Any]] = [None, float("nan"), 2**40, "no number", object(), ValueError("an error as a value"), []]
_SCALARS: Final[dict[str, list[Any]]] = {
    "Int": [0, 7, -3],
    "Float": [0.5, -1.25, 3],
    "String": ["", "text", "ü"],
    "ID": ["Vk06MQ==", "x"],
    "Boolean": [True, False],
    "Decimal": [Decimal("0.45"), Decimal("1E-7"), Decimal(12)],
    "DateTime": [NOON, NOON + timedelta(microseconds=7)],
    "Date": [NOON.date()],
}
_KEYS: Final = [str(number) for number in range(6)]


class RandomValues:
    """`faults` is the part of all values that are wrong."""

    def __init__(self, random: Random, faults: float) -> None:
        self._random = random
        self._faults = faults

    def of(self, type_: Any, depth: int = 0) -> Any:
        if self._random.random() < self._faults * (0.1 if depth == 0 else 1):
            return self._random.choice(_WRONG)
        if is_non_null_type(type_):
            return self._some(type_.of_type, depth)
        return None if self._random.random() < 0.2 else self._some(type_, depth)

    def _some(self, type_: Any, depth: int) -> Any:
        if is_list_type(type_):
            return [self.of(type_.of_type, depth + 1) for _ in range(self._random.randint(0, 3 if depth < 4 else 1))]
        if isinstance(type_, GraphQLEnumType):
            members = list(cast("type[Enum]", cast(Any, type_).wrapped_cls))
            return self._random.choice(members)
        if is_leaf_type(type_):
            return self._random.choice(_SCALARS[type_.name])
        if is_abstract_type(type_):
            type_ = self._random.choice(SCHEMA.get_possible_types(type_))
        return self._object(type_, depth)

    def _object(self, type_: GraphQLObjectType, depth: int) -> Any:
        if type_.name in ("VM", "Launch"):
            return origin_of(type_).of(self._record(type_.name))  # type: ignore[attr-defined]
        made: Any = object.__new__(origin_of(type_))
        for name, field in type_.fields.items():
            if how_resolved(name, field) is How.ATTRIBUTE:
                object.__setattr__(made, strawberry_field(field).python_name, self.of(field.type, depth + 1))
        for name, value in self._private(type_.name).items():
            object.__setattr__(made, name, value)
        return made

    def _private(self, type_name: str) -> dict[str, Any]:  # noqa: PLR0911 - one for each type
        match type_name:
            case "LaunchProgress":
                return {"event": SimpleNamespace(launch_id=self._random.choice(_KEYS))}
            case "Hostnode" | "Region":
                return {"located": self._site(), "provider": self._random.choice(list(ProviderName))}
            case "CostBucket":
                return {"bucket": self._bucket(), "group_by": self._random.choice([None, *RollupKind])}
            case "CostReport":
                many = self._random.choice([0, 2, 103])
                report = SimpleNamespace(buckets=[self._bucket() for _ in range(many)], groups=self._lines(2))
                return {"report": report, "group_by": RollupKind.VM}
            case "SaveVersion":
                return {"stored": SimpleNamespace()}  # its resolvers fail
            case "SaveSlot":
                return {"contents": SimpleNamespace(current=lambda _: None, candidates=lambda _: [], deletion=None)}
            case "CostComparison":
                return {"compared": []}
        return {}

    def _record(self, type_name: str) -> Any:
        """A row of a VM or a launch, of which columns may be wrong."""
        pick, key = self._random.choice, self._random.choice([None, *_KEYS])
        changes: dict[str, Any] = {"console": pick(list(ConsoleType)), "user_id": pick(["ann", "bob"])}
        if type_name == "VM":
            links: dict[str, Any] = {"launch_id": pick(_KEYS), "replacement_launch_id": key}
            links["status"] = pick(list(VmStatus))
            model: Any = a_vm(pick(_KEYS), stopped_at=pick([None, NOON]), **changes, **links)
        else:
            model = a_launch(pick(_KEYS), vm_id=key, progress=self._random.random(), **changes)
        raw = model.model_dump_doc()
        kind: type[Model] = type(model)
        row = row_reader(kind, frozenset(kind.__odm_fields__)).read(raw)
        for name in vars(row):
            if self._random.random() < self._faults:
                setattr(row, name, pick(_WRONG))
        return row

    def _site(self) -> Any:
        position = Position(32.0, -96.0)
        return SimpleNamespace(
            site=SimpleNamespace(online=self._random.random() < 0.7, provider=ProviderName.TENSORDOCK),
            distance_km=lambda near: near.latitude * 1.5 if near.latitude > 0 else position.latitude,
        )

    def _bucket(self) -> Bucket:
        window = Window(NOON, NOON + timedelta(hours=1))
        return Bucket(window, Decimal("0.5"), 3_600_000, tuple(self._lines(self._random.choice([0, 1, 2]))))

    def _lines(self, count: int) -> Sequence[Line]:
        return [Line(f"group {number}", Decimal(number), 1000) for number in range(count)]


class RandomContext:
    """What resolvers are handed, with loaders that answer from memory. Some keys are missing, some fail."""

    def __init__(self, seed: int, faults: float, roots: Mapping[str, Any], caller: Caller) -> None:
        """`roots` are the values of the root fields. Some of them come later."""
        self.caller = caller
        self.roots = roots
        self.later = {name for name in roots if Random(f"{seed} {name}").random() < 0.5}
        self.accounts = 0
        self._seed, self._faults = seed, faults
        self.loaders = SimpleNamespace(
            console=Loader(self._each(lambda type_: CONSOLES[type_])),
            launch=Loader(self._each(lambda key: a_launch(key, "bob" if key == "5" else "ann", vm_id="2"))),
            vm=Loader(self._each(lambda key: a_vm(key, "bob" if key == "5" else "ann", launch_id="3"))),
            usage=Loader(self._each(lambda key: Usage(int(key), Decimal(key)))),
            sites=Loader(self._each(lambda _: {})),
        )
        self.services = SimpleNamespace(
            registry=SimpleNamespace(
                is_configured=lambda name: name is ProviderName.TENSORDOCK,
                get=lambda _: SimpleNamespace(offer=lambda *_: SimpleNamespace(usd_per_hour=Decimal("0.3"))),
            ),
            placements=SimpleNamespace(carbon_free_percent=lambda region: 0.5 if region else None),
        )

    def _each(self, made: Any) -> Any:
        async def look_up(keys: list[Any]) -> list[Any]:
            return [self._one(made, key) for key in keys]

        return look_up

    def _one(self, made: Any, key: Any) -> Any:
        random = Random(f"{self._seed} {key}")
        if random.random() < self._faults * 3:
            return random.choice(
                [
                    UnavailableError(f"the database does not answer for {key}"),
                    UnreadableRecordError("this version cannot read it", random.choice(["ann", "bob"])),
                ]
            )
        try:
            return made(key)
        except Exception as error:  # of this key alone
            return error


def schema_over_values() -> GraphQLSchema:
    """The service's schema with root fields that answer with the values of a RandomContext."""
    query = SCHEMA.query_type
    assert query is not None
    fields = {
        name: GraphQLField(field.type, field.args, _shown, extensions=field.extensions)
        for name, field in query.fields.items()
    }
    kinds = [kind for name, kind in SCHEMA.type_map.items() if not name.startswith("__") and name not in _ROOTS]
    return GraphQLSchema(GraphQLObjectType("Query", fields), types=kinds, extensions=SCHEMA.extensions)


def _shown(_source: Any, info: GraphQLResolveInfo[Any], **_: Any) -> Any:
    value, name = info.context.roots[info.field_name], info.field_name
    return _later(value) if name in info.context.later else value


async def _later(value: Any) -> Any:
    return value


_ROOTS: Final = ("Query", "Mutation", "Subscription")
