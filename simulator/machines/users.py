"""Who may log in on a machine: its own /etc/passwd and authorized_keys."""

from __future__ import annotations

import asyncssh

from simulator.machines.files import Files
from simulator.machines.programs.call import User
from simulator.machines.tree import ROOT_UID, FileTree

FIRST_UID = 1000


def find(tree: FileTree, name_or_uid: str) -> User | None:
    """By name, or by number as `#1000` or `1000`."""
    wanted = name_or_uid.removeprefix("#")
    return next((user for user in everyone(tree) if wanted in (user.name, str(user.uid))), None)


def everyone(tree: FileTree) -> list[User]:
    rows = [line.split(":") for line in Files(tree, ROOT_UID).read_text("/etc/passwd").splitlines()]
    return [User(row[0], int(row[2])) for row in rows if len(row) == 7]


def add(tree: FileTree, name: str) -> User:
    """A user with a home of its own; one that is there is left as it is."""
    if there := find(tree, name):
        return there
    user = User(name, max([FIRST_UID - 1, *[one.uid for one in everyone(tree)]]) + 1)
    files = Files(tree, ROOT_UID)
    line = f"{name}:x:{user.uid}:{user.uid}:,,,:{user.home}:/bin/bash\n"
    files.write("/etc/passwd", files.read_text("/etc/passwd") + line)
    files.mkdir(user.home, 0o750)
    files.chown(user.home, user.uid)
    return user


def authorize(tree: FileTree, user: User, keys: list[str]) -> None:
    files = Files(tree, user.uid)
    files.mkdir(f"{user.home}/.ssh", 0o700, parents=True)
    files.write(f"{user.home}/.ssh/authorized_keys", "".join(f"{key.strip()}\n" for key in keys))
    files.chmod(f"{user.home}/.ssh/authorized_keys", 0o600)


def authorized_keys(tree: FileTree, name: str) -> asyncssh.SSHAuthorizedKeys:
    """The keys that open this user's account now; none for an unknown user."""
    user = find(tree, name)
    files = Files(tree, ROOT_UID)
    path = f"{user.home}/.ssh/authorized_keys" if user else ""
    try:
        return asyncssh.import_authorized_keys(files.read_text(path) if path and files.is_file(path) else "")
    except ValueError:
        return asyncssh.SSHAuthorizedKeys()
