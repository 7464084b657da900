"""What a new machine does at its first boot: it lets us in, as root too where that takes sudo, and fetches what the
game library's mount will need."""

from __future__ import annotations

import re
from shlex import quote
from typing import Final

from errors import ProviderRefusedError

_PUBLIC_KEY: Final = re.compile(r"((?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3})(?: .*)?")
_HOMES: Final = (("root", "/root"), ("user", "/home/user"))
_PACKAGES: Final = ("fuse3", "rclone")


def checked_public_key(text: str) -> str:
    """Type and key of an OpenSSH public key, without its comment. Raises ProviderRefusedError for anything else."""
    match = _PUBLIC_KEY.fullmatch(text.strip())
    if match is None:
        raise ProviderRefusedError("the SSH public key is not one line in OpenSSH's format")
    return match[1]


def cloud_init(public_key: str) -> dict[str, object]:
    """The order's own `ssh_key` is not always installed, so the key is written once more for both log-ins. Whether
    the image's own user may use sudo without a password is not documented, and everything later needs it to."""
    return {
        "package_update": True,
        "packages": list(_PACKAGES),
        "runcmd": [*(_let_in(login, home, public_key) for login, home in _HOMES), _let_become_root("user")],
    }


def _let_in(login: str, home: str, public_key: str) -> str:
    folder, file = f"{home}/.ssh", f"{home}/.ssh/authorized_keys"
    return (
        f"id {login} && mkdir -p {folder} && touch {file}"
        f" && {{ grep -qxF {quote(public_key)} {file} || echo {quote(public_key)} >> {file}; }}"
        f" && chmod 700 {folder} && chmod 600 {file} && chown -R {login}: {folder}"
    )


def _let_become_root(login: str) -> str:
    """The last rule counts. sudo reads no file with a dot in its name, and a broken one would lock everybody out, so
    that it is checked first."""
    file, draft = "/etc/sudoers.d/zz-gamer", "/etc/sudoers.d/zz-gamer.draft"
    return (
        f"id {login} && echo '{login} ALL=(ALL) NOPASSWD:ALL' > {draft} && chmod 440 {draft}"
        f" && visudo -cqf {draft} && mv {draft} {file}"
    )
