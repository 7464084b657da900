"""The wire to the executable, against small programs that behave as badly as the real one may."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import AccountQuotaError, NoCapacityError, ProviderBusyError, ProviderRefusedError, RegionQuotaError
from providers.cloudypad.cli import CloudyPadCli
from tests.otlp import collector
from tracing import spans
from tracing.export import Destination, export_traces

NAME = "gamer-123"
KEY = Path("/keys/ours")
STATE = {
    "version": "1",
    "name": NAME,
    "provision": {
        "provider": "ssh",
        "output": {"host": "203.0.113.7"},
        "input": {"ssh": {"user": "user", "privateKeyContentBase64": "c2VjcmV0" * 20}},
    },
    "status": {"serverStatus": "running", "provisioned": True, "configured": True, "ready": True},
}
Program = Callable[[str], CloudyPadCli]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A stand-in executable from the body of a shell script; `$CALLS` is a file for what it saw."""

    def make(body: str) -> CloudyPadCli:
        script = tmp_path / "cloudypad"
        (tmp_path / "state.json").write_text(json.dumps(STATE))
        script.write_text(f"#!/bin/sh\nCALLS={tmp_path}/calls\nSTATE={tmp_path}/state.json\n{body}\n")
        script.chmod(0o755)
        return CloudyPadCli(str(script), tmp_path / "home", short_deadline_s=5, long_deadline_s=5, grace_s=0.3)

    return make


WELL = f'case "$1" in get) cat $STATE;; list) echo \'["{NAME}"]\';; *) echo "Instance has been initialized";; esac'


async def test_a_created_instance_is_believed_only_after_it_was_asked_for(program: Program, tmp_path: Path) -> None:
    cli = program(f'echo "$1" >> $CALLS\n{WELL}')

    instance = await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)

    assert (instance.name, instance.host, instance.configured) == (NAME, "203.0.113.7", True)
    assert (tmp_path / "calls").read_text().split() == ["create", "get"]


async def test_only_so_many_instances_are_set_up_at_once_and_nothing_else_waits_for_them(
    program: Program, tmp_path: Path
) -> None:
    """Three set-ups with room for two: each waits for a file, so that the third cannot begin before one ended."""
    program(f'case "$1" in create) echo "$3" >> $CALLS; while [ ! -e $CALLS.go ]; do sleep 0.02; done;; esac; {WELL}')
    cli = CloudyPadCli(str(tmp_path / "cloudypad"), tmp_path / "home", long_deadline_s=20, set_ups_at_once=2)
    calls = tmp_path / "calls"

    def begun() -> int:
        return len(calls.read_text().split()) if calls.exists() else 0

    async def two_have_begun() -> None:
        async with asyncio.timeout(10):
            while True:
                if begun() == 2:
                    return
                await asyncio.sleep(0.01)

    names = [f"gamer-{number}" for number in range(3)]
    running = [asyncio.create_task(cli.create_ssh(name, "203.0.113.7", "user", KEY)) for name in names]
    await two_have_begun()
    listed = await cli.names()
    async with asyncio.timeout(10):
        for change in (cli.stop, cli.start, cli.destroy):
            await change("gamer-9")
    while_two_run = begun()
    (tmp_path / "calls.go").touch()
    await asyncio.gather(*running)

    assert (listed, while_two_run, begun()) == ([NAME], 2, 3)


async def test_success_after_an_unanswered_prompt_is_a_refusal(program: Program) -> None:
    cli = program('echo "? SSH user: "; echo "Instance initialization cancelled."')

    with pytest.raises(ProviderRefusedError, match="Instance initialization cancelled"):
        await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)


async def test_success_without_an_instance_is_none(program: Program) -> None:
    cli = program('case "$1" in list) echo "No instances found.";; get) exit 1;; esac')

    with pytest.raises(ProviderBusyError, match="not set up"):
        await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)


async def test_an_empty_list_comes_as_a_sentence(program: Program) -> None:
    cli = program('echo "No instances found."')

    assert await cli.names() == []


async def test_log_lines_before_the_json_are_passed_over(program: Program) -> None:
    cli = program('printf "2026-11-21 19:22:29.362\\tWARN\\tx.js:1\\tinstance\\t[careful]\\n"; cat $STATE')

    instance = await cli.get(NAME)

    assert instance is not None
    assert instance.ready


