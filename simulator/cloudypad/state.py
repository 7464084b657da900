"""The state files: one per instance under CLOUDYPAD_HOME, read and rewritten whole at every step, without locks."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import yaml

from simulator.cloudypad import VERSION
from simulator.cloudypad.terminal import CommandError

EVENTS_KEPT = 10
CONFIG = """version: "1"
analytics:
  promptedPersonalDataCollectionApproval: false
  posthog:
    distinctId: {id}
    collectionMethod: technical
"""

State = dict[str, Any]


def home() -> Path:
    given = os.environ.get("CLOUDYPAD_HOME")
    return Path(given) if given else Path(os.environ.get("HOME", "/")) / ".cloudypad"


def ensure_config() -> None:
    path = home() / "config.yml"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIG.format(id=uuid.uuid4()))


def names() -> list[str]:
    return sorted(path.parent.name for path in (home() / "instances").glob("*/state.yml"))


def exists(name: str) -> bool:
    return _path(name).exists()


def load(name: str) -> State:
    """Load a state. Raises CommandError for an unknown name, or a file that cannot be parsed."""
    try:
        content = yaml.safe_load(_path(name).read_text())
    except FileNotFoundError:
        raise CommandError(
            f"Failed to get details of instance {name}\nInstance named '{name}' does not exist."
        ) from None
    except yaml.YAMLError as error:
        raise CommandError(f"Error parsing state of instance {name}: {error}") from None
    if not isinstance(content, dict) or content.get("version") != "1" or "provision" not in content:
        raise CommandError(f"Can't parse state of instance {name}: invalid or unknown version")
    return content


def save(state: State) -> None:
    path = _path(state["name"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(state, sort_keys=False, allow_unicode=True))


def remove(name: str) -> None:
    shutil.rmtree(_path(name).parent)


def add_event(name: str, kind: str) -> State:
    state = load(name)
    state["events"] = [*state.get("events", []), {"type": kind, "timestamp": now_ms()}][-EVENTS_KEPT:]
    save(state)
    return state


def note_done(state: State, what: str) -> None:
    """Note when and by which version something was last done."""
    metadata = state.setdefault("metadata", {})
    metadata[f"last{what}Date"] = now_ms()
    metadata[f"last{what}CloudypadVersion"] = VERSION


def now_ms() -> int:
    return int(time.time() * 1000)


def _path(name: str) -> Path:
    return home() / "instances" / name / "state.yml"
