"""What deploy/terraform says, read with python-hcl2. `make deploy-check` also runs `terraform validate` and linters."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy_files import BUILD, TERRAFORM, names_of, terraform, text_of_terraform, unquoted


def declared() -> set[str]:
    """Return the address of everything that the files declare."""
    document = terraform()
    resources = {f"{kind}.{name}" for each in document["resource"] for kind, named in each.items() for name in named}
    variables = {f"var.{name}" for each in document["variable"] for name in each}
    return resources | variables | {f"local.{name}" for each in document["locals"] for name in each}


def used() -> set[str]:
    code = re.sub(r"#.*", "", text_of_terraform())
    return set(re.findall(r"(?<![\w.])((?:var|local)\.\w+|google_\w+\.\w+)", code))


def predefined_roles(text: str) -> set[str]:
    return set(re.findall(r"(?<!/)roles/[\w.]+", text))


def test_everything_that_is_used_is_declared_and_every_variable_is_used() -> None:
    assert used() - declared() == set()
    assert {address for address in declared() if address.startswith(("var.", "local."))} - used() == set()


def test_the_provider_is_pinned_to_one_version() -> None:
    (settings,) = terraform()["terraform"]
    (providers,) = settings["required_providers"]

    assert re.fullmatch(r"\d+\.\d+\.\d+", unquoted(providers["google"]["version"]))


def test_variables_have_a_description() -> None:
    without = [name for each in terraform()["variable"] for name, body in each.items() if "description" not in body]

    assert without == []


@pytest.mark.skipif(
    shutil.which("terraform") is None, reason="terraform is not installed: https://developer.hashicorp.com/terraform"
)
def test_the_files_are_formatted_as_terraform_formats_them() -> None:
    checked = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-recursive", str(TERRAFORM)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout) == (0, "")


def test_no_value_of_a_secret_is_in_terraform_or_its_state() -> None:
    assert "google_secret_manager_secret_version" not in text_of_terraform()
    assert "random_password" not in text_of_terraform()


def test_images_are_accepted_by_digest_only() -> None:
    rules = [
        rule["condition"] for rule in _variable("gateway_image")["validation"] + _variable("workers")["validation"]
    ]

    assert sum("@sha256:[0-9a-f]{64}$" in rule for rule in rules) == 2


def test_a_build_id_that_terraform_accepts_is_one_that_the_service_accepts() -> None:
    (accepted,) = re.findall(r'regex\("(\^\[a-z0-9\][^"]*)", build\)', text_of_terraform())

    assert re.fullmatch(accepted, BUILD)
    assert len(f"gamer-worker-{'a' * 30}") <= 49, "Cloud Run's longest name"


def test_no_process_can_be_called_by_everyone_or_may_do_everything() -> None:
    assert predefined_roles(text_of_terraform()).isdisjoint(
        {"roles/owner", "roles/editor", "roles/storage.admin", "roles/compute.admin"}
    )
    assert "allUsers" not in text_of_terraform()


@pytest.mark.parametrize("role", ["gateway", "worker"])
def test_terraform_and_the_page_by_hand_set_the_same_variables(role: str) -> None:
    assert names_of("terraform", role) == names_of("yaml", role)


def test_the_page_by_hand_gives_the_roles_and_enables_the_apis_of_terraform() -> None:
    page = Path("docs/deploy-by-hand.md").read_text()
    apis = re.compile(r"[a-z]+\.googleapis\.com")

    assert predefined_roles(page) == predefined_roles(text_of_terraform())
    assert set(apis.findall(page)) == set(apis.findall(text_of_terraform()))
    permissions = r"compute\.(?:firewalls|networks)\.\w+"
    assert set(re.findall(permissions, page)) == set(re.findall(permissions, text_of_terraform()))


def test_the_page_names_every_role_of_terraform_and_no_other() -> None:
    table = Path("docs/deploy.md").read_text().partition("## Accounts and roles")[2].partition("\n## ")[0]
    rows = "\n".join(line for line in table.splitlines() if line.startswith("|"))

    assert predefined_roles(rows) == predefined_roles(text_of_terraform())


def test_the_pages_make_every_secret_of_terraform() -> None:
    secrets = set(re.findall(r'= "([a-z0-9-]+-(?:uri|key|token|secret))"', text_of_terraform()))
    made = Path("docs/deploy.md").read_text()
    by_hand = Path("docs/deploy-by-hand.md").read_text()

    assert len(secrets) == 9
    assert {secret for secret in secrets if f"add {secret}" not in made or f"| `{secret}` |" not in made} == set()
    assert {secret for secret in secrets if secret not in by_hand} == set()


def test_the_collector_has_the_components_that_it_uses_and_gets_the_variables_that_it_reads() -> None:
    text = (TERRAFORM / "collector.yaml").read_text()
    config = yaml.safe_load(text)
    pipeline = config["service"]["pipelines"]["metrics"]
    given = set(re.findall(r"\b([A-Z_]+) += ", re.sub(r"#.*", "", (TERRAFORM / "metrics.tf").read_text())))

    assert {kind: sorted(config[kind]) for kind in pipeline} == {kind: sorted(used) for kind, used in pipeline.items()}
    assert set(re.findall(r"\$\{env:(\w+)\}", text)) == (given | {"METRICS_TOKEN", "METRICS_ADDRESS"}) - {
        "COLLECTOR_CONFIG"
    }


@pytest.mark.parametrize(
    ("file", "address"), [("gateway.tf", "localhost:8080"), ("workers.tf", "localhost:${local.worker_metrics_port}")]
)
def test_each_collector_reads_its_own_instance_where_it_serves_metrics(file: str, address: str) -> None:
    text = (TERRAFORM / file).read_text()

    assert re.findall(r'METRICS_ADDRESS = "([^"]*)"', text) == [address]
    assert "container_port = 8080" in text or "METRICS_PORT = local.worker_metrics_port" in text


def _variable(name: str) -> dict[str, Any]:
    (found,) = (each[name] for each in terraform()["variable"] if name in each)
    assert isinstance(found, dict)
    return found