async def test_an_unknown_instance_is_none(program: Program) -> None:
    cli = program('case "$1" in list) echo "[\\"gamer-9\\"]";; get) exit 1;; esac')

    assert await cli.get(NAME) is None


async def test_a_listed_instance_that_cannot_be_described_is_asked_for_again_later(program: Program) -> None:
    cli = program(f'case "$1" in list) echo \'["{NAME}"]\';; get) exit 1;; esac')

    with pytest.raises(ProviderBusyError, match="failed to describe"):
        await cli.get(NAME)


@pytest.mark.parametrize("answer", ["", "[]", "{}", "{", "null", "nonsense"])
async def test_an_answer_of_another_form_is_an_error_and_no_guess(program: Program, answer: str) -> None:
    cli = program(f"echo '{answer}'")

    with pytest.raises(ProviderBusyError, match="in an unknown format"):
        await cli.get(NAME)


async def test_the_reason_of_a_failure_is_found_on_standard_output(program: Program) -> None:
    cli = program(
        'printf "2026-11-21 19:22:29.362\\tERROR\\tx.js:1\\tansible\\tAnsible run failed, exit code 2\\n"\n'
        'echo "    at Object.run (x.js:1)"; echo "Oops, something went wrong" >&2; exit 1'
    )

    with pytest.raises(ProviderBusyError, match="create failed with status 1: Ansible run failed, exit code 2"):
        await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", NoCapacityError),
        ("The zone does not have enough resources available", NoCapacityError),
        ("Quota 'GPUS_ALL_REGIONS' exceeded. Limit: 0.0", AccountQuotaError),
        ("Error 403: Quota 'NETWORKS' exceeded.  Limit: 5.0 globally., quotaExceeded", AccountQuotaError),
        ("Error 403: Quota 'IN_USE_ADDRESSES' exceeded.  Limit: 8.0 globally.", AccountQuotaError),
        ("Error 403: Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 1.0 in region us-central1.", RegionQuotaError),
        ("Error 403: Quota 'STATIC_ADDRESSES' exceeded.  Limit: 8.0 in region us-west1.", RegionQuotaError),
        ("code: QUOTA_EXCEEDED", RegionQuotaError),
        ("Error 403: Rate Limit Exceeded, rateLimitExceeded", ProviderBusyError),
        ("Quota exceeded for quota metric 'Read requests' and limit 'per minute'", ProviderBusyError),
        ("Machine type with name 'g2-standard-8' does not exist in zone 'us-central1-c'.", NoCapacityError),
        ("The resource 'projects/p/zones/z/acceleratorTypes/nvidia-l4' was not found", NoCapacityError),
        ("Could not load the default credentials. Browse to", ProviderRefusedError),
        ("spawn pulumi ENOENT", ProviderRefusedError),
        ("never seen before", ProviderBusyError),
    ],
)
async def test_known_words_mean_what_the_caller_does_next(program: Program, words: str, error: type[Exception]) -> None:
    cli = program(f'cat <<"END"\n2026-11-21 19:22:29.362\tERROR\tx.js:1\tgcp\t{words}\nEND\nexit 1')

    with pytest.raises(error) as raised:
        await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)

    assert type(raised.value) is error


async def test_a_limit_of_requests_says_when_it_has_passed_and_a_quota_its_name(program: Program) -> None:
    rate = program("echo 'googleapi: Error 403: Rate Limit Exceeded, rateLimitExceeded'; exit 1")
    with pytest.raises(ProviderBusyError) as busy:
        await rate.create_ssh(NAME, "203.0.113.7", "user", KEY)
    quota = program("echo \"Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.\"; exit 1")
    with pytest.raises(AccountQuotaError) as used_up:
        await quota.create_ssh(NAME, "203.0.113.7", "user", KEY)

    assert (busy.value.retry_after_s, used_up.value.quota) == (60, "GPUS_ALL_REGIONS")


async def test_a_missing_executable_is_refused_by_name(tmp_path: Path) -> None:
    cli = CloudyPadCli(str(tmp_path / "cloudypad"), tmp_path / "home")

    with pytest.raises(ProviderRefusedError, match="cloudypad cannot be started: No such file"):
        await cli.names()


