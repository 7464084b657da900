"""The provider `gcp`: machines of the simulated Google Cloud, with the output of Pulumi."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from simulator.cloudypad import ansible, cloud, pulumi, state
from simulator.cloudypad.options import CommandLine
from simulator.cloudypad.state import State
from simulator.cloudypad.terminal import CommandError, Level, ask, confirm, log, say

ANSIBLE_TAGS_AT_START = "ratelimit,data-disk,sunshine"
QUESTIONS = {
    "project-id": ("projectId", "GCP project:"),
    "region": ("region", "Region:"),
    "zone": ("zone", "Zone:"),
    "machine-type": ("machineType", "Machine type:"),
    "gpu-type": ("acceleratorType", "GPU type:"),
}
CHOICES = {
    "disk-type": ("diskType", ("pd-balanced", "pd-standard", "pd-ssd")),
    "network-tier": ("networkTier", ("STANDARD", "PREMIUM")),
    "nic-type": ("nicType", ("auto", "GVNIC", "VIRTIO_NET")),
}
STATES = {
    **dict.fromkeys(("PROVISIONING", "STAGING"), "starting"),
    "RUNNING": "running",
    **dict.fromkeys(("STOPPING", "SUSPENDING"), "stopping"),
    **dict.fromkeys(("SUSPENDED", "REPAIRING", "TERMINATED"), "stopped"),
}


class GcpProvider:
    name = "gcp"
    restart_needs_wait = True

    def ask(self, line: CommandLine) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for option, (key, question) in QUESTIONS.items():
            given[key] = line.text(option) or ask(question)
        given["diskSize"] = int(line.text("disk-size") or ask("Disk size in GB (100):") or 100)
        given["dataDiskSizeGb"] = line.number("data-disk-size", 0)
        given["publicIpType"] = "static"
        for option, (key, choices) in CHOICES.items():
            value = line.text(option)
            given[key] = value if value in choices else ask(f"{option} ({', '.join(choices)}):")
        spot = line.flag("spot")
        given["useSpot"] = confirm("Use spot instances?") if spot is None else spot
        given["costAlert"] = _cost_alert(line)
        return given

    def update(self, line: CommandLine, found: State) -> None:
        given = found["provision"]["input"]
        for option, key in (("machine-type", "machineType"), ("gpu-type", "acceleratorType")):
            given[key] = line.text(option) or given[key]
        given["diskSize"] = line.number("disk-size", given["diskSize"])
        if line.flag("cost-alert") is not None:
            given["costAlert"] = _cost_alert(line)

    def provision(self, found: State, line: CommandLine) -> dict[str, Any]:
        name, given = found["name"], found["provision"]["input"]
        with pulumi.stack("CloudyPad-GCP", name, line):
            machine = cloud.call("POST", "/machines", _order(found))
            pulumi.print_update(name, _resources(name, given), machine["ip"])
        _set_runtime(name, server="present", disk="live")
        before = found["provision"].get("output") or {}
        ports = {int(inside): outside for inside, outside in machine["ports"].items()}
        return {**before, **_output(name, given, machine["ip"]), **({"ports": ports} if ports else {})}

    def configured(self, found: State, line: CommandLine) -> None:
        """Make the image of the machine's root disk from which later starts are made."""
        if not found["provision"]["input"].get("baseImageSnapshot", {}).get("enable"):
            return
        name = found["name"]
        say("Creating base image from the instance's root disk, this may take a few minutes...")
        with pulumi.stack("CloudyPad-GCP-BaseImage", name, line):
            cloud.call("POST", f"/machines/{name}/image")
        found["provision"]["output"]["baseImageId"] = (
            f"projects/{found['provision']['input']['projectId']}/global/images/{name}-base-image"
        )
        state.save(found)

    def start(self, found: State, line: CommandLine) -> None:
        name = found["name"]
        if _gives_up_server(found):
            self._raise_again(found, line)
        cloud.call("POST", f"/machines/{name}/start")

    def stop(self, found: State, line: CommandLine) -> None:
        """Stop the server and, by default, delete it. A snapshot keeps the data disk's content."""
        name, given = found["name"], found["provision"]["input"]
        try:
            cloud.call("POST", f"/machines/{name}/stop")
        except CommandError as error:
            log(Level.WARN, f"Failed to stop instance {name}: {error}")
        if not _gives_up_server(found):
            return
        with pulumi.stack("CloudyPad-GCP-DataDiskSnapshot", name, line):
            kept = cloud.call("POST", f"/machines/{name}/snapshot") if given["dataDiskSizeGb"] else {}
        with pulumi.stack("CloudyPad-GCP", name, line):
            cloud.call("POST", f"/machines/{name}/give-up")
        _set_runtime(name, server="absent", disk="snapshot")
        stopped = state.load(name)
        output = stopped["provision"]["output"]
        output.pop("dataDiskId", None)
        if kept:
            output["dataDiskSnapshotId"] = f"projects/{given['projectId']}/global/snapshots/{name}-data-volume-snapshot"
        stopped["configuration"].pop("output", None)
        state.save(stopped)

    def restart(self, found: State, line: CommandLine) -> None:
        cloud.call("POST", f"/machines/{found['name']}/restart")

    def destroy(self, found: State, line: CommandLine) -> None:
        name = found["name"]
        with pulumi.stack("CloudyPad-GCP", name, line):
            cloud.call("DELETE", f"/machines/{name}")
            pulumi.print_destroyed(name, _resources(name, found["provision"]["input"]))

    def status(self, found: State) -> str:
        if not found["provision"].get("output"):
            return "unknown"
        try:
            return STATES.get(str(cloud.call("GET", f"/machines/{found['name']}")["status"]), "unknown")
        except CommandError as error:
            log(Level.WARN, f"Failed to get status of instance {found['name']}: {error}")
            return "unknown"

    def _raise_again(self, found: State, line: CommandLine) -> None:
        name = found["name"]
        output = self.provision(found, line)
        again = state.load(name)
        again["provision"]["output"] = output
        state.save(again)
        cloud.call("POST", f"/machines/{name}/start")
        ansible.configure(again, line, tags=ANSIBLE_TAGS_AT_START)
        again["configuration"]["output"] = {"dataDiskConfigured": bool(output.get("machineDataDiskLookupId"))}
        state.save(again)


