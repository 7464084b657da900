"""Alert rules, their pages and the dashboard name what `/metrics` really shows, and say what someone can do."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from fleet.reconciliation import RESTART_WORKFLOW
from models.database_errors import ErrorKind
from models.launches import LaunchStatus
from models.limits import AlertLevel
from models.vms import VmStatus
from schema.execution.observer import Outcome
from tests.shown_metrics import labels_of_metrics, shown_metrics

DEPLOY: Final = Path("deploy")
PAGES: Final = Path("docs/runbooks")
RULES: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
}
PANELS: Final[list[dict[str, Any]]] = json.loads((DEPLOY / "grafana" / "gamer.json").read_text())["panels"]
QUERIES: Final = {
    **{name: rule["expr"] for name, rule in RULES.items()},
    **{
        f"{panel['title']}, {target['refId']}": target["expr"]
        for panel in PANELS
        for target in panel.get("targets", ())
    },
}
METRICS_PAGE: Final = Path("docs/metrics.md")
# Metrics that every process shows alike.
OF_ANY: Final = frozenset(
    {
        *("gamer_build", "gamer_records_readable", "gamer_machines", "gamer_launches"),
        *("gamer_audit_entries", "gamer_operator_alerts"),
    }
)
SECTIONS: Final = ["Meaning", "First look", "Commands", "Cure", "How to verify"]
FROM_PROMETHEUS: Final = {"instance", "job"}  # labels that Prometheus adds to what it scrapes
# Values that a metric's label can have, where the service has a list of them.
VALUES: Final[dict[tuple[str, str], AbstractSet[str]]] = {
    ("gamer_machines", "status"): set(VmStatus),
    ("gamer_launches", "status"): set(LaunchStatus),
    ("gamer_operator_alerts", "level"): set(AlertLevel),
    ("gamer_operations_total", "outcome"): set(Outcome),
    ("gamer_database_errors_total", "kind"): {*ErrorKind, "UNREADABLE"},
    ("gamer_audit_entries", "action"): {"deleteStray", RESTART_WORKFLOW},
    ("gamer_activity_failures_total", "error"): {"Unexpected"},
    ("gamer_launch_step_seconds", "percentile"): {"50", "95"},
    ("gamer_provider_calls_total", "outcome"): {
        *("ok", "no_capacity", "busy", "refused", "machine_lost", "failed", "interrupted", "unforeseen"),
    },
}


def selectors(query: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics of a query, with the labels that it asks for."""
    for name, matchers in re.findall(r"\b((?:gamer|process)_\w+)(?:\{([^}]*)\})?", query):
        yield name, dict(re.findall(r'(\w+)\s*(?:=~|!=|!~|=)\s*"([^"]*)"', matchers))


@pytest.mark.parametrize("title", QUERIES)
def test_every_metric_and_label_of_a_query_is_shown(title: str) -> None:
    labels, query = labels_of_metrics(), QUERIES[title]
    used = list(selectors(query))

    assert used
    assert {name for name, _ in used} - set(labels) == set()
    for name, matchers in used:
        assert set(matchers) - labels[name] - FROM_PROMETHEUS == set()
        for label, values in matchers.items():
            known = VALUES.get((name, label))
            assert known is None or set(values.split("|")) <= known
    grouped = {label for each in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in each.split(", ")}
    assert grouped - set().union(*(labels[name] for name, _ in used)) - FROM_PROMETHEUS == set()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    text = json.dumps(PANELS)
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in labels_of_metrics() if name.startswith("gamer_")}

    assert [name for name in sorted(families) if name not in text] == []


def test_panels_have_titles_descriptions_and_legends_of_labels_that_their_query_keeps() -> None:
    charts = [panel for panel in PANELS if panel["type"] != "row"]

    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in charts}) == len(charts)
    for panel in charts:
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) - FROM_PROMETHEUS
            assert all(re.search(rf"\bby \([^)]*\b{label}\b", target["expr"]) for label in shown)


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_how_urgent_it_is_and_where_its_page_is(name: str) -> None:
    rule = RULES[name]

    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook_url"] == str(PAGES / f"{name}.md")
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert all(re.search(rf"\bby \([^)]*\b{label}\b", rule["expr"]) for label in told)


def test_the_page_on_metrics_says_of_every_alert_which_processes_must_be_read() -> None:
    rows = re.findall(
        r"^\| ((?:`\w+` ?)+) \| (any one process|every [\w ]+) \|", METRICS_PAGE.read_text(), re.MULTILINE
    )
    needs = {name: need for names, need in rows for name in re.findall(r"\w+", names)}
    from_records = {name for name, rule in RULES.items() if {metric for metric, _ in selectors(rule["expr"])} <= OF_ANY}

    assert set(needs) == set(RULES)
    assert {name for name, need in needs.items() if need == "any one process"} == from_records


@pytest.mark.parametrize("name", RULES)
def test_the_page_of_an_alert_has_its_sections_filled(name: str) -> None:
    title, *parts = re.split(r"^## ", (PAGES / f"{name}.md").read_text(), flags=re.MULTILINE)

    assert title == f"# {name}\n\n"
    assert [part.partition("\n")[0] for part in parts] == SECTIONS
    assert all(len(part.partition("\n")[2].strip()) > 60 for part in parts)
    assert f"| [{name}]({name}.md) | {RULES[name]['labels']['severity']} |" in (PAGES / "README.md").read_text()


def test_every_page_belongs_to_an_alert() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == set(RULES)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text()

    for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), f"{link}#{anchor}"
    assert [name for name in re.findall(r"python -m ([\w.]+)", text) if importlib.util.find_spec(name) is None] == []
    operations = set(re.findall(r"(?:\$ |`)ask ([A-Z]\w+)", text)) - {"OPERATION"}
    assert [name for name in operations if not Path(f"graphql/operations/{name}.graphql").exists()] == []
    commands = set(re.findall(r"`gamer (\w+)", Path("docs/cli.md").read_text()))
    assert set(re.findall(r"(?:\$ |`)gamer ([a-z]+)", text)) - commands == set()
    shown = labels_of_metrics()
    shown_or_family = set(shown) | {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert {name for name, _ in selectors(text.replace("labels.gamer_machine", ""))} - shown_or_family == set()


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


class TestPromtool:
    """What Prometheus' own tool says; it comes with Debian's package `prometheus`."""

    @pytest.fixture
    def promtool(self) -> str:
        found = shutil.which("promtool")
        if found is None:
            pytest.skip("promtool is not installed, so the rules' own tests did not run: apt-get install prometheus")
        return found

    def test_the_rules_pass_their_own_tests(self, promtool: str) -> None:
        run(promtool, "check", "rules", "alerts.yaml")
        run(promtool, "test", "rules", "alerts_test.yaml")

    def test_every_query_of_the_dashboard_is_one(self, promtool: str, tmp_path: Path) -> None:
        rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(QUERIES.values())]
        file = tmp_path / "dashboard.yaml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

        run(promtool, "check", "rules", str(file))

    def test_what_metrics_shows_is_well_formed(self, promtool: str) -> None:
        run(promtool, "check", "metrics", text=shown_metrics())


def test_every_alert_has_a_test_that_raises_it_and_one_that_does_not() -> None:
    tests = yaml.safe_load((DEPLOY / "alerts_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(RULES)
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == set(RULES)


def run(*command: str, text: str = "") -> None:
    ended = subprocess.run(command, cwd=DEPLOY, input=text, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
