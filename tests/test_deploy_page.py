"""The pages on deploying and operating as readers use them: commands and options that exist, documents that fit."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from graphql import build_schema, parse, validate
from pydantic import SecretStr

from auth.tokens import SharedSecret, TokenVerifier
from models.roles import Role

PAGES: Final = (
    "docs/deploy.md",
    "docs/deploy-by-hand.md",
    "docs/deploy-on-one-machine.md",
    "docs/operating.md",
    "docs/machines.md",
)
# The options that the pages use of programs that cannot be installed here, from their own references: gcloud's and
# bq's of the Google Cloud SDK, Atlas CLI 1.4x, tcld 0.4x, Terraform 1.11, Docker 28.
KNOWN: Final = {
    "gcloud auth login": "",
    "gcloud auth application-default login": "",
    "gcloud auth configure-docker": "",
    "gcloud config set": "",
    "gcloud services enable": "",
    "gcloud storage buckets create": "--location --uniform-bucket-level-access --public-access-prevention "
    "--soft-delete-duration",
    "gcloud storage buckets update": "--versioning",
    "gcloud storage buckets add-iam-policy-binding": "--member --role --condition",
    "gcloud storage cp": "",
    "gcloud secrets create": "--replication-policy",
    "gcloud secrets versions add": "--data-file",
    "gcloud secrets versions access": "--secret",
    "gcloud secrets add-iam-policy-binding": "--member --role",
    "gcloud iam service-accounts create": "",
    "gcloud iam service-accounts keys create": "--iam-account",
    "gcloud iam service-accounts add-iam-policy-binding": "--member --role",
    "gcloud iam roles create": "--project --title --permissions",
    "gcloud projects add-iam-policy-binding": "--member --role --condition",
    "gcloud artifacts docker images describe": "--format",
    "gcloud artifacts repositories create": "--repository-format --location --immutable-tags",
    "gcloud compute networks create": "--subnet-mode",
    "gcloud compute networks subnets create": "--network --region --range --enable-private-ip-google-access",
    "gcloud compute addresses create": "--region",
    "gcloud compute addresses describe": "--region --format",
    "gcloud compute routers create": "--network --region",
    "gcloud compute routers nats create": "--router --region --nat-external-ip-pool --nat-all-subnet-ip-ranges "
    "--min-ports-per-vm --enable-logging --log-filter",
    "gcloud compute instances create": "--zone --image-family --image-project --disk --metadata",
    "gcloud compute ssh": "--zone --command",
    "gcloud run services replace": "--region",
    "gcloud run services describe": "--region --format",
    "gcloud run worker-pools replace": "--region",
    "gcloud run worker-pools delete": "--region",
    "gcloud run jobs execute": "--region --wait --args",
    "gcloud run jobs create": "--image --region --service-account --command --args --max-retries --task-timeout "
    "--memory --cpu --network --subnet --vpc-egress --env-vars-file --set-secrets",
    "gcloud logging read": "--freshness --order --format",
    "bq": "--location --dataset",
    "bq add-iam-policy-binding": "--member --role --table",
    "atlas auth login": "",
    "atlas clusters create": "--provider --region --tier --backup --enableTerminationProtection",
    "atlas clusters watch": "",
    "atlas clusters connectionStrings describe": "",
    "atlas accessLists create": "--type --comment",
    "atlas dbusers create": "--username --password --role",
    "atlas backups restores start": "--clusterName --targetClusterName --targetProjectId --pointInTimeUTCSeconds",
    "tcld login": "",
    "tcld namespace create": "--namespace --region --retention-days --auth-method",
    "tcld service-account create": "--name --account-role --namespace-permission",
    "tcld apikey create": "--name --duration --service-account-id",
    "terraform init": "-backend-config",
    "terraform apply": "-var",
    "terraform output": "-raw",
    "docker build": "--platform --file --target --tag",
    "docker push": "",
    "docker run": "--rm --env-file --entrypoint -m",
    "docker compose": "--file --profile --build --detach",
}
OURS: Final = {
    "server.py": "server.py",
    "deploy/operator_token.py": "deploy/operator_token.py",
    "fleet.sweep": "fleet/sweep.py",
    "fleet.rescue": "fleet/rescue.py",
}
PLAIN: Final = frozenset(
    {
        *("git", "cd", "export", "printf", "tr", "openssl", "ssh-keygen", "shred", "curl", "cat", "sudo", "for", "sed"),
        *("temporal", "python", "python3"),
        *("add", "api", "give", "run"),  # functions of the pages
    }
)


def commands(page: str) -> list[list[str]]:
    """Return the words of each command of a page's console blocks, without variables in front and parts of pipes."""
    text = Path(page).read_text()
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown = [line.removeprefix("$ ") for line in lines if line.startswith("$ ") or re.match(r"(?:gcloud|give) ", line)]
    return [words for line in shown for part in _parts(line) if (words := _without_variables(part))]