def _order(found: State) -> dict[str, Any]:
    given = found["provision"]["input"]
    return {
        "name": found["name"],
        "user": given["ssh"]["user"],
        "public_key": _public_key(given["ssh"]),
        **{key: given[key] for key in ("projectId", "zone", "machineType", "acceleratorType", "useSpot")},
        **({"imageId": given["imageId"]} if given.get("imageId") else {}),
    }


def _public_key(ssh: dict[str, Any]) -> str:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - slow to load
        Encoding,
        PublicFormat,
        load_ssh_private_key,
    )

    try:
        path = ssh.get("privateKeyPath")
        content = Path(path).read_bytes() if path else base64.b64decode(ssh["privateKeyContentBase64"])
        key = load_ssh_private_key(content, None).public_key()
    except OSError as error:
        raise CommandError(f"ENOENT: no such file or directory, open '{error.filename}'") from None
    except ValueError as error:
        raise CommandError(f"Can't parse SSH private key: {error}") from None
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _output(name: str, given: dict[str, Any], ip: str) -> dict[str, Any]:
    disk = f"cloudypad-{name}-data"
    output = {"host": ip, "publicIPv4": ip, "instanceName": f"cloudypad-{name}", "rootDiskId": f"cloudypad-{name}"}
    return output | ({"dataDiskId": disk, "machineDataDiskLookupId": disk} if given["dataDiskSizeGb"] else {})


def _resources(name: str, given: dict[str, Any]) -> list[tuple[str, str]]:
    base = f"cloudypad-{name}"
    return [
        ("pulumi:pulumi:Stack", f"CloudyPad-GCP-{name}"),
        ("crafteo:cloudypad:gcp:gce-instance", name),
        ("gcp:compute:Network", f"{base}-network"),
        ("gcp:compute:Subnetwork", f"{base}-subnet"),
        ("gcp:compute:Firewall", base),
        ("gcp:compute:Address", base),
        *([("gcp:compute:Disk", f"{base}-data")] if given["dataDiskSizeGb"] else []),
        ("gcp:compute:Instance", base),
    ]


def _gives_up_server(found: State) -> bool:
    given = found["provision"]["input"]
    snapshots = given.get("dataDiskSnapshot", {}).get("enable") and given["dataDiskSizeGb"]
    return bool(given.get("deleteInstanceServerOnStop") or snapshots)


def _set_runtime(name: str, *, server: str, disk: str) -> None:
    found = state.load(name)
    found["provision"]["input"]["runtime"] = {"instanceServerState": server, "dataDiskState": disk}
    state.save(found)


def _cost_alert(line: CommandLine) -> dict[str, Any] | None:
    limit, email = line.text("cost-limit"), line.text("cost-notification-email")
    wanted = line.flag("cost-alert")
    if wanted is None and not (limit or email):
        wanted = confirm("Enable cost alert?")
    if not (wanted or limit or email):
        return None
    return {"limit": int(limit or ask("Limit in USD (30):")), "notificationEmail": email or ask("E-mail for alerts:")}
