"""A small executable `cloudypad` with homes as the real one has them, and a cloud that all homes share.

The cloud is a folder: a file per machine that exists, `full` with the zones that have none free, `calls` with what was
asked, `hold` as long as `create` is to hang after the machine was made.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = """\
#!{python} -I
import json, os, pathlib, sys, time, yaml
cloud, home = pathlib.Path({cloud!r}), pathlib.Path(os.environ["CLOUDYPAD_HOME"])
verb, rest = sys.argv[1], sys.argv[2:]
flags = dict(zip(rest, rest[1:] + [""]))
with (cloud / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
name = flags["--name"] if verb == "create" else rest[0] if rest else ""
file, stack = home / "instances" / name / "state.yml", home / "pulumi-backend" / ".pulumi" / "stacks" / "GCP"
machine, lock = cloud / f"machine-{{name}}", home / "pulumi-backend" / "lock"

def fail(words):
    print(f"2026-11-21 19:22:29.362\\tERROR\\tx.js:1\\tgcp\\t{{words}}")
    sys.exit(1)

def save(state):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(state))

def load():
    if not file.exists():
        fail(f"Instance named '{{name}}' does not exist.")
    return yaml.safe_load(file.read_text())

if verb == "--version":
    print("0.45.2")
elif verb == "list":
    names = sorted(path.parent.name for path in (home / "instances").glob("*/state.yml"))
    print(json.dumps(names) if names else "No instances found.")
elif verb == "create":
    given = {{
        "zone": flags["--zone"], "machineType": flags["--machine-type"], "acceleratorType": flags["--gpu-type"],
        "diskSize": int(flags["--disk-size"]), "dataDiskSizeGb": int(flags["--data-disk-size"]),
        "ssh": {{"user": "ubuntu", "privateKeyPath": flags["--ssh-private-key"]}}, "useSpot": flags["--spot"] == "yes",
    }}
    state = {{"version": "1", "name": name, "provision": {{"provider": "gcp", "input": given}}, "configuration": {{}}}}
    save(state)
    if lock.exists() and "--force-pulumi-cancel" not in rest:
        fail("ConcurrentUpdateError: the stack is currently locked")
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("")
    if given["zone"] in (cloud / "full").read_text().split():
        lock.unlink()
        fail("ZONE_RESOURCE_POOL_EXHAUSTED in " + given["zone"])
    if (cloud / "quota").exists():
        lock.unlink()
        fail("googleapi: Error 403: " + (cloud / "quota").read_text())
    if not (stack / f"{{name}}.json").exists() and machine.exists():
        fail("googleapi: Error 409: the resource already exists")
    stack.mkdir(parents=True, exist_ok=True)
    (stack.parent.parent / "meta.yaml").write_text("version: 1")
    (stack / f"{{name}}.json").write_text("{{}}")
    machine.write_text("running")
    with (cloud / "made").open("a") as made:
        made.write(name + "\\n")
    state["provision"]["output"] = {{"host": "203.0.113.9"}}
    save(state)
    while (cloud / "hold").exists():
        time.sleep(0.02)
    state["configuration"]["output"] = {{}}
    save(state)
    lock.unlink()
elif verb == "get":
    state = load()
    provisioned = "output" in state["provision"]
    there = machine.read_text() if machine.exists() else "unknown"
    status = {{"serverStatus": there if provisioned else "unknown", "provisioned": provisioned,
               "configured": "output" in state["configuration"], "ready": there == "running"}}
    print(json.dumps({{**state, "status": status}}))
elif verb in ("start", "stop"):
    load()
    if (cloud / "deaf").exists():
        print("2026-11-21 19:22:29.362\\tWARN\\tx.js:1\\tgcp\\tFailed to stop instance")
    elif verb == "start" and (cloud / "full").read_text():
        fail("ZONE_RESOURCE_POOL_EXHAUSTED")
    else:
        machine.write_text("running" if verb == "start" else "stopped")
elif verb == "destroy":
    load()
    if (cloud / "stuck").exists():
        fail("pulumi down")
    if lock.exists() and "--force-pulumi-cancel" not in rest:
        fail("ConcurrentUpdateError: the stack is currently locked")
    lock.unlink(missing_ok=True)
    machine.unlink(missing_ok=True)
    (stack / f"{{name}}.json").unlink(missing_ok=True)
    file.unlink()
    file.parent.rmdir()
"""


class CloudFolder:
    """The cloud's own side of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "full").write_text("")
        (folder / "calls").write_text("")
        (folder / "made").write_text("")
        self.command = folder / "cloudypad"
        self.command.write_text(PROGRAM.format(python=sys.executable, cloud=str(folder)))
        self.command.chmod(0o755)

    def fill(self, *zones: str) -> None:
        (self._folder / "full").write_text(" ".join(zones))

    def use_up(self, words: str) -> None:
        """From now on an order fails with these words of Google's."""
        (self._folder / "quota").write_text(words)

    def order(self, what: str) -> None:
        """`hold`, `deaf` (start and stop do nothing) or `stuck` (destroy fails)."""
        (self._folder / what).write_text("")

    def relent(self, what: str) -> None:
        (self._folder / what).unlink()

    def machines(self) -> list[str]:
        return sorted(path.name.removeprefix("machine-") for path in self._folder.glob("machine-*"))

    def lose(self, name: str) -> None:
        (self._folder / f"machine-{name}").unlink()

    def made(self) -> list[str]:
        """Every machine that was ever made, repetitions included."""
        return (self._folder / "made").read_text().split()

    def calls(self, verb: str) -> list[str]:
        lines = (self._folder / "calls").read_text().splitlines()
        return [line for line in lines if line.split()[0] == verb]

    def zones_tried(self) -> list[str]:
        return [line.split("--zone ")[1].split()[0] for line in self.calls("create")]
