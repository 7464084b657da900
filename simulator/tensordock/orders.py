"""The rules of `POST /instances` and of resizing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from simulator.hostnodes.stock import Claim
from simulator.tensordock.instances import Forward, Order

RAM_SIZES_GB: Final = frozenset(
    {2, 4, 6, 8, 10, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 512}
)
SMALLEST_DISK_GB: Final = 100
DISK_STEP_GB: Final = 50
LINUX_IMAGES: Final = frozenset(
    {
        *("ubuntu2204", "ubuntu2204_base", "ubuntu2204_nvidia_550", "ubuntu2204_nvidia_570"),
        *("ubuntu2404", "ubuntu2404_base", "ubuntu2404_nvidia_550", "ubuntu2404_nvidia_570"),
        *("ubuntu2404_ml_everything", "ubuntu2404_ml_pytorch", "ubuntu2404_ml_tensorflow"),
    }
)
WINDOWS_IMAGES: Final = frozenset({"windows10"})
PUBLIC_KEY: Final = re.compile(r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp\d+|sk-[\w@.-]+) [A-Za-z0-9+/]+={0,3}( .*)?")
HIGHEST_PORT: Final = 65535

Path = tuple[str, ...]
AT: Final[Path] = ("data", "attributes")


class InvalidOrderError(Exception):
    """The order is invalid. `issues` is the answer's array: code, message and path of each error."""

    def __init__(self, issues: list[dict[str, Any]]) -> None:
        super().__init__(issues)
        self.issues = issues


