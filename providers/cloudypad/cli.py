"""Runs CloudyPad's executable: argument lists in, verified outcomes out.

Its exit status alone proves nothing: it is also 0 after an unanswered prompt. Every command that creates or removes
something is therefore verified by a query. Errors appear on standard output. A killed CloudyPad leaves its children
running, so each run is a process group that ends as a whole, together with the lock of its instance.

With a store, an instance's state is kept there, and its runs are serialized across all hosts; without one, across all
processes that share a home.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from uuid import uuid4

from errors import NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import ProgressCallback, no_progress
from providers.cloudypad import commands
from providers.cloudypad.commands import GcpOrder
from providers.cloudypad.disk_images import state_of
from providers.cloudypad.error_parsing import reason_in
from providers.cloudypad.instance_lease import InstanceLease, StateStore
from providers.cloudypad.instances import Instance, parse_instance, parse_names
from providers.cloudypad.process import Finished, run_to_end
from providers.cloudypad.progress import ProgressReporter, TaskSpans
from providers.cloudypad.quotas import quota_error
from providers.cloudypad.state_files import InstanceHome
from providers.redaction import clean_line
from tracing import spans

_PASSED_ON: Final = (
    *("PATH", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    *("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "SSL_CERT_FILE"),
)
_USER: Final = "gamer"
# CloudyPad's log levels: 6 keeps warnings out of the JSON, 4 still shows the reason of a failure.
_SILENT, _WARNINGS = "6", "4"
_QUERIES_AT_ONCE: Final = 2  # each costs half a gigabyte and seconds of CPU time
_KEPT_FREE: Final = 2  # places for starts, stops and removals, which set-ups never take
_SET_UPS: Final = frozenset({"create", "deploy", "provision", "configure"})
_PROMPTED: Final = "Instance initialization cancelled"
_LOCKED: Final = ("ConcurrentUpdateError", "stack is currently locked")
_MEANINGS: Final = (
    (
        re.compile(r"ZONE_RESOURCE_POOL_EXHAUSTED|STOCKOUT|does not have enough resources available"),
        NoCapacityError,
    ),
    (
        re.compile(
            r"does not exist in zone|is not (?:available|supported) in (?:the )?zone"
            r"|/(?:machineTypes|acceleratorTypes)/[\w-]+' (?:was not found|does not exist)"
        ),
        NoCapacityError,
    ),
    (re.compile(r"Could not load the default credentials|PERMISSION_DENIED|invalid_grant"), ProviderRefusedError),
    (re.compile(r"spawn \S+ ENOENT|^error: ", re.MULTILINE), ProviderRefusedError),
    (re.compile(_PROMPTED), ProviderRefusedError),
)
_WITHOUT_SETUP: Final = MappingProxyType({"CLOUDYPAD_SKIP_CONFIGURATION": "true"})
_NO_VARIABLES: Final[Mapping[str, str]] = MappingProxyType({})
_LOOK_S: Final = 2.0
_CONFIG: Final = """\
version: "1"
analytics:
  promptedPersonalDataCollectionApproval: true
  posthog:
    distinctId: {id}
    collectionMethod: none
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """Exclusive access to one instance while its context lasts. The started program inherits `lock`."""

    name: str
    lock: int
    lease: InstanceLease | None