async def test_it_sees_only_the_environment_that_it_needs(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORDOCK_API_TOKEN", "secret")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/secrets/google.json")
    cli = program(f"env > $CALLS; cat >> $CALLS; {WELL}")

    await cli.get(NAME)

    seen = dict(line.split("=", 1) for line in (tmp_path / "calls").read_text().splitlines())
    home = tmp_path / "home"
    assert seen["CLOUDYPAD_HOME"] == str(home)
    assert seen["HOME"] == str(home / "home")
    assert seen["CLOUDYPAD_LOG_LEVEL"] == "6"
    assert seen["ANSIBLE_STDOUT_CALLBACK"] == "default"
    assert seen["GOOGLE_APPLICATION_CREDENTIALS"] == "/secrets/google.json"
    assert "TENSORDOCK_API_TOKEN" not in seen


async def test_it_reports_nothing_to_anybody(program: Program, tmp_path: Path) -> None:
    cli = program(WELL)

    await cli.names()

    assert "collectionMethod: none" in (tmp_path / "home" / "config.yml").read_text()
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


async def test_phases_become_sentences_each_told_once(program: Program) -> None:
    told: list[str] = []
    cli = program(
        f"""if [ "$1" = create ]; then cat <<'END'
Executing playbook wolf.yml

- wolf on hosts: all -
Wait for machine to be reachable (timeout: 10min)...
  203.0.113.7 ok
\x1b[32mInstall NVIDIA driver...\x1b[0m
  203.0.113.7 done
Blacklist nouveau...
  203.0.113.7 done | msg: token=abc
Reboot machine...
Create Wolf project directory...
- Play recap -
  203.0.113.7  : ok=64 changed=38 unreachable=0 failed=0
END
fi
{WELL}"""
    )

    await cli.create_ssh(NAME, "203.0.113.7", "user", KEY, told.append)

    assert told == [
        "Setting the machine up",
        "Waiting for the machine to respond",
        "Installing the graphics driver",
        "Restarting the machine",
        "Installing the streaming server",
    ]


async def test_credentials_in_its_output_reach_no_error(program: Program) -> None:
    secret = "A1b2" * 20
    cli = program(f'printf "t\\tERROR\\tx\\ty\\tpassword: hunter2 key {secret} failed\\n"; exit 1')

    with pytest.raises(ProviderBusyError) as raised:
        await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)

    assert secret not in raised.value.message
    assert "hunter2" not in raised.value.message


async def test_a_run_past_its_deadline_ends_with_all_its_children(program: Program, tmp_path: Path) -> None:
    cli = program('[ "$1" = create ] || exit 1\nsh -c \'trap "" TERM; echo $$ >> "$0"; sleep 60\' $CALLS & wait')
    cli._long_s = 0.5

    with pytest.raises(ProviderBusyError, match="did not end within"):
        await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)

    assert not alive(int((tmp_path / "calls").read_text()))


async def test_children_that_outlive_it_are_ended_and_do_not_hold_us_up(program: Program, tmp_path: Path) -> None:
    cli = program(f'if [ "$1" = create ]; then sleep 60 & echo $! > $CALLS; fi\n{WELL}')

    await asyncio.wait_for(cli.create_ssh(NAME, "203.0.113.7", "user", KEY), 4)

    assert not alive(int((tmp_path / "calls").read_text()))


async def test_a_process_that_left_the_group_with_the_pipes_does_not_hold_us_up(program: Program) -> None:
    cli = program(f'if [ "$1" = create ]; then setsid sleep 3 & fi\n{WELL}')

    instance = await asyncio.wait_for(cli.create_ssh(NAME, "203.0.113.7", "user", KEY), 2)

    assert instance.configured


async def test_a_cancelled_run_ends_with_all_its_children(program: Program, tmp_path: Path) -> None:
    cli = program("sleep 60 & echo $! > $CALLS.draft; mv $CALLS.draft $CALLS; wait")
    run = asyncio.create_task(cli.create_ssh(NAME, "203.0.113.7", "user", KEY))
    await until((tmp_path / "calls").exists)

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert not alive(int((tmp_path / "calls").read_text()))