@dataclass(slots=True)
class _Form:
    """The attributes of an order, and the errors found in them."""

    attributes: Mapping[str, Any]
    issues: list[dict[str, Any]] = field(default_factory=list)

    def wrong(self, message: str, *path: str, code: str = "custom") -> None:
        self.issues.append({"code": code, "message": message, "path": [*AT, *path]})

    def text(self, name: str) -> str:
        value = self.attributes.get(name)
        if not isinstance(value, str) or not value:
            self.wrong("Required" if value is None else "Expected string", name, code="invalid_type")
            return ""
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self.attributes.get(name) is None else self.text(name)

    def number(self, parent: Mapping[str, Any], *path: str) -> int:
        value = parent.get(path[-1])
        if not isinstance(value, int) or isinstance(value, bool):
            self.wrong("Required" if value is None else "Expected number", *path, code="invalid_type")
            return 0
        return value

    def object(self, parent: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
        value = parent.get(path[-1])
        if not isinstance(value, Mapping):
            if value is not None:
                self.wrong("Expected object", *path, code="invalid_type")
            return {}
        return value


def order_from(body: object, secret: Callable[[str], str | None]) -> Order:
    """Return the order in the body of `POST /instances`. Raises InvalidOrderError.

    `secret` returns a stored SSH key.
    """
    form = _Form(_attributes(body))
    if form.attributes.get("type") != "virtualmachine":
        form.wrong('Invalid literal value, expected "virtualmachine"', "type", code="invalid_literal")
    model, count = _gpus(form)
    resources = form.object(form.attributes, "resources")
    order = Order(
        name=form.text("name"),
        image=form.text("image"),
        vcpus=form.number(resources, "resources", "vcpu_count"),
        ram_gb=form.number(resources, "resources", "ram_gb"),
        storage_gb=form.number(resources, "resources", "storage_gb"),
        gpu_model=model,
        gpu_count=count,
        location_id=form.optional_text("location_id"),
        hostnode_id=form.optional_text("hostnode_id"),
        dedicated_ip=form.attributes.get("useDedicatedIp") is True,
        forwards=_forwards(form),
        ssh_key=_ssh_key(form, secret),
        cloud_init=_cloud_init(form),
    )
    _check_sizes(form, order)
    _check_place(form, order)
    _check_image(form, order)
    if form.issues:
        raise InvalidOrderError(form.issues)
    return order


def _attributes(body: object) -> Mapping[str, Any]:
    data = body.get("data") if isinstance(body, Mapping) else None
    attributes = data.get("attributes") if isinstance(data, Mapping) else None
    if not isinstance(attributes, Mapping):
        raise InvalidOrderError([{"code": "invalid_type", "message": "Required", "path": list(AT)}])
    return attributes


def _gpus(form: _Form) -> tuple[str | None, int]:
    gpus = form.object(form.object(form.attributes, "resources"), "resources", "gpus")
    if not gpus:
        return None, 0
    if len(gpus) > 1:
        form.wrong("Only one GPU model per instance", "resources", "gpus")
    model = next(iter(gpus))
    count = form.number(form.object(gpus, "resources", "gpus", model), "resources", "gpus", model, "count")
    if count < 1:
        form.wrong("Number must be greater than or equal to 1", "resources", "gpus", model, "count", code="too_small")
    return model, count


def _forwards(form: _Form) -> tuple[Forward, ...]:
    asked = form.attributes.get("port_forwards") or []
    if not isinstance(asked, list) or not all(_is_forward(forward) for forward in asked):
        form.wrong("Expected a list of internal_port and external_port", "port_forwards", code="invalid_type")
        return ()
    return tuple(Forward(forward["internal_port"], forward["external_port"]) for forward in asked)


def _is_forward(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        type(value.get(name)) is int and lowest <= value[name] <= HIGHEST_PORT
        for name, lowest in (("internal_port", 1), ("external_port", 0))
    )


def _ssh_key(form: _Form, secret: Callable[[str], str | None]) -> str | None:
    key, key_id = form.optional_text("ssh_key"), form.optional_text("ssh_key_id")
    if key and key_id:
        form.wrong("Only one of ssh_key and ssh_key_id may be given", "ssh_key_id")
    if key_id and (key := secret(key_id)) is None:
        form.wrong("SSH key not found", "ssh_key_id")
    if key and not PUBLIC_KEY.fullmatch(key.strip()):
        form.wrong("Invalid SSH public key", "ssh_key")
    return key.strip() if key else None


def _cloud_init(form: _Form) -> Mapping[str, Any] | None:
    """Return the known parts of the user-data. Unknown ones are dropped silently, as `encoding` of a file is."""
    asked = form.attributes.get("cloud_init")
    if asked is None:
        return None
    asked = form.object(form.attributes, "cloud_init")
    lists = {name: asked[name] for name in ("runcmd", "packages", "write_files") if name in asked}
    flags = {name: asked[name] for name in ("package_update", "package_upgrade") if name in asked}
    for name, value in lists.items():
        wanted = Mapping if name == "write_files" else str
        if not isinstance(value, list) or not all(isinstance(item, wanted) for item in value):
            form.wrong("Expected array", "cloud_init", name, code="invalid_type")
            return None
    for name, value in flags.items():
        if not isinstance(value, bool):
            form.wrong("Expected boolean", "cloud_init", name, code="invalid_type")
    files = [_file(form, file) for file in lists.get("write_files", [])]
    return {**lists, **flags, **({"write_files": files} if files else {})}


def _file(form: _Form, file: Mapping[str, Any]) -> dict[str, str]:
    parts = {name: file[name] for name in ("path", "content", "owner", "permissions") if name in file}
    if not {"path", "content"} <= parts.keys() or not all(isinstance(part, str) for part in parts.values()):
        form.wrong("Expected path and content", "cloud_init", "write_files", code="invalid_type")
    return parts


def _check_sizes(form: _Form, order: Order) -> None:
    if order.vcpus < 2 or order.vcpus % 2:
        form.wrong("vCPU count must be an even number of at least 2", "resources", "vcpu_count")
    if order.ram_gb not in RAM_SIZES_GB:
        form.wrong(f"RAM must be one of {_sizes()} GB", "resources", "ram_gb")
    if order.storage_gb < SMALLEST_DISK_GB:
        form.wrong(f"Storage must be at least {SMALLEST_DISK_GB} GB", "resources", "storage_gb", code="too_small")


def _check_place(form: _Form, order: Order) -> None:
    if bool(order.location_id) == bool(order.hostnode_id):
        form.wrong("Exactly one of location_id and hostnode_id must be given", "location_id")
    if order.location_id and not order.gpu_count:
        form.wrong("At least one GPU is required when deploying to a location", "resources", "gpus")


def _check_image(form: _Form, order: Order) -> None:
    if order.image in WINDOWS_IMAGES:
        if not form.attributes.get("password"):
            form.wrong("A password is required for Windows VMs", "password")
        return
    if order.image not in LINUX_IMAGES:
        form.wrong(f"Invalid image '{order.image}'", "image", code="invalid_enum_value")
        return
    if not order.ssh_key and not {"ssh_key", "ssh_key_id"} & form.attributes.keys():
        form.wrong("An SSH key is required for Linux VMs", "ssh_key")
    if not order.dedicated_ip and all(forward.internal != 22 for forward in order.forwards):
        form.wrong("SSH port (22) must be forwarded for Ubuntu VMs", "port_forwards")


def resize_from(body: object, now: Claim) -> Claim:
    """Return the claim in the body of `PUT /instances/{id}/modify`. Raises InvalidOrderError."""
    form = _Form(body if isinstance(body, Mapping) else {})
    wanted = replace(
        now,
        vcpus=form.number(form.attributes, "cpuCores") if "cpuCores" in form.attributes else now.vcpus,
        ram_gb=form.number(form.attributes, "ramGb") if "ramGb" in form.attributes else now.ram_gb,
        storage_gb=form.number(form.attributes, "diskGb") if "diskGb" in form.attributes else now.storage_gb,
    )
    if "gpus" in form.attributes:
        gpus = form.object(form.attributes, "gpus")
        count = form.number(gpus, "gpus", "count")
        wanted = replace(wanted, gpu_model=str(gpus.get("gpuV0Name")), gpu_count=count)
        if count < 1:
            form.wrong("GPUs cannot be removed", "gpus", "count")
    _check_resize(form, now, wanted)
    if form.issues:
        raise InvalidOrderError([{**issue, "path": issue["path"][len(AT) :]} for issue in form.issues])
    return wanted


def _check_resize(form: _Form, now: Claim, wanted: Claim) -> None:
    if wanted.vcpus < 2 or wanted.vcpus % 2:
        form.wrong("CPU cores must be an even number of at least 2", "cpuCores")
    if wanted.ram_gb not in RAM_SIZES_GB:
        form.wrong(f"RAM must be one of {_sizes()} GB", "ramGb")
    if wanted.storage_gb < now.storage_gb:
        form.wrong("The disk cannot be made smaller", "diskGb")
    if wanted.storage_gb != now.storage_gb and wanted.storage_gb % DISK_STEP_GB:
        form.wrong(f"The disk grows in steps of {DISK_STEP_GB} GB", "diskGb")


def _sizes() -> str:
    return ", ".join(map(str, sorted(RAM_SIZES_GB)))