class CloudyPadCli:
    """Runs CloudyPad. `home` is CLOUDYPAD_HOME; `key_path` is this host's SSH key for instances from the store."""

    def __init__(  # noqa: PLR0913 - all but two have defaults
        self,
        command: str,
        home: Path,
        *,
        store: StateStore | None = None,
        key_path: Path | None = None,
        inherited: Mapping[str, str] | None = None,
        short_deadline_s: float = 120,
        long_deadline_s: float = 60 * 60,
        grace_s: float = 10,
        set_ups_at_once: int = 5,
    ) -> None:
        """At most `set_ups_at_once` set-ups run in this process, and two commands more in total; others wait.

        Starts, stops and removals never wait for a set-up of another instance.
        """
        self._command = command
        self._home = home.absolute()
        self._store = store
        self._key_path = key_path
        self._inherited = os.environ if inherited is None else inherited
        self._short_s = short_deadline_s
        self._long_s = long_deadline_s
        self._grace_s = grace_s
        # Node, Pulumi and Ansible need a gigabyte for each run, so all runs of a crowd at once would end this process.
        self._set_ups = asyncio.Semaphore(set_ups_at_once)
        self._runs = asyncio.Semaphore(set_ups_at_once + _KEPT_FREE)
        self._queries = asyncio.Semaphore(_QUERIES_AT_ONCE)

    @property
    def command(self) -> str:
        return self._command

    async def version(self) -> str:
        """Return CloudyPad's version. Takes seconds, as every CloudyPad command does."""
        finished = await self._query(commands.version())
        if finished.exit_code != 0:
            raise _failure("--version", finished)
        return clean_line(finished.stdout, 40)

    async def create_ssh(
        self,
        name: str,
        host: str,
        user: str,
        key_path: Path,
        report: ProgressCallback = no_progress,
        *,
        has_driver: bool = False,
    ) -> Instance:
        """Set up a machine that is reachable over SSH. Takes many minutes; repeating it sets the machine up again.

        With `has_driver`, the machine has a suitable driver, which is left alone.
        """
        async with self.turn(name) as turn:
            argv = commands.create_ssh(name, host, user, key_path, has_driver=has_driver)
            await self._run(turn, argv, report)
        return await self._get_configured(name)

    async def create_gcp(
        self,
        turn: Turn,
        order: GcpOrder,
        key_path: Path,
        report: ProgressCallback = no_progress,
        *,
        again: bool = False,
    ) -> Instance:
        """Rent and set up a machine at Google Cloud.

        Repeating it continues what the first run began. With `again`, a run is known to have begun and ended, so a lock
        that it may have left is not waited for.
        """
        argv = commands.create_gcp(turn.name, order, key_path)
        await self._run(turn, commands.with_lock_broken(argv) if again else argv, report)
        return await self._get_configured(turn.name)

    async def create_gcp_from_image(
        self, turn: Turn, order: GcpOrder, key_path: Path, image: str, report: ProgressCallback = no_progress
    ) -> Instance:
        """Rent a machine at Google Cloud from a prepared image, without any set-up. It may lack what it needs."""
        self._files(turn.name).write_state(state_of(turn.name, order, key_path, image))
        await self._run(turn, commands.deploy(turn.name), report, _WITHOUT_SETUP)
        return await self._get_configured(turn.name)

    async def await_ready(self, name: str, within_s: float) -> bool:
        """Wait until the instance's streaming server responds; return whether it did in this time."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            instance = await self.get(name)
            if instance is not None and instance.ready:
                return True
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_LOOK_S)

    async def set_up(self, turn: Turn, report: ProgressCallback = no_progress) -> None:
        """Run the full set-up on a machine within this turn."""
        await self._run(turn, commands.configure(turn.name), report)

    async def get(self, name: str) -> Instance | None:
        """Return an instance, or None if CloudyPad does not know it.

        Takes seconds, because CloudyPad queries the machine.
        """
        if not await self.may_know(name):
            return None
        finished = await self._query(commands.get(name))
        if finished.exit_code == 0:
            return parse_instance(finished.stdout)
        if name not in await self.names():
            return None
        raise ProviderBusyError(f"CloudyPad failed to describe {name}")

    async def names(self) -> list[str]:
        """Return the names of all instances in this home."""
        finished = await self._query(commands.list_names())
        if finished.exit_code != 0:
            raise _failure("list", finished)
        return parse_names(finished.stdout)

    async def may_know(self, name: str) -> bool:
        """Return whether CloudyPad may know the instance.

        Without a store, only CloudyPad itself can tell, so it is true.
        """
        if self._store is None:
            return True
        await asyncio.to_thread(self._prepare_home)
        with self._lock_file(name) as file:
            # The holder of the lock has the newest state here and is changing it.
            if _try_lock(file):
                await self._lease(self._store, name).fetch()
        return self._files(name).exists

    async def versions(self, provider: str) -> dict[str, int]:
        """Return the instances of a CloudyPad provider ("gcp", "ssh") with their versions, without running CloudyPad.

        The version changes with every run on an instance, on any host. Instances of this home that were never stored
        have version 0.
        """
        known = {} if self._store is None else await self._store.versions(provider)
        here = [self._files(path.parent.name) for path in (self._home / "instances").glob("*/state.yml")]
        unstored = {one.name: 0 for one in here if one.provider == provider and not one.version}
        return {**unstored, **known}

    async def start(self, name: str, report: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.start(name, int(self._short_s) * 5), report)

    async def stop(self, name: str, report: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.stop(name, int(self._short_s) * 5), report)

    async def restart(self, name: str, report: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.restart(name, int(self._short_s) * 5), report)

    async def provision(self, name: str, report: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.provision(name), report)

    async def configure(self, name: str, report: ProgressCallback = no_progress) -> None:
        """Run the set-up again. It restarts the machine and deletes Wolf's pairings."""
        async with self.turn(name) as turn:
            await self._run(turn, commands.configure(name), report)

    async def destroy(self, name: str, report: ProgressCallback = no_progress, *, turn: Turn | None = None) -> None:
        """Remove the instance and all its resources. An unknown instance counts as removed."""
        if turn is None:
            async with self.turn(name) as own:
                return await self.destroy(name, report, turn=own)
        if self._store is not None and not self._files(name).exists:
            return None
        failure: ProviderError | None = None
        try:
            await self._run(turn, commands.destroy(name), report)
        except ProviderError as error:
            failure = error
        if name in await self.names():
            raise failure or ProviderBusyError(f"CloudyPad reports that it removed {name}, but still lists it")

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Turn]:
        """Wait for exclusive access to the instance and bring its newest state into this home."""
        commands.get(name)  # rejects an invalid name before it becomes part of a path
        await asyncio.to_thread(self._prepare_home)
        with self._lock_file(name) as file:
            await _lock(file, name, self._long_s)
            if self._store is None:
                yield Turn(name, file, None)
            else:
                lease = self._lease(self._store, name)
                async with lease.hold(self._long_s):
                    yield Turn(name, file, lease)

    async def _get_configured(self, name: str) -> Instance:
        instance = await self.get(name)
        if instance is None or not instance.configured:
            raise ProviderBusyError(f"CloudyPad succeeded, but {name} is not set up")
        return instance

    async def _query(self, argv: list[str]) -> Finished:
        async with self._queries:
            return await self._execute(argv, _SILENT, self._short_s, no_progress, None)

    async def _run(
        self, turn: Turn, argv: list[str], report: ProgressCallback, variables: Mapping[str, str] = _NO_VARIABLES
    ) -> None:
        """Run a command that changes the instance, reporting progress and storing the state while it runs.

        Raises the error that the output means.
        """
        work = self._run_in_turn(turn.lock, argv, report, variables)
        finished = await (work if turn.lease is None else turn.lease.run_leased(work))
        if finished.exit_code != 0 or _PROMPTED in finished.stdout:
            raise _failure(argv[0], finished)

    async def _run_in_turn(
        self, lock: int, argv: list[str], report: ProgressCallback, variables: Mapping[str, str]
    ) -> Finished:
        async with self._set_ups if argv[0] in _SET_UPS else contextlib.nullcontext(), self._runs:
            return await self._run_breaking_lock(lock, argv, report, variables)

    async def _run_breaking_lock(
        self, lock: int, argv: list[str], report: ProgressCallback, variables: Mapping[str, str]
    ) -> Finished:
        finished = await self._execute(argv, _WARNINGS, self._long_s, report, lock, variables)
        locked = finished.exit_code != 0 and any(word in finished.stdout for word in _LOCKED)
        if locked and argv != commands.with_lock_broken(argv):
            # This process holds the instance's own lock, so the process that locked the stack has died.
            broken = commands.with_lock_broken(argv)
            finished = await self._execute(broken, _WARNINGS, self._long_s, report, lock, variables)
        return finished

    async def _execute(
        self,
        argv: list[str],
        level: str,
        deadline_s: float,
        report: ProgressCallback,
        lock: int | None,
        variables: Mapping[str, str] = _NO_VARIABLES,
    ) -> Finished:
        await asyncio.to_thread(self._prepare_home)
        progress = ProgressReporter(report)
        with spans.call(f"cloudypad {argv[0]}", {"cloudypad.command": argv[0]}) as span, TaskSpans(span) as tasks:

            def read(line: str) -> None:
                tasks.feed(line)
                progress.feed(line)

            finished = await run_to_end(
                [self._command, *argv],
                environment={**self._environment(level), **variables},
                folder=self._home,
                deadline_s=deadline_s,
                on_line=read,
                held_fds=() if lock is None else (lock,),
                grace_s=self._grace_s,
            )
            span.note("process.exit.code", finished.exit_code)
        return finished

    def _environment(self, level: str) -> dict[str, str]:
        passed_on = {name: self._inherited[name] for name in _PASSED_ON if name in self._inherited}
        return {
            "PULUMI_CONFIG_PASSPHRASE": "",
            **passed_on,
            "CLOUDYPAD_HOME": str(self._home),
            "CLOUDYPAD_LOG_LEVEL": level,
            "HOME": str(self._home / "home"),
            **_user_name(self._inherited),
            "ANSIBLE_STDOUT_CALLBACK": "default",  # names each task, and is part of every Ansible
            "ANSIBLE_NOCOLOR": "true",
            "LANG": "C.UTF-8",  # Ansible refuses to start in any other kind of locale
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def _prepare_home(self) -> None:
        for folder in (self._home, self._home / "home", self._home / "locks"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._home / "config.yml"
        if not config.exists():
            draft = config.with_name(f".config.{secrets.token_hex(8)}")
            draft.write_text(_CONFIG.format(id=uuid4()))
            draft.rename(config)

    def _files(self, name: str) -> InstanceHome:
        return InstanceHome(self._home, name, self._key_path)

    def _lease(self, store: StateStore, name: str) -> InstanceLease:
        return InstanceLease(store, name, self._files(name))

    @contextlib.contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        file = os.open(self._home / "locks" / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield file
        finally:
            os.close(file)


def _user_name(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name the user. Ansible and its child processes fail for a user without a name."""
    name = inherited.get("USER") or inherited.get("LOGNAME") or _USER
    return {"USER": name, "LOGNAME": name}


async def _lock(file: int, name: str, within_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    pause_s = 0.05
    while True:
        if _try_lock(file):
            return
        if asyncio.get_running_loop().time() >= deadline:
            raise ProviderBusyError(f"another run on {name} has not ended")
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 1.0)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _failure(verb: str, finished: Finished) -> ProviderError:
    text = f"{finished.stderr}\n{finished.stdout}"
    message = f"cloudypad {verb} failed with status {finished.exit_code}: {reason_in(text)}"
    if (over := quota_error(text, message)) is not None:
        return over
    meaning: type[ProviderError] = next((error for words, error in _MEANINGS if words.search(text)), ProviderBusyError)
    return meaning(message)
