"""How `docker` describes containers, and its templates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from simulator.machines.container import Container


def row(container: Container) -> dict[str, object]:
    status = {
        "running": "Up 2 minutes",
        "restarting": "Restarting (1) 5 seconds ago",
        "paused": "Up 2 minutes (Paused)",
    }
    return {
        "ID": container.id[:12],
        "Names": container.name,
        "Image": container.image,
        "State": container.state,
        "Status": status.get(container.state, f"Exited ({container.exit_code}) 1 minute ago"),
    }


def described(container: Container) -> dict[str, object]:
    return {
        "Id": container.id,
        "Name": f"/{container.name}",
        "Image": f"sha256:{Container('', container.image).id}",
        "State": {
            "Status": container.state,
            "Running": container.is_running,
            "Paused": container.state == "paused",
            "Restarting": container.state == "restarting",
            "ExitCode": container.exit_code,
            "StartedAt": container.started_at,
        },
        "Config": {"Image": container.image, "Env": [f"{key}={value}" for key, value in container.environment.items()]},
        "HostConfig": {"RestartPolicy": {"Name": container.restart}, "Binds": container.volumes},
    }


def filled(form: str, facts: Mapping[str, object]) -> str:
    """Go's template as far as it is used: `{{.A.B}}` and `{{json .A}}`."""

    def fill(found: re.Match[str]) -> str:
        value: object = facts
        for name in [part for part in found[2].split(".") if part]:
            value = value.get(name, "<no value>") if isinstance(value, Mapping) else "<no value>"
        if found[1]:
            return json.dumps(value)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return re.sub(r"\{\{\s*(json\s+)?(\.[\w.]*)\s*\}\}", fill, form.replace("\\t", "\t"))
