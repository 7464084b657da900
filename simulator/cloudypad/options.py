"""The command line as CloudyPad's parser reads it: the options of each command, and the refusal of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.cloudypad.terminal import UsageError

FALSE = ("disable", "no", "false", "0")
RETRYING = ("--retries <n>", "--retry-delay <seconds>", "--force-pulumi-cancel")
WAITING = ("--wait", "--timeout <seconds>")
ANSIBLE = ("--ansible-additional-args <args>", "--ansible-args-override <args>")
SUNSHINE = (
    *("--sunshine-user <name>", "--sunshine-password <password>", "--sunshine-image-tag <tag>"),
    *("--sunshine-image-registry <registry>", "--sunshine-max-bitrate-kbps <kbps>"),
)
SETTINGS = (
    *("--autostop [bool]", "--autostop-timeout <seconds>", "--use-locale <locale>", "--ratelimit-max-mbps <mbps>"),
    *("--keyboard-layout <layout>", "--keyboard-model <model>", "--keyboard-variant <variant>"),
    "--keyboard-options <options>",
)
CREATING = (
    *("--name <name>", "--ssh-private-key <path>", "--private-ssh-key <path>", "--yes", "--overwrite-existing"),
    *("--skip-pairing", "--streaming-server <name>", *ANSIBLE, *RETRYING, *SUNSHINE, *SETTINGS),
)
SSH = ("--hostname <host>", "--ssh-user <user>", "--ssh-password <password>")
COSTS = ("--cost-alert [bool]", "--cost-limit <usd>", "--cost-notification-email <email>")
GCP = (
    *("--project-id <id>", "--region <region>", "--zone <zone>", "--machine-type <type>", "--gpu-type <type>"),
    *("--disk-size <gb>", "--data-disk-size <gb>", "--disk-type <type>", "--network-tier <tier>", "--nic-type <type>"),
    *("--spot [bool]", *COSTS, "--data-disk-snapshot [bool]", "--base-image-snapshot [bool]"),
    *("--base-image-keep-on-deletion [bool]", "--delete-instance-server-on-stop [bool]"),
)
UPDATING = ("--name <name>", "--yes", "--ansible-additional-args <args>", *RETRYING, *SUNSHINE, *SETTINGS)
OTHER_PROVIDERS = ("aws", "azure", "paperspace", "scaleway", "dummy")

# Commands by their words, with the names of their arguments and their options.
COMMANDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "create ssh": ((), (*CREATING, *SSH)),
    "create gcp": ((), (*CREATING, *GCP)),
    "update ssh": ((), (*UPDATING, "--host <host>", "--ssh-user <user>", "--ssh-password <password>")),
    "update gcp": ((), (*UPDATING, "--disk-size <gb>", *COSTS, "--machine-type <type>", "--gpu-type <type>")),
    "list": ((), ("--format <format>",)),
    "get": (("name",), ()),
    "start": (("name",), (*WAITING, *RETRYING, "--ansible-args-override <args>")),
    "stop": (("name",), (*WAITING, *RETRYING)),
    "restart": (("name",), (*WAITING, *RETRYING)),
    "provision": (("name",), ("--yes", *RETRYING)),
    "configure": (("name",), (*RETRYING, "--ansible-args-override <args>")),
    "deploy": (("name",), ("--yes", *RETRYING, "--ansible-args-override <args>")),
    "destroy": (("name",), ("--yes", *RETRYING)),
    "pair": (("name",), ()),
}
FAMILIES = ("create", "update")
NUMBERS = ("retries", "retry-delay", "timeout", "disk-size", "data-disk-size", "cost-limit", "autostop-timeout")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command, its arguments, and its options without dashes. An option without a value is `True`."""

    command: str
    arguments: tuple[str, ...] = ()
    options: Mapping[str, str | bool] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        value = self.options.get(name)
        return value if isinstance(value, str) else None

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        return int(value) if value is not None else default

    def flag(self, name: str) -> bool | None:
        """Return an option with an optional value: alone or with any word but a few it is true; None when absent."""
        value = self.options.get(name)
        if value is None:
            return None
        return value is True or value not in FALSE


def parse(words: Sequence[str]) -> CommandLine:
    """Parse the words of a command line. Raises UsageError with the message of the real parser."""
    words = [word for word in words if word not in ("-v", "--verbose")]
    if not words or words[0] in ("-h", "--help", "help"):
        return CommandLine("help", tuple(words[1:]))
    if words[0] in ("-V", "--version"):
        return CommandLine("version")
    command, rest = _command(words)
    if {"-h", "--help"} & set(rest):
        return CommandLine("help", (command,))
    arguments, options = COMMANDS[command]
    return _checked(_read(command, options, iter(rest)), arguments)


def _command(words: Sequence[str]) -> tuple[str, list[str]]:
    head = words[0]
    if head.startswith("-"):
        raise UsageError(f"error: unknown option '{head}'")
    if head not in FAMILIES:
        if head not in COMMANDS:
            raise UsageError(f"error: unknown command '{head}'")
        return head, list(words[1:])
    provider = words[1] if len(words) > 1 else "--help"
    if provider in ("-h", "--help"):
        return f"{head} ssh", ["--help"]
    if provider in OTHER_PROVIDERS:
        raise UsageError(f"error: this stand-in has no provider '{provider}'")
    if f"{head} {provider}" not in COMMANDS:
        raise UsageError(f"error: unknown command '{provider}'")
    return f"{head} {provider}", list(words[2:])


def _read(command: str, known: tuple[str, ...], words: Iterator[str]) -> CommandLine:
    shapes = {declared.partition(" ")[0]: declared for declared in known}
    arguments: list[str] = []
    options: dict[str, str | bool] = {}
    pending = list(words)
    while pending:
        word = pending.pop(0)
        flag, given, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        if flag not in shapes:
            raise UsageError(f"error: unknown option '{flag}'")
        name, shape = flag.removeprefix("--"), shapes[flag].partition(" ")[2]
        if given:
            options[name] = value
        elif shape.startswith("<"):
            if not pending:
                raise UsageError(f"error: option '{shapes[flag]}' argument missing")
            options[name] = pending.pop(0)
        elif shape.startswith("[") and pending and not pending[0].startswith("-"):
            options[name] = pending.pop(0)
        else:
            options[name] = True
    return CommandLine(command, tuple(arguments), options)


def _checked(line: CommandLine, arguments: tuple[str, ...]) -> CommandLine:
    if len(line.arguments) < len(arguments):
        raise UsageError(f"error: missing required argument '{arguments[len(line.arguments)]}'")
    if len(line.arguments) > len(arguments):
        found, wanted = len(line.arguments), len(arguments)
        plural = "argument" if wanted == 1 else "arguments"
        raise UsageError(f"error: too many arguments for '{line.command}'. Expected {wanted} {plural} but got {found}.")
    if line.command.startswith("update") and "name" not in line.options:
        raise UsageError("error: required option '--name <name>' not specified")
    for name in NUMBERS:
        value = line.text(name)
        if value is not None and not value.isdigit():
            raise UsageError(f"error: option '--{name}' argument '{value}' is invalid. Not a number.")
    return line
