"""The accounts of a machine: its own /etc/passwd and authorized_keys."""

from __future__ import annotations

from dataclasses import dataclass

import asyncssh

from simulator.machines.files import Files
from simulator.machines.tree import ROOT_UID, FileTree

FIRST_UID = 1000


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: int

    @property
    def home(self) -> str:
        return "/root" if self.uid == ROOT_UID else f"/home/{self.name}"


ROOT = User("root", ROOT_UID)


def find(tree: FileTree, name_or_uid: str) -> User | None:
    return next((user for user in all_users(tree) if name_or_uid in (user.name, str(user.uid))), None)


def all_users(tree: FileTree) -> list[User]:
    rows = [line.split(":") for line in Files(tree, ROOT_UID).read_text("/etc/passwd").splitlines()]
    return [User(row[0], int(row[2])) for row in rows if len(row) == 7]


def add(tree: FileTree, name: str) -> User:
    """Return the user of this name, created with a home folder if there is none."""
    if there := find(tree, name):
        return there
    user = User(name, max([FIRST_UID - 1, *[one.uid for one in all_users(tree)]]) + 1)
    files = Files(tree, ROOT_UID)
    line = f"{name}:x:{user.uid}:{user.uid}:,,,:{user.home}:/bin/bash\n"
    files.write("/etc/passwd", files.read_text("/etc/passwd") + line)
    files.mkdir(user.home, 0o750)
    files.chown(user.home, user.uid)
    return user


def authorize(tree: FileTree, user: User, keys: list[str]) -> None:
    """Let exactly these keys in."""
    files, path = Files(tree, user.uid), _keys_file(user)
    files.mkdir(f"{user.home}/.ssh", 0o700, parents=True)
    files.write(path, "".join(f"{key}\n" for key in dict.fromkeys(key.strip() for key in keys)))
    files.chmod(path, 0o600)


def key_lines(tree: FileTree, user: User) -> list[str]:
    """Return the lines of the account's authorized_keys; none when there is no such file."""
    files = Files(tree, ROOT_UID)
    return files.read_text(_keys_file(user)).splitlines() if files.is_file(_keys_file(user)) else []


def authorized_keys(tree: FileTree, name: str) -> asyncssh.SSHAuthorizedKeys:
    """Return the keys that open this account now; none for an unknown user."""
    user = find(tree, name)
    try:
        return asyncssh.import_authorized_keys("\n".join(key_lines(tree, user) if user else ()))
    except ValueError:
        return asyncssh.SSHAuthorizedKeys()


def _keys_file(user: User) -> str:
    return f"{user.home}/.ssh/authorized_keys"