def _parts(line: str) -> list[list[str]]:
    """Return the words of each command of a line, divided at what divides commands in a shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;{}"):
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _without_variables(words: list[str]) -> list[str]:
    """Return the command that the words begin, also where its output becomes a variable."""
    while words:
        begun = re.match(r"[A-Z_]+=\$\((?=[a-z])", words[0])
        if begun is not None:
            return [words[0][begun.end() :], *words[1:]]
        if not re.match(r"[A-Z_]+=|(?:do|done|export)$|\w+\(\)$", words[0]):
            return words
        words = words[1:]
    return []


def all_commands() -> list[list[str]]:
    return [command for page in PAGES for command in commands(page)]


def options(words: list[str]) -> set[str]:
    return {word.partition("=")[0].rstrip(")") for word in words if re.match(r"--?[a-zA-Z]", word)}


@pytest.mark.parametrize("program", ["gcloud", "bq", "atlas", "tcld", "terraform", "docker"])
def test_programs_of_others_have_the_commands_and_options_that_the_pages_use(program: str) -> None:
    of_program = [words for words in all_commands() if words[0] == program]

    unknown = [
        " ".join(words)
        for words in of_program
        if not any(_begins_with(words, known) and options(words) <= set(allowed.split()) for known, allowed in _known())
    ]

    assert of_program
    assert unknown == []


def _known() -> list[tuple[str, str]]:
    return sorted(((each, f"{allowed} -chdir") for each, allowed in KNOWN.items()), key=lambda pair: -len(pair[0]))


def _begins_with(words: list[str], known: str) -> bool:
    plain = [word for word in words if not word.startswith("-")]
    return plain[: len(known.split())] == known.split()


def test_our_own_commands_have_the_options_that_the_pages_use() -> None:
    used: dict[str, set[str]] = {name: set() for name in OURS}
    for words in all_commands():
        for name in OURS:
            if name in words:
                used[name] |= options(words[words.index(name) + 1 :])
            for word in words:
                parts = word.removeprefix("--args=").split(",")
                if name in parts:
                    used[name] |= options(parts[parts.index(name) + 1 :])

    assert all(used[name] for name in OURS)
    assert {
        name: sorted(wanted - _options_of(name)) for name, wanted in used.items() if wanted - _options_of(name)
    } == {}


def _options_of(name: str) -> set[str]:
    """Return the options of a command from its source: loading it takes seconds."""
    return set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', Path(OURS[name]).read_text()))


@pytest.mark.skipif(
    shutil.which("temporal", path="/usr/local/bin:.venv/bin") is None, reason="temporal is not installed"
)
def test_temporal_has_the_commands_and_options_that_the_pages_use() -> None:
    temporal = shutil.which("temporal", path="/usr/local/bin:.venv/bin") or ""
    for words in (words for words in all_commands() if words[0] == "temporal"):
        command = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
        shown = subprocess.run([temporal, *command[:3], "--help"], capture_output=True, text=True, check=True).stdout

        assert options(words) <= set(re.findall(r"--[a-z-]+", shown)), words


def test_every_command_of_the_pages_is_of_a_program_that_the_reader_has() -> None:
    programs = {words[0] for words in all_commands() if re.fullmatch(r"[a-z0-9_-]+", words[0])}

    assert programs - PLAIN - {name.split()[0] for name in KNOWN} == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('give --condition "expression=!$SAVES"', ['!$SAVES"']),
        ("echo !$", ["!$"]),
        ("give --condition 'expression=!'\"$SAVES\"", []),
        ("count 'Status!=\"Running\"'", []),
        ('echo "done!" # it isn\'t !here\n', []),
        ('[ "$a" != b ] && ! test', []),
    ],
)
def test_what_an_interactive_shell_replaces_from_its_history_is_found(text: str, found: list[str]) -> None:
    assert _replaced_from_history(text) == found


def test_no_command_of_any_page_has_what_an_interactive_shell_replaces_from_its_history() -> None:
    pages = [*Path("docs").rglob("*.md"), Path("README.md"), Path("CONTRIBUTING.md")]
    commands = [(str(page), command) for page in pages for command in _shell_texts(page.read_text())]

    assert len(commands) > 100
    assert {page: found for page, command in commands if (found := _replaced_from_history(command))} == {}


def _shell_texts(page: str) -> list[str]:
    """Return each command of the page's console blocks with its output, and its blocks of shell code."""
    blocks = re.findall(r"^ *```(console|sh)\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
    return [
        part for kind, text in blocks for part in (re.split(r"^ *\$ ", text, flags=re.M) if kind != "sh" else [text])
    ]


def _replaced_from_history(text: str) -> list[str]:
    """Return the places where bash would insert an earlier command: `!` before a word, outside of single quotes."""
    quoted = r"'[^']*'|(?<=\s)#[^\n]*|\\."
    in_double_quotes = re.compile(r'(?:\\.|[^"\\])*"?')
    found, at = [], 0
    while at < len(text):
        if skipped := re.compile(quoted).match(text, at):
            at = skipped.end()
        elif text[at] == '"' and (double := in_double_quotes.match(text, at + 1)):
            found += _history_references(double.group())
            at = double.end()
        else:
            plain = re.compile(r"""[^'"#\\]+|.""").match(text, at)
            assert plain is not None
            found += _history_references(plain.group())
            at = plain.end()
    return found


def _history_references(text: str) -> list[str]:
    return re.findall(r"![^\s=(\"]\S*", text)


def test_the_documents_of_the_page_fit_the_schema() -> None:
    schema = build_schema(Path("graphql/schema.graphql").read_text())
    sent = re.findall(r"""api '\{"query": "(.*?)"\}'""", Path("docs/deploy.md").read_text())

    faults = [fault.message for text in sent for fault in validate(schema, parse(text.replace('\\"', '"')))]

    assert len(sent) == 4
    assert faults == []


def test_links_to_headings_of_the_pages_lead_somewhere() -> None:
    missing = []
    for page in PAGES[:4]:
        for target, heading in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", Path(page).read_text()):
            path = Path("docs") / target if target else Path(page)
            if heading not in _headings(path):
                missing.append(f"{page}: {target}#{heading}")

    assert missing == []


def _headings(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


async def test_a_token_of_the_first_operator_is_accepted() -> None:
    secret = "a secret of the tests, long enough for HS256 tokens"
    arguments = ["--subject", "alice", "--role", "operator", "--hours", "1", "--issuer", "us", "--audience", "gamer"]

    made = _token(secret, *arguments)
    verifier = TokenVerifier(SharedSecret(SecretStr(secret)), issuer="us", audience="gamer")
    caller = await verifier.verify(SecretStr(made.stdout.strip()))

    assert (made.returncode, caller.id, caller.role) == (0, "alice", Role.OPERATOR)


@pytest.mark.parametrize(("secret", "hours"), [("short", "1"), ("a secret that is long enough for it", "0")])
def test_no_token_is_made_without_a_secret_or_an_end(secret: str, hours: str) -> None:
    made = _token(secret, "--subject", "alice", "--hours", hours)

    assert (made.returncode, made.stdout) == (2, "")
    assert "a secret that is" not in made.stderr


def _token(secret: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "deploy/operator_token.py", *arguments]
    return subprocess.run(command, env={"JWT_SECRET": secret}, capture_output=True, text=True, check=False)
