"""Our argument lists and answers, held against CloudyPad itself where it is at hand.

REAL_CLOUDYPAD names its command line as it runs in node, not the launcher that starts a container. It runs without
Pulumi and Ansible on its path and without analytics, so that nothing is contacted: what is tried is what it reads.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import asyncssh
import pytest

from errors import ProviderRefusedError
from providers.cloudypad import commands
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.commands import GcpOrder
from providers.cloudypad.process import Finished, run_to_end

CLOUDYPAD = os.environ.get("REAL_CLOUDYPAD")
NAME = "gamer-540131149991717660"
ORDER = GcpOrder("proj-1", "europe-west1", "europe-west1-b", "g2-standard-8", "nvidia-l4", 50, 100, spot=True)

pytestmark = [
    pytest.mark.skipif(
        CLOUDYPAD is None, reason="NOT TESTED against CloudyPad itself: REAL_CLOUDYPAD=/path/to/cloudypad make test"
    ),
    pytest.mark.timeout(300),
]


class RealCloudyPad:
    def __init__(self, folder: Path) -> None:
        tools = folder / "tools"
        tools.mkdir()
        for tool in ("node", "sh", "env"):
            (tools / tool).symlink_to(shutil.which(tool) or tool)
        self.key = folder / "key"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(self.key)
        self.home = folder / "home"
        self.environment = {"PATH": str(tools)}
        self.cli = CloudyPadCli(CLOUDYPAD or "", self.home, key_path=self.key, inherited=self.environment)

    async def run(self, argv: list[str]) -> Finished:
        return await run_to_end(
            [CLOUDYPAD or "", *argv],
            environment={**self.environment, "CLOUDYPAD_HOME": str(self.home), "HOME": str(self.home)},
            folder=self.home,
            deadline_s=120,
            on_line=lambda line: None,
        )


@pytest.fixture
async def real(tmp_path: Path) -> RealCloudyPad:
    found = RealCloudyPad(tmp_path)
    assert (await found.cli.version()).startswith("0.45.")  # which also writes the settings of its home
    return found


async def test_a_google_order_arrives_whole_and_fails_where_pulumi_is_missing(real: RealCloudyPad) -> None:
    async with real.cli.turn(NAME) as turn:
        with pytest.raises(ProviderRefusedError, match=r"create failed with status 1: .*spawn pulumi ENOENT"):
            await real.cli.create_gcp(turn, ORDER, real.key)

    assert await real.cli.names() == [NAME]
    state = (real.home / "instances" / NAME / "state.yml").read_text()
    for line in (
        *("projectId: proj-1", "region: europe-west1", "zone: europe-west1-b", "machineType: g2-standard-8"),
        *("acceleratorType: nvidia-l4", "diskSize: 50", "dataDiskSizeGb: 100", "diskType: pd-balanced"),
        *("networkTier: STANDARD", "useSpot: true", "deleteInstanceServerOnStop: false", "costAlert: null"),
    ):
        assert line in state


@pytest.mark.parametrize(
    "argv",
    [
        commands.start(NAME, 5),
        commands.stop(NAME, 5),
        commands.restart(NAME, 5),
        commands.provision(NAME),
        commands.configure(NAME),
        commands.deploy(NAME),
        commands.destroy(NAME),
        commands.with_lock_broken(commands.deploy(NAME)),
        commands.with_lock_broken(commands.destroy(NAME)),
    ],
    ids=" ".join,
)
async def test_every_command_line_is_read_without_a_question(real: RealCloudyPad, argv: list[str]) -> None:
    finished = await real.run(argv)

    assert finished.exit_code == 1
    assert not finished.stderr.startswith("error: ")
    assert f"Instance named '{NAME}' does not exist." in finished.stdout
    assert "\n? " not in finished.stdout
