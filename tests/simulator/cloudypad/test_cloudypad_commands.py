"""The stand-in's command line: what it takes, what it refuses, and its traps."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulator.cloudypad import names
from tests.simulator.cloudypad.tool import Tool

SSH = ("create", "ssh", "--name", "gw-2001", "--yes", "--overwrite-existing", "--skip-pairing")
CANCELLED = "Instance initialization cancelled.\n"


async def test_it_tells_its_version(tool: Tool) -> None:
    ended = await tool.run("--version")

    assert (ended.status, ended.stdout, ended.stderr) == (0, "0.45.2\n", "")


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("bogus",), "error: unknown command 'bogus'"),
        (("-v", "2", "list"), "error: unknown command '2'"),
        (("list", "--x"), "error: unknown option '--x'"),
        (("create", "gcp", "--public-ip-type", "static"), "error: unknown option '--public-ip-type'"),
        (("create", "ssh", "--ssh-port", "2222"), "error: unknown option '--ssh-port'"),
        (("get",), "error: missing required argument 'name'"),
        (("create", "ssh", "--name"), "error: option '--name <name>' argument missing"),
        (("update", "ssh", "--yes"), "error: required option '--name <name>' not specified"),
        (("list", "a"), "error: too many arguments for 'list'. Expected 0 arguments but got 1."),
    ],
)
async def test_a_wrong_command_line_is_told_on_stderr(tool: Tool, argv: tuple[str, ...], complaint: str) -> None:
    ended = await tool.run(*argv)

    assert (ended.status, ended.stdout, ended.stderr) == (1, "", f"{complaint}\n")
    assert tool.names() == []


async def test_an_empty_list_is_a_sentence_even_for_those_who_want_json(tool: Tool) -> None:
    plain, asked, unknown = await asyncio.gather(
        tool.run("list"), tool.run("list", "--format", "json"), tool.run("list", "--format", "xml")
    )

    assert (plain.status, plain.stdout) == (0, "No instances found.\n")
    assert (asked.status, asked.stdout) == (0, "No instances found.\n")
    assert unknown.status == 0


@pytest.mark.parametrize(
    ("given", "question"),
    [
        (("--hostname", "h", "--ssh-private-key", "k", "--streaming-server", "wolf"), "Enable Auto Stop?"),
        (("--hostname", "h", "--ssh-private-key", "k", "--autostop", "no"), "Streaming server"),
        (("--ssh-private-key", "k", "--streaming-server", "wolf", "--autostop", "no"), "Machine hostname"),
        (("--hostname", "h", "--streaming-server", "wolf", "--autostop", "no"), "SSH private key"),
    ],
)
async def test_a_question_that_nobody_answers_ends_well_and_makes_nothing(
    tool: Tool, given: tuple[str, ...], question: str
) -> None:
    ended = await tool.run(*SSH, *given)

    assert (ended.status, ended.stderr) == (0, "")
    assert question in ended.stdout
    assert ended.stdout.endswith(CANCELLED)
    assert tool.names() == []


@pytest.mark.parametrize("name", ["vm1", "gw-3f2a9c", "Upper", "a_b", "-a", "a--b"])
async def test_a_name_that_is_not_kebab_case_is_asked_for_again(tool: Tool, name: str) -> None:
    ended = await tool.run("create", "ssh", f"--name={name}", "--yes")

    assert ended.status == 0
    assert "Name must be in kebab-case" in ended.stdout
    assert ended.stdout.endswith(CANCELLED)


@pytest.mark.parametrize(
    ("name", "kebab"),
    [("vm1", "vm-1"), ("gw-3f2a9c", "gw-3-f-2-a-9-c"), ("gw-12345678", "gw-12345678"), ("user-42-vm", "user-42-vm")],
)
def test_letters_and_digits_are_words_of_their_own(name: str, kebab: str) -> None:
    assert names.kebab_case(name) == kebab


async def test_an_unknown_instance_is_an_error_on_stdout_with_a_footer_on_stderr(tool: Tool) -> None:
    ended = await tool.run("get", "none-1")
    silent = await tool.run("get", "none-1", CLOUDYPAD_LOG_LEVEL="6")

    assert ended.status == 1
    assert "\x1b[1mERROR\x1b[22m" in ended.stdout
    assert "\nCaused by (1): Error: " in ended.stdout
    assert "Instance named 'none-1' does not exist.\n" in ended.stdout
    assert len(ended.stderr.strip().splitlines()) == 3
    assert (silent.status, silent.stdout) == (1, "")


@pytest.mark.parametrize("verb", ["deploy", "provision", "destroy"])
async def test_what_wants_a_confirmation_fails_without_one(tool: Tool, verb: str) -> None:
    _write_state(tool, "gw-1")

    ended = await tool.run(verb, "gw-1")

    assert ended.status == 1
    assert "User force closed the prompt" in ended.stdout
    assert tool.names() == ["gw-1"]


async def test_an_instance_that_was_never_provisioned_is_unknown(tool: Tool) -> None:
    _write_state(tool, "gw-1")

    described = await tool.get("gw-1")
    listed = await tool.run("list", "--format", "json")
    started = await tool.run("start", "gw-1")

    assert described["status"] == {
        "serverStatus": "unknown",
        "provisioned": False,
        "configured": False,
        "ready": False,
    }
    assert listed.stdout == '[\n  "gw-1"\n]\n'
    assert started.status == 1
    assert "no provision output in state" in started.stdout


async def test_its_own_configuration_appears_at_the_first_run(tool: Tool) -> None:
    await tool.run("list")

    assert "collectionMethod: technical" in (tool.home / "config.yml").read_text()


def _write_state(tool: Tool, name: str) -> None:
    folder: Path = tool.home / "instances" / name
    folder.mkdir(parents=True)
    (folder / "state.yml").write_text(
        f"""version: "1"
name: {name}
events: [{{type: init, timestamp: 1767225600000}}]
provision:
  provider: ssh
  input: {{hostname: 127.0.0.1, ssh: {{user: ubuntu, privateKeyPath: /none}}}}
configuration: {{configurator: ansible, input: {{autostop: {{enable: false}}, sunshine: null, wolf: {{enable: true}}}}}}
"""
    )
