"""Converts TensorDock's responses to our values. The body is read before the status code, which is unreliable.

Results come under `data` or bare, as lists or as maps, with numbers as numbers or as strings; failures come with any
status. This is the only file here that handles foreign JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from providers.base import GpuStock, Machine, MachineId, MachineState, Place, ProviderName, Site, SiteId, Tag
from providers.http import Reply

Json = Any

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_VRAM: Final = re.compile(r"(\d{1,4})gb$")
_WORDS_LIMIT: Final = 4096
_LARGEST: Final = 10**9
_STATES: Final = {
    "running": MachineState.RUNNING,
    "starting": MachineState.STARTING,
    "stopping": MachineState.STOPPING,
    "stopped": MachineState.STOPPED,
    "stoppeddisassociated": MachineState.STOPPED_RELEASED,
    "creating": MachineState.CREATING,
    "queued": MachineState.CREATING,
    "provisioning": MachineState.CREATING,
    "pending": MachineState.CREATING,
    "deleting": MachineState.DELETING,
    "error": MachineState.BROKEN,
}
_ENDED: Final = frozenset({"deleted", "terminated"})


class UnreadableError(ValueError):
    """The response lacks what was requested. It is never treated as an empty result."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request, or a missing response. `is_own`: TensorDock wrote it, rather than a server in between."""

    status: int
    words: str
    is_own: bool = True
    bad_order: bool = False  # a list of what is wrong with our request


@dataclass(frozen=True, slots=True)
class Hostnode:
    """A site, and the id of its location if the hostnode itself does not state its location."""

    site: Site
    location_id: str | None


