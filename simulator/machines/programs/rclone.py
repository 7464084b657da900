"""`rclone`, which really speaks to the storage that it is pointed at."""

from __future__ import annotations

import configparser
import getopt
import json
import mimetypes
import posixpath
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from simulator.machines.programs.call import Call, Program
from simulator.machines.rclone.ends import End, LocalEnd, RemoteEnd
from simulator.machines.rclone.flags import SHORT, SWITCHES, VALUES
from simulator.machines.rclone.mounting import Mounting, mount
from simulator.machines.rclone.remote import Entry, RcloneError, Storage
from simulator.machines.rclone.transfer import Wishes, differences, transfer
from simulator.machines.systemd.unit import span_s

VERSION = "rclone v1.60.1-DEV\n- os/version: ubuntu 24.04 (64 bit)\n- os/type: linux\n- os/arch: amd64"
BACKENDS = ("google cloud storage", "gcs")


@dataclass(frozen=True, slots=True)
class Order:
    """A parsed command line. An option given repeatedly keeps all its values."""

    call: Call
    options: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.options)

    def get(self, name: str) -> str | None:
        return next((value for found, value in reversed(self.options) if found == f"--{name}"), None)

    def end(self, position: int) -> End:
        if position >= len(self.arguments):
            raise RcloneError(f"Command needs {position + 1} arguments minimum")
        return _end(self, self.arguments[position])


async def rclone(call: Call) -> int:
    words = list(call.arguments)
    verb = next((word for word in words if not word.startswith("-")), "")
    action = VERBS.get(verb)
    try:
        if not action:
            raise RcloneError(f'unknown command "{verb}" for "rclone"')
        words.remove(verb)
        long = [*SWITCHES, *(f"{name}=" for name in VALUES)]
        found, rest = getopt.gnu_getopt(words, SHORT, long)
        return await action(Order(call, tuple(found), tuple(rest)))
    except getopt.GetoptError as error:
        call.streams.stderr.write(f"Error: unknown flag: {error.opt}\nFatal error: unknown flag\n".encode())
        return 1
    except RcloneError as error:
        stamp = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")
        call.streams.stderr.write(f"{stamp} Failed to {verb}: {error}\n".encode())
        return error.status


async def _version(order: Order) -> int:
    order.call.say(VERSION)
    return 0


async def _copy(order: Order) -> int:
    await transfer(order.end(0), order.end(1), _wishes(order, delete=False))
    return 0


async def _sync(order: Order) -> int:
    await transfer(order.end(0), order.end(1), _wishes(order, delete=True))
    return 0


async def _copy_to(order: Order) -> int:
    """One file, to a name of its own."""
    source = order.end(0)
    entries = await source.entries()
    if len(entries) != 1:
        await transfer(source, order.end(1), _wishes(order, delete=False))
        return 0
    folder, _, name = order.arguments[1].rpartition("/" if "/" in order.arguments[1] else ":")
    target = _end(order, folder if "/" in order.arguments[1] else f"{folder}:")
    path, entry = next(iter(entries.items()))
    await target.write(name, await source.read(path), entry.mtime)
    return 0


async def _check(order: Order) -> int:
    wishes = _wishes(order, delete=False)
    ends = [await order.end(0).entries(), await order.end(1).entries_or_none()]
    wanted = [{path: entry for path, entry in one.items() if wishes.wants(path)} for one in ends]
    found = differences(*wanted, one_way=order.has("--one-way"))
    if order.get("combined") == "-":
        for path, sign in found.items():
            order.call.say(f"{sign} {path}")
    wrong = [path for path, sign in found.items() if sign != "="]
    order.call.streams.stderr.write(f"NOTICE: {len(wrong)} differences found\n".encode())
    return 1 if wrong else 0


async def _lsjson(order: Order) -> int:
    rows = [json.dumps(row, separators=(",", ":")) for row in await _rows(order)]
    order.call.say("[\n" + ",\n".join(rows) + ("\n]" if rows else "]"))
    return 0


async def _lsf(order: Order) -> int:
    for row in await _rows(order):
        order.call.say(f"{row['Path']}{'/' if row['IsDir'] else ''}")
    return 0


async def _ls(order: Order) -> int:
    for path, entry in sorted((await order.end(0).entries()).items()):
        order.call.say(f"{entry.size:9d} {path}")
    return 0


async def _cat(order: Order) -> int:
    end = order.end(0)
    for path in sorted(await end.entries()):
        order.call.stdout.write(await end.read(path))
    return 0


async def _size(order: Order) -> int:
    entries = (await order.end(0).entries()).values()
    total = sum(entry.size for entry in entries)
    order.call.say(f"Total objects: {len(entries)}\nTotal size: {total} B ({total} Byte)")
    return 0


async def _delete(order: Order) -> int:
    end = order.end(0)
    for path in await end.entries():
        await end.delete(path)
    return 0


async def _mount(order: Order) -> int:
    source = order.end(0)
    if not isinstance(source, RemoteEnd) or len(order.arguments) < 2:
        raise RcloneError("only a remote is mounted here")
    wishes = Mounting(
        source=source,
        shown_as=order.arguments[0],
        point=order.call.path(order.arguments[1]),
        read_only=order.has("--read-only"),
        allow_other=order.has("--allow-other"),
        non_empty=order.has("--allow-non-empty"),
        daemon=order.has("--daemon"),
        uid=int(order.get("uid") or order.call.user.uid),
        folder_cache_s=_span_s(order.get("dir-cache-time") or "5m"),
    )
    return await mount(order.call, wishes)


