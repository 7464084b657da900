"""What the files in deploy/ set for gateway and worker, for tests: Terraform, YAML for Cloud Run, and Compose."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import hcl2
import yaml

from tests.images import image_of

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
TERRAFORM: Final = DEPLOY / "terraform"
BUILD: Final = "3c64b46"


def text_of_terraform() -> str:
    """Return all files, one after the other."""
    return "\n".join(path.read_text() for path in sorted(TERRAFORM.glob("*.tf")))


@cache
def terraform() -> dict[str, list[Any]]:
    """Return all blocks by kind, with names without quotes."""
    whole: dict[str, list[Any]] = {}
    for path in sorted(TERRAFORM.glob("*.tf")):
        for kind, blocks in _plain(hcl2.loads(path.read_text())).items():
            whole.setdefault(kind, []).extend(blocks)
    return whole


def unquoted(text: str) -> str:
    """Return a string of HCL without its quotes; python-hcl2 keeps them."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def names_of(source: str, role: str) -> set[str]:
    """Return the variables that a source ("terraform", "yaml", "compose") sets for a role."""
    return {"terraform": _by_terraform, "yaml": _by_yaml, "compose": _by_compose}[source](role)


def environment_of(source: str, role: str) -> set[str]:
    """Return the variables that a process of this role has: its image's own and those that the source sets."""
    return names_of(source, role) | set(image_of(role).environment) - {"HOME", "USER", "LOGNAME"}


def compose() -> dict[str, Any]:
    """Return compose.yaml."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {unquoted(key): _plain(each) for key, each in value.items() if not key.startswith("__")}


def _by_terraform(role: str) -> set[str]:
    """Collect the names that the locals of a role are merged from; those of tokens are set only on demand."""
    text = text_of_terraform()
    parts = {name: _names_in(_local(text, name)) for name in ("common_settings", "gateway_settings", "gateway_secrets")}
    if role == "gateway":
        return set().union(*parts.values())
    own = _names_in(_local(text, "worker_settings")) | _names_in(_local(text, "file_paths")) | {"WORKER_BUILD_ID"}
    return parts["common_settings"] | parts["gateway_secrets"] | own


def _local(text: str, name: str) -> str:
    """Return the text of one local value: the lines until the indentation of its name comes back."""
    (found,) = re.findall(rf"^  {name} = .*?(?=^  \w|^\}})", text, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


def _names_in(text: str) -> set[str]:
    return set(re.findall(r"\b([A-Z][A-Z0-9_]{3,}) +=", text))


def _by_yaml(role: str) -> set[str]:
    described = yaml.safe_load((DEPLOY / f"{role}.yaml").read_text())
    return {variable["name"] for variable in described["spec"]["template"]["spec"]["containers"][0]["env"]}


def _by_compose(role: str) -> set[str]:
    """Collect what compose.yaml sets and what docs/deploy-on-one-machine.md puts into production.env."""
    page = (DEPLOY.parent / "docs" / "deploy-on-one-machine.md").read_text()
    (shown,) = re.findall(r"cat deploy/production\.env\n(.*?)\n\$", page, re.DOTALL)
    return set(compose()["services"][role]["environment"]) | set(re.findall(r"^([A-Z_]+)=", shown, re.MULTILINE))
