"""The cloud-init document of a new machine: SSH keys, sudo rights, and the packages that the library mount needs."""

from __future__ import annotations

import re
from shlex import quote
from typing import Final

from errors import ProviderRefusedError

_PUBLIC_KEY: Final = re.compile(r"((?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3})(?: .*)?")
_HOMES: Final = (("root", "/root"), ("user", "/home/user"))
_PACKAGES: Final = ("fuse3", "rclone")
# A new machine would update itself for minutes and hold the package manager's lock meanwhile.
_NO_UPGRADES: Final = {
    "path": "/etc/apt/apt.conf.d/99-gamer",
    "content": 'APT::Periodic::Enable "0";\nAPT::Periodic::Unattended-Upgrade "0";\n',
    "owner": "root:root",
    "permissions": "0644",
}


def parse_public_key(text: str) -> str:
    """Return type and key of an OpenSSH public key without its comment; raise ProviderRefusedError for other text."""
    match = _PUBLIC_KEY.fullmatch(text.strip())
    if match is None:
        raise ProviderRefusedError("the SSH public key is not one line in OpenSSH's format")
    return match[1]


def cloud_init(public_key: str) -> dict[str, object]:
    """Return the cloud-init document of an order.

    TensorDock does not always install the order's own `ssh_key`, so the key is written again for both users. Whether
    the image's own user may use sudo without a password is not documented, and later steps need it, so a rule is added.
    Files are written before packages are installed, so unattended upgrades are off before the first one begins.
    """
    return {
        "write_files": [_NO_UPGRADES],
        "package_update": True,
        "packages": list(_PACKAGES),
        "runcmd": [
            *(_install_key_command(login, home, public_key) for login, home in _HOMES),
            _passwordless_sudo_command("user"),
        ],
    }


def _install_key_command(login: str, home: str, public_key: str) -> str:
    folder, file = f"{home}/.ssh", f"{home}/.ssh/authorized_keys"
    return (
        f"id {login} && mkdir -p {folder} && touch {file}"
        f" && {{ grep -qxF {quote(public_key)} {file} || echo {quote(public_key)} >> {file}; }}"
        f" && chmod 700 {folder} && chmod 600 {file} && chown -R {login}: {folder}"
    )


def _passwordless_sudo_command(login: str) -> str:
    """Return the command that lets a user run sudo without a password.

    The last rule counts, hence the file's name. sudo ignores files with a dot in their names, and a malformed file
    would disable sudo altogether, so the draft is checked before it is renamed.
    """
    file, draft = "/etc/sudoers.d/zz-gamer", "/etc/sudoers.d/zz-gamer.draft"
    return (
        f"id {login} && echo '{login} ALL=(ALL) NOPASSWD:ALL' > {draft} && chmod 440 {draft}"
        f" && visudo -cqf {draft} && mv {draft} {file}"
    )
