"""Subjects of audit log entries as global ids. An entry stores a record's own id; its action says of which type."""

from __future__ import annotations

import re
from typing import Final

import strawberry

from models.audit import AuditEntry, Outcome
from schema.ids import global_id

_TYPES: Final = {
    **dict.fromkeys(("launchGame", "createVm", "cancelLaunch", "endLaunch"), "Launch"),
    **dict.fromkeys(("startVm", "stopVm", "restartVm", "deleteVm", "deleteVmWithoutSaves"), "VM"),
    **dict.fromkeys(("pairClient", "startPairing"), "VM"),
    **dict.fromkeys(("deleteStray", "closeRecord", "adoptMachine", "restartWorkflow", "releaseMachine"), "VM"),
    **dict.fromkeys(("createApiKey", "revokeApiKey"), "ApiKey"),
    **dict.fromkeys(
        ("restoreSave", "keepSave", "renameSave", "deleteSave", "undeleteSave", "downloadSave"), "SaveSlot"
    ),
    "configureConsole": "Console",
}
_RECORD_ID: Final = re.compile(r"[0-9]{18}", re.ASCII)  # of launches and VMs


def subject_of(entry: AuditEntry) -> strawberry.ID | None:
    """Return the global id of an entry's subject, or its name where it is no object that `node` opens."""
    if entry.subject_id is None:
        return None
    type_name = _type_of(entry)
    if type_name is None or (type_name == "VM" and _RECORD_ID.fullmatch(entry.subject_id) is None):
        return strawberry.ID(entry.subject_id)
    return global_id(type_name, entry.subject_id)


def _type_of(entry: AuditEntry) -> str | None:
    if entry.action == "launchGame" and entry.outcome is Outcome.REFUSED:
        return "VM"  # the machine that the request named: nothing was launched
    if ":" in entry.action:
        return "VM"  # what the watch of a machine found, and the status that followed
    return _TYPES.get(entry.action)
