from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from safety import faults
from settings import Settings
from simulator.cloudypad import VERSION
from tests.deploy_files import compose, environment_of, names_of
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

    # The command-line client is a distribution of its own.
    assert {folder.parent.name for folder in Path().glob("*/__init__.py")} - kept == {"cli"}


def test_the_gateway_knows_the_proxies_in_front_of_it_and_outlasts_their_connections() -> None:
    variables = {variable["name"]: variable.get("value") for variable in container("gateway")["env"]}

    assert (variables["TRUSTED_PROXY_HOPS"], variables["KEEP_ALIVE_SECONDS"]) == ("1", "620")


@pytest.mark.usefixtures("no_settings_of_this_machine")
@pytest.mark.parametrize("source", ["terraform", "yaml", "compose"])
@pytest.mark.parametrize("role", ["gateway", "worker"])
def test_every_setting_that_production_requires_is_set(source: str, role: str) -> None:
    values = {name.lower(): example_of(name) for name in environment_of(source, role) if name != "PYTHONUNBUFFERED"}
    known = {name: value for name, value in values.items() if name in Settings.model_fields}

    settings = Settings.model_validate(known)

    assert known["environment"] == "production"
    assert list(faults(settings, role)) == []


def example_of(name: str) -> str:
    """Return a value of the form that production accepts."""
    field = Settings.model_fields.get(name.lower())
    images = {name: value for role in ("gateway", "worker") for name, value in image_of(role).environment.items()}
    if name in images:
        return images[name]
    if field is not None and "SecretStr" in str(field.annotation) and not name.startswith("MONGODB"):
        return "a value that is long enough for a secret of the service"
    examples = None if field is None else field.examples
    return str(examples[0]) if examples else "1"


@pytest.mark.parametrize("source", ["terraform", "compose"])
@pytest.mark.parametrize("role", ["gateway", "worker"])
def test_every_variable_is_a_setting_in_each_kind_of_deployment(source: str, role: str) -> None:
    variables = {name.lower() for name in names_of(source, role)}

    assert variables - set(Settings.model_fields) == set()


@pytest.mark.parametrize("source", ["terraform", "compose"])
def test_no_gateway_is_given_what_only_workers_use(source: str) -> None:
    assert names_of(source, "gateway").isdisjoint({"SSH_KEY_PATH", "GCS_LIBRARY_KEY_FILE", "CLOUDYPAD_COMMAND"})


def test_compose_fits_the_schema_of_compose_files() -> None:
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    checked = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout.strip()) == (0, "ok -- validation done")


def test_compose_publishes_ports_of_gateways_only_and_on_this_machine_only() -> None:
    services = compose()["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert published == {"simulated": ["127.0.0.1:8000:8000"], "gateway": ["127.0.0.1:8000:8000"]}
    assert compose()["networks"]["inside"] == {"internal": True}
    inner = {name for name in services if name not in {"simulated", "gateway", "worker"}}
    assert {name for name in inner if services[name]["networks"] != ["inside"]} == set()


def test_compose_pins_the_versions_of_what_it_pulls() -> None:
    pulled = {service["image"] for service in compose()["services"].values() if "build" not in service}

    assert {image for image in pulled if not re.search(r":\d+(\.\d+)*$", image)} == set()


def test_the_worker_image_and_the_simulator_are_of_one_version_of_cloudypad() -> None:
    (pinned,) = re.findall(r"cloudypad:([\d.]+) AS worker", Path("deploy/Dockerfile").read_text())

    assert pinned == VERSION
    assert f"version {VERSION}" in Path("docs/simulator.md").read_text()
    assert f"({VERSION})" in Path("docs/deploy.md").read_text()


def test_everything_that_the_images_copy_is_there() -> None:
    kept = re.findall(r"^!([\w.*]+)$", Path(".dockerignore").read_text(), re.MULTILINE)

    assert [pattern for pattern in kept if not list(Path().glob(pattern))] == []