def answer(reply: Reply, *, says_success: bool = False) -> Json | Failure:
    """Return the document, or the reason why there is none.

    With `says_success` (version 0), only `success: true` counts as success.
    """
    if not reply.body.strip():
        return None if reply.status < 300 and not says_success else Failure(reply.status, "an empty response")
    try:
        document = json.loads(reply.body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Failure(reply.status, "something that is not JSON", is_own=False)
    failed = reply.status >= 300 or _is_failure(document) or (says_success and not _is_success(document))
    return _failure(reply.status, document) if failed else document


def hostnodes(document: Json) -> tuple[Hostnode, ...]:
    """Return the hostnodes that can be read. A hostnode without an id or a price list is skipped."""
    read = (_hostnode(item) for item in _items(document, "hostnodes"))
    return tuple(hostnode for hostnode in read if hostnode is not None)


def locations(document: Json) -> dict[str, Place]:
    """Return the places of locations by their ids."""
    return {_text(item.get("id") or item.get("uuid")): _place(item) for item in _items(document, "locations")}


def instances(document: Json, prefix: str) -> tuple[Machine, ...]:
    """Return the existing machines with names that start with `prefix`, in the order of the list."""
    ours = (item for item in _items(document, "instances") if _text(item.get("name")).startswith(prefix))
    machines = (_machine(item) for item in ours)
    return tuple(machine for machine in machines if machine is not None)


def instance(document: Json) -> Machine | None:
    """Return the machine, or None if it has ended."""
    return _machine(_flat(_inside(document)))


def ordered_id(document: Json) -> MachineId:
    """Return the new machine's id. A response without `data.id` is an error."""
    data = document.get("data") if isinstance(document, Mapping) else None
    return _machine_id(data.get("id") if isinstance(data, Mapping) else None)


def balance(document: Json) -> Decimal:
    """Return the balance in USD."""
    usd = _decimal(document.get("balance"))
    if usd is None:
        raise UnreadableError("no balance in the response")
    return usd


def organization_id(document: Json) -> str | None:
    """Return the organization's id, or None if the response has none that can be compared."""
    found = _text(document.get("organizationId")) if isinstance(document, Mapping) else ""
    return found if _ID.fullmatch(found) else None


def is_machine_id(text: str) -> bool:
    """Return whether TensorDock can have given this id."""
    return _ID.fullmatch(text) is not None


def _refuse(constant: str) -> Json:
    raise ValueError(constant)


def _is_failure(document: Json) -> bool:
    if isinstance(document, list):
        return _are_issues(document)
    if not isinstance(document, Mapping):
        return False
    if document.get("error") or document.get("errors"):
        return True
    if document.get("success") is not None and not _is_success(document):
        return True
    return (_count(document.get("status")) or 0) >= 400


def _are_issues(document: list[Json]) -> bool:
    """Return whether a list describes what is wrong with a request, rather than things with ids."""
    return bool(document) and all(
        isinstance(item, Mapping) and "message" in item and "id" not in item for item in document
    )


def _is_success(document: Json) -> bool:
    said = document.get("success") if isinstance(document, Mapping) else None
    return said is True or (isinstance(said, str) and said.lower() == "true")


def _failure(http_status: int, document: Json) -> Failure:
    if isinstance(document, list):
        return Failure(http_status, _words(document), bad_order=_are_issues(document) and http_status < 500)
    if not isinstance(document, Mapping):
        return Failure(http_status, "")
    status = _count(document.get("status")) or 0
    said = (_words(document.get(key)) for key in ("error", "errors", "message", "detail"))
    return Failure(status if status >= 400 else http_status, next(filter(None, said), ""))


def _words(said: Json) -> str:
    """Return the message as one line. It may hold credentials and be longer than what is shown."""
    if isinstance(said, str):
        return _text(said, _WORDS_LIMIT)
    if isinstance(said, Mapping):
        keys = ("message", "error", "detail", "title")
        return _words(next((said[key] for key in keys if isinstance(said.get(key), str)), ""))
    if isinstance(said, Sequence):
        return _text("; ".join(filter(None, map(_words, said[:5]))), _WORDS_LIMIT)
    return ""


def _inside(document: Json) -> Mapping[str, Json]:
    if not isinstance(document, Mapping):
        raise UnreadableError("not an object")
    data = _unwrap(document)
    if not isinstance(data, Mapping):
        raise UnreadableError("no object under data")
    return data


def _unwrap(document: Mapping[str, Json]) -> Json:
    data = document.get("data")
    return document if data is None else data


def _flat(item: Mapping[str, Json]) -> Mapping[str, Json]:
    """Merge the fields under `attributes` with those beside them."""
    attributes = item.get("attributes")
    return _over(attributes, item) if isinstance(attributes, Mapping) else item


def _over(under: Mapping[str, Json], item: Mapping[str, Json]) -> Mapping[str, Json]:
    """Merge two maps. The item's own values win unless they are null."""
    return {**under, **{key: value for key, value in item.items() if value is not None}}


def _items(document: Json, name: str) -> list[Mapping[str, Json]]:
    """Return the items under `data.<name>`, `data.attributes.<name>`, `data` or bare, from a list or a map by id."""
    found = _unwrap(document) if isinstance(document, Mapping) else document
    if isinstance(found, Mapping):
        found = _flat(found).get(name)
    if isinstance(found, Mapping):
        found = [_over({"id": key}, item) for key, item in found.items() if isinstance(item, Mapping)]
    if not isinstance(found, list):
        raise UnreadableError(f"no list of {name}")
    return [_flat(item) for item in found if isinstance(item, Mapping)]


def _hostnode(item: Mapping[str, Json]) -> Hostnode | None:
    free, prices = _map(item, "available_resources"), _map(item, "pricing")
    usd = [_price(prices.get(key)) for key in ("per_vcpu_hr", "per_gb_ram_hr", "per_gb_storage_hr")]
    if not is_machine_id(site_id := _text(item.get("id"))) or None in usd:
        return None
    site = Site(
        id=SiteId(site_id),
        provider=ProviderName.TENSORDOCK,
        place=_place(_map(item, "location")),
        online=True,
        vcpus_available=_first_count(free, "vcpu_count", "max_vcpus"),
        ram_gb_available=_first_count(free, "ram_gb", "max_ram_gb"),
        storage_gb_available=_first_count(free, "storage_gb", "max_storage_gb"),
        gpus=_gpus(free.get("gpus")),
        usd_per_vcpu_hour=usd[0] or Decimal(0),
        usd_per_ram_gb_hour=usd[1] or Decimal(0),
        usd_per_storage_gb_hour=usd[2] or Decimal(0),
        dedicated_ip_available=_is_true(free.get("has_public_ip_available")),
        max_vcpus=_smallest(free, "max_vcpus", "max_vcpus_per_gpu"),
        max_ram_gb=_smallest(free, "max_ram_gb", "max_ram_per_gpu"),
        max_storage_gb=_smallest(free, "max_storage_gb"),
    )
    return Hostnode(site, None if site.place != Place() else _text(item.get("location_id")) or None)


def _place(location: Mapping[str, Json]) -> Place:
    return Place(
        city=_text(location.get("city")),
        region=_text(location.get("stateprovince") or location.get("region")),
        country=_text(location.get("country")),
    )


def _gpus(found: Json) -> tuple[GpuStock, ...]:
    if isinstance(found, Mapping):
        found = [_over({"v0Name": model}, gpu) for model, gpu in found.items() if isinstance(gpu, Mapping)]
    if not isinstance(found, list):
        return ()
    gpus = (_gpu(item) for item in found if isinstance(item, Mapping))
    return tuple(gpu for gpu in gpus if gpu is not None)


def _gpu(item: Mapping[str, Json]) -> GpuStock | None:
    model, usd = _text(item.get("v0Name")), _price(item.get("price_per_hr"))
    if not model or usd is None:
        return None
    vram = _VRAM.search(model.lower())
    return GpuStock(model, int(vram[1]) if vram else 0, _first_count(item, "availableCount"), usd)


def _machine(item: Mapping[str, Json]) -> Machine | None:
    word = re.sub(r"[\s_-]", "", _text(item.get("status")).lower())
    if word in _ENDED:
        return None
    host = _text(item.get("ipAddress"), 253)
    return Machine(
        id=_machine_id(item.get("id")),
        tag=Tag(_text(item.get("name"))),
        state=_STATES.get(word, MachineState.UNKNOWN),
        ip_address=host if _HOST.fullmatch(host) else None,
        ports=_ports(item.get("portForwards")),
        usd_per_hour=_price(item.get("rateHourly")),
    )


def _machine_id(found: Json) -> MachineId:
    if not isinstance(found, str) or not is_machine_id(found):
        raise UnreadableError("no id in the response")
    return MachineId(found)


def _ports(found: Json) -> dict[int, int]:
    ports = {}
    for item in found if isinstance(found, list) else []:
        if isinstance(item, Mapping):
            inside, outside = _count(item.get("internal_port")), _count(item.get("external_port"))
            if inside and outside:
                ports[inside] = outside
    return ports


def _map(item: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    found = item.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(found: Json, limit: int = 128) -> str:
    """Return foreign text as one line without control characters."""
    if not isinstance(found, str):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in found).split())[:limit]


def _is_true(found: Json) -> bool:
    return found is True or (isinstance(found, str) and found.lower() == "true")


def _decimal(found: Json) -> Decimal | None:
    if isinstance(found, bool) or not isinstance(found, int | str | Decimal):
        return None
    try:
        number = Decimal(found)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) <= _LARGEST else None


def _price(found: Json) -> Decimal | None:
    number = _decimal(found)
    return None if number is None or number < 0 else number


def _count(found: Json) -> int | None:
    number = _decimal(found)
    return None if number is None or number < 0 else int(number)


def _first_count(item: Mapping[str, Json], *keys: str) -> int:
    return next((count for key in keys if (count := _count(item.get(key))) is not None), 0)


def _smallest(item: Mapping[str, Json], *keys: str) -> int | None:
    """Return the smallest of these limits. A limit of 0 means no limit."""
    return min(filter(None, (_count(item.get(key)) for key in keys)), default=None)
