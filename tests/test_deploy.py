from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import Settings

DEPLOY = Path("deploy")


def container(name: str) -> dict[str, Any]:
    described = yaml.safe_load((DEPLOY / f"{name}.yaml").read_text())
    found: dict[str, Any] = described["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_every_variable_of_a_deployment_is_a_setting(name: str) -> None:
    variables = {variable["name"].lower() for variable in container(name)["env"]}

    assert variables - set(Settings.model_fields) == set()


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_secrets_are_never_written_into_a_deployment(name: str) -> None:
    written = {variable["name"].lower() for variable in container(name)["env"] if "value" in variable}

    assert {name for name in written if "SecretStr" in str(Settings.model_fields[name].annotation)} == set()


def test_the_images_hold_every_package_of_the_service() -> None:
    kept = set(re.findall(r"^!(\w+)$", Path(".dockerignore").read_text(), re.MULTILINE))

    assert {folder.parent.name for folder in Path().glob("*/__init__.py")} - kept == set()


def test_the_gateway_knows_the_proxies_in_front_of_it_and_outlasts_their_connections() -> None:
    variables = {variable["name"]: variable.get("value") for variable in container("gateway")["env"]}

    assert (variables["TRUSTED_PROXY_HOPS"], variables["KEEP_ALIVE_SECONDS"]) == ("1", "620")