async def test_runs_on_one_instance_happen_one_after_another_and_on_two_at_once(
    program: Program, tmp_path: Path
) -> None:
    body = 'if [ "$1" = configure ]; then echo "begin $2" >> $CALLS; sleep 0.3; echo "end $2" >> $CALLS; fi'
    one, other = program(body), program(body)

    await asyncio.gather(one.configure("gamer-1"), other.configure("gamer-1"))
    serial = (tmp_path / "calls").read_text().splitlines()
    (tmp_path / "calls").unlink()
    await asyncio.gather(one.configure("gamer-1"), other.configure("gamer-2"))
    parallel = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]

    assert serial == ["begin gamer-1", "end gamer-1"] * 2
    assert parallel == ["begin", "begin", "end", "end"]


async def test_the_lock_of_a_killed_worker_lasts_as_long_as_the_run_it_left_behind(
    program: Program, tmp_path: Path
) -> None:
    cli = program(
        "[ -e $CALLS ] && exit 0\necho $$ > $CALLS.draft; mv $CALLS.draft $CALLS; sleep 0.6; echo end > $CALLS"
    )
    code = (
        "import asyncio, sys, pathlib; from providers.cloudypad.cli import CloudyPadCli;"
        "asyncio.run(CloudyPadCli(sys.argv[1], pathlib.Path(sys.argv[2])).configure('gamer-1'))"
    )
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path / "cloudypad"), str(tmp_path / "home"))
    )
    await until((tmp_path / "calls").exists)
    worker.kill()
    await worker.wait()

    await cli.configure("gamer-1")

    assert (tmp_path / "calls").read_text() == "end\n"


async def test_a_stack_that_a_killed_run_left_locked_is_unlocked(program: Program, tmp_path: Path) -> None:
    cli = program(
        'echo "$@" >> $CALLS; case "$*" in *--force-pulumi-cancel) exit 0;; esac; echo "ConcurrentUpdateError"; exit 1'
    )

    await cli.provision("gamer-1")

    assert (tmp_path / "calls").read_text().splitlines() == [
        "provision gamer-1 --yes --retries 0",
        "provision gamer-1 --yes --retries 0 --force-pulumi-cancel",
    ]


async def test_destroying_what_is_gone_is_done(program: Program) -> None:
    cli = program('case "$1" in list) echo "No instances found.";; *) exit 1;; esac')

    await cli.destroy(NAME)


async def test_what_is_still_listed_is_not_destroyed(program: Program) -> None:
    cli = program(f'case "$1" in list) echo \'["{NAME}"]\';; esac')

    with pytest.raises(ProviderBusyError, match="still lists it"):
        await cli.destroy(NAME)


async def test_a_failed_destroy_says_why(program: Program) -> None:
    cli = program(
        f'case "$1" in list) echo \'["{NAME}"]\';; *) printf "t\\tERROR\\tx\\ty\\tpulumi down\\n"; exit 1;; esac'
    )

    with pytest.raises(ProviderBusyError, match="pulumi down"):
        await cli.destroy(NAME)


def alive(pid: int) -> bool:
    """Whether a process runs. One that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(happened: Callable[[], bool], within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_each_task_of_a_run_is_a_span_below_it(program: Program) -> None:
    tasks = "PLAY [all] ****\\nTASK [nvidia : Install driver] ****\\nok: [203.0.113.7]\\nTASK [wolf : Start] ****\\n"
    cli = program(f'[ "$1" = create ] && printf "{tasks}"\n{WELL}')

    with collector() as found:
        async with export_traces(Destination(found.url)):
            with spans.operation("mutation", "LaunchGame", begins_trace=True):
                await cli.create_ssh(NAME, "203.0.113.7", "user", KEY)

    assert [found.path(span)[1:] for span in found.spans[:-1]] == [
        ["cloudypad create", "task Install driver"],
        ["cloudypad create", "task Start"],
        ["cloudypad create"],
        ["cloudypad get"],
    ]
    assert found.named("cloudypad create")[0].attributes["process.exit.code"] == 0
    assert b"203.0.113.7" not in b"".join(found.bodies)