VERBS: Mapping[str, Callable[[Order], Awaitable[int]]] = {
    "version": _version,
    "copy": _copy,
    "copyto": _copy_to,
    "sync": _sync,
    "check": _check,
    "lsjson": _lsjson,
    "lsf": _lsf,
    "ls": _ls,
    "cat": _cat,
    "size": _size,
    "delete": _delete,
    "deletefile": _delete,
    "purge": _delete,
    "mount": _mount,
}
PROGRAMS: Mapping[str, Program] = {"rclone": rclone}


def _span_s(text: str) -> float:
    try:
        return span_s(text)
    except ValueError:
        raise RcloneError(f'invalid argument "{text}" for "--dir-cache-time" flag: time: invalid duration') from None


def _end(order: Order, place: str) -> End:
    name, colon, path = place.partition(":")
    if not colon or "/" in name:
        return LocalEnd(order.call.files, order.call.path(place))
    bucket, _, prefix = path.strip("/").partition("/")
    return RemoteEnd(Storage(_remote_options(order, name)), bucket, prefix)


def _remote_options(order: Order, name: str) -> dict[str, str]:
    """From the configuration file and, over it, RCLONE_CONFIG_<NAME>_<OPTION>."""
    start = f"RCLONE_CONFIG_{name.upper()}_"
    options = _from_file(order, name)
    environment = order.call.environment.items()
    options |= {key.removeprefix(start).lower(): value for key, value in environment if key.startswith(start)}
    if options.get("type") not in BACKENDS:
        raise RcloneError(f'didn\'t find section in config file ("{name}")')
    key_file = options.get("service_account_file")
    if key_file and not order.call.files.is_file(order.call.path(key_file)):
        raise RcloneError(f"error opening service account credentials file: open {key_file}: no such file or directory")
    if not any(
        options.get(key) for key in ("service_account_file", "service_account_credentials", "token", "anonymous")
    ):
        raise RcloneError("failed to configure Google Cloud Storage: empty token found")
    return options


def _from_file(order: Order, name: str) -> dict[str, str]:
    path = order.get("config") or order.call.environment.get("RCLONE_CONFIG")
    path = path or posixpath.join(order.call.environment.get("HOME", "/"), ".config/rclone/rclone.conf")
    if not order.call.files.is_file(order.call.path(path)):
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(order.call.files.read_text(order.call.path(path)))
    return dict(parser[name]) if name in parser else {}


def _wishes(order: Order, *, delete: bool) -> Wishes:
    backup = order.get("backup-dir")
    backup_end = _end(order, backup) if backup else None
    max_delete = order.get("max-delete")
    return Wishes(
        by_checksum=order.has("--checksum", "-c"),
        by_size=order.has("--size-only"),
        update=order.has("--update", "-u"),
        ignore_existing=order.has("--ignore-existing"),
        dry_run=order.has("--dry-run", "-n"),
        delete=delete,
        max_delete=int(max_delete) if max_delete else None,
        fail_without_transfer=order.has("--error-on-no-transfer"),
        backup=backup_end if isinstance(backup_end, RemoteEnd) else None,
        rules=_rules(order),
    )


def _rules(order: Order) -> tuple[tuple[str, str], ...]:
    rules: list[tuple[str, str]] = []
    for option, value in order.options:
        if option in ("--include", "--exclude"):
            rules.append(("+" if option == "--include" else "-", value))
        elif option == "--filter":
            sign, _, pattern = value.partition(" ")
            rules.append((sign, pattern))
        elif option == "--filter-from":
            for line in order.call.files.read_text(order.call.path(value)).splitlines():
                sign, _, pattern = line.strip().partition(" ")
                if sign in ("+", "-"):
                    rules.append((sign, pattern))
    return tuple(rules)


async def _rows(order: Order) -> list[dict[str, object]]:
    entries = await order.end(0).entries()
    recursive = order.has("--recursive", "-R")
    rows: dict[str, dict[str, object]] = {}
    for path, entry in sorted(entries.items()):
        folders = [path[:at] for at, char in enumerate(path) if char == "/"]
        for folder in folders if recursive else folders[:1]:
            if not order.has("--files-only"):
                rows.setdefault(folder, _folder_row(folder))
        if (recursive or not folders) and not order.has("--dirs-only"):
            rows[path] = _file_row(entry)
    return list(rows.values())


def _folder_row(path: str) -> dict[str, object]:
    return {
        **{"Path": path, "Name": posixpath.basename(path), "Size": -1, "MimeType": "inode/directory"},
        **{"ModTime": "2000-01-01T00:00:00.000000000Z", "IsDir": True},
    }


def _file_row(entry: Entry) -> dict[str, object]:
    when = datetime.fromtimestamp(entry.mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    kind = mimetypes.guess_type(entry.path)[0] or "application/octet-stream"
    return {
        **{"Path": entry.path, "Name": posixpath.basename(entry.path), "Size": entry.size, "MimeType": kind},
        **{"ModTime": when, "IsDir": False},
    }
