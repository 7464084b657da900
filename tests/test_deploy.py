from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import Settings
from tests.images import image_of

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


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_the_user_of_an_image_has_an_account_and_a_name(name: str) -> None:
    image = image_of(name)

    assert image.user == "65532:65532"
    assert "useradd --uid 65532 --gid 65532" in image.text
    assert (image.environment["USER"], image.environment["LOGNAME"], image.environment["HOME"]) == (
        *("gamer", "gamer"),
        "/tmp",
    )


def test_the_gateway_is_given_nothing_that_only_workers_use() -> None:
    given = {variable["name"] for variable in container("gateway")["env"]}

    assert given.isdisjoint({"SSH_KEY_PATH", "GCS_LIBRARY_KEY_FILE", "CLOUDYPAD_COMMAND", "CLOUDYPAD_CONFIG_PATH"})


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_every_deployment_has_a_name(name: str) -> None:
    assert {"name": "DEPLOYMENT", "value": "main"} in container(name)["env"]


def test_the_images_hold_every_package_of_the_service() -> None:
    kept = set(re.findall(r"^!(\w+)$", Path(".dockerignore").read_text(), re.MULTILINE))

    assert {folder.parent.name for folder in Path().glob("*/__init__.py")} - kept == set()


def test_the_gateway_knows_the_proxies_in_front_of_it_and_outlasts_their_connections() -> None:
    variables = {variable["name"]: variable.get("value") for variable in container("gateway")["env"]}

    assert (variables["TRUSTED_PROXY_HOPS"], variables["KEEP_ALIVE_SECONDS"]) == ("1", "620")


def test_the_rules_for_prometheus_name_metrics_that_exist() -> None:
    groups = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    documented = set(re.findall(r"`(gamer_\w+)`", Path("docs/metrics.md").read_text()))

    used = {name for rule in rules for name in re.findall(r"gamer_\w+", rule["expr"])}

    assert used - documented == set()
    assert "gamer_database_writable" in used
    assert all(rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"] for rule in rules)
