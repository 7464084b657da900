"""CloudyPad's executable as a wire: argument lists in, verified outcomes out.

Its exit status alone proves nothing: 0 also follows a prompt that nobody answered. So every command that makes or
removes something is checked afterwards by asking for it. Errors appear on its standard output. Killed, it leaves its
children running: each run is a process group that ends as a whole, and the lock of its instance with it.

With a store, an instance's state lives there, and its runs happen one after another on all machines; without one, in
all processes that share a home.
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
from typing import Final
from uuid import uuid4

from errors import NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import ProgressCallback, no_progress
from providers.cloudypad import commands
from providers.cloudypad.commands import GcpOrder
from providers.cloudypad.error_parsing import reason_in
from providers.cloudypad.instance_lease import InstanceLease, StateStore
from providers.cloudypad.instances import Instance, parse_instance, parse_names
from providers.cloudypad.process import Finished, run_to_end
from providers.cloudypad.progress import Storyteller
from providers.cloudypad.quotas import quota_error
from providers.cloudypad.state_files import InstanceHome
from providers.redaction import clean_line

_PASSED_ON: Final = (
    *("PATH", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    *("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "SSL_CERT_FILE"),
)
_USER: Final = "gamer"
# CloudyPad's log levels: 6 keeps warnings out of the JSON, 4 still names the reason of a failure.
_SILENT, _WARNINGS = "6", "4"
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
    """Alone on one instance, for as long as the context that gave it. `lock` is inherited by what is run."""

    name: str
    lock: int
    custody: InstanceLease | None


class CloudyPadCli:
    """`home` is CLOUDYPAD_HOME. `key_path` is the SSH key that stored instances are reached with from here."""

    def __init__(
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
    ) -> None:
        self._command = command
        self._home = home.absolute()
        self._store = store
        self._key_path = key_path
        self._inherited = os.environ if inherited is None else inherited
        self._short_s = short_deadline_s
        self._long_s = long_deadline_s
        self._grace_s = grace_s

    @property
    def command(self) -> str:
        return self._command

    async def version(self) -> str:
        """Takes seconds, as everything that CloudyPad does."""
        finished = await self._ask(commands.version())
        if finished.exit_code != 0:
            raise _failure("--version", finished)
        return clean_line(finished.stdout, 40)

    async def create_ssh(
        self, name: str, host: str, user: str, key_path: Path, tell: ProgressCallback = no_progress
    ) -> Instance:
        """Set up a machine that we reach over SSH; takes many minutes. Repeating it sets the machine up again."""
        async with self.turn(name) as turn:
            await self._run(turn, commands.create_ssh(name, host, user, key_path), tell)
        return await self._configured(name)

    async def create_gcp(
        self, turn: Turn, order: GcpOrder, key_path: Path, tell: ProgressCallback = no_progress, *, again: bool = False
    ) -> Instance:
        """Rent and set up a machine at Google Cloud. Repeating it goes on with what the first run made; `again` says
        that one was begun, and has ended, so that the lock that it may have left is not waited for."""
        argv = commands.create_gcp(turn.name, order, key_path)
        await self._run(turn, commands.unlocking(argv) if again else argv, tell)
        return await self._configured(turn.name)

    async def get(self, name: str) -> Instance | None:
        """One instance, None when CloudyPad does not know it. Takes seconds: CloudyPad asks the machine too."""
        if not await self.knows(name):
            return None
        finished = await self._ask(commands.get(name))
        if finished.exit_code == 0:
            return parse_instance(finished.stdout)
        if name not in await self.names():
            return None
        raise ProviderBusyError(f"CloudyPad could not describe {name}")

    async def names(self) -> list[str]:
        """The names of all instances that this home knows."""
        finished = await self._ask(commands.list_names())
        if finished.exit_code != 0:
            raise _failure("list", finished)
        return parse_names(finished.stdout)

    async def knows(self, name: str) -> bool:
        """Whether there is anything to ask CloudyPad for. Without a store, only CloudyPad can tell."""
        if self._store is None:
            return True
        await asyncio.to_thread(self._prepare_home)
        with self._lock_file(name) as file:
            # Whoever holds the lock has the newest state here, and changes it.
            if _lock_now(file):
                await self._custody(self._store, name).fetch()
        return self._files(name).exists

    async def versions(self, provider: str) -> dict[str, int]:
        """The instances of one of CloudyPad's providers ("gcp", "ssh"), without asking CloudyPad; the number changes
        with every run on an instance, anywhere. Also what is in this home and was never stored, as version 0."""
        known = {} if self._store is None else await self._store.versions(provider)
        here = [self._files(path.parent.name) for path in (self._home / "instances").glob("*/state.yml")]
        unstored = {one.name: 0 for one in here if one.provider == provider and not one.version}
        return {**unstored, **known}

    async def start(self, name: str, tell: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.start(name, int(self._short_s) * 5), tell)

    async def stop(self, name: str, tell: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.stop(name, int(self._short_s) * 5), tell)

    async def restart(self, name: str, tell: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.restart(name, int(self._short_s) * 5), tell)

    async def provision(self, name: str, tell: ProgressCallback = no_progress) -> None:
        async with self.turn(name) as turn:
            await self._run(turn, commands.provision(name), tell)

    async def configure(self, name: str, tell: ProgressCallback = no_progress) -> None:
        """Run the set-up again. It restarts the machine and forgets Wolf's pairings."""
        async with self.turn(name) as turn:
            await self._run(turn, commands.configure(name), tell)

    async def destroy(self, name: str, tell: ProgressCallback = no_progress, *, turn: Turn | None = None) -> None:
        """Remove the instance and all that belongs to it. An instance that is not known counts as removed."""
        if turn is None:
            async with self.turn(name) as own:
                return await self.destroy(name, tell, turn=own)
        if self._store is not None and not self._files(name).exists:
            return None
        failure: ProviderError | None = None
        try:
            await self._run(turn, commands.destroy(name), tell)
        except ProviderError as error:
            failure = error
        if name in await self.names():
            raise failure or ProviderBusyError(f"CloudyPad says that it removed {name}, but still lists it")

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Turn]:
        """Alone on the instance, with its newest state in this home. Waits for those who came first."""
        commands.get(name)  # refuses what cannot be a name before it becomes part of a path
        await asyncio.to_thread(self._prepare_home)
        with self._lock_file(name) as file:
            await _lock(file, name, self._long_s)
            if self._store is None:
                yield Turn(name, file, None)
            else:
                custody = self._custody(self._store, name)
                async with custody.held(self._long_s):
                    yield Turn(name, file, custody)

    async def _configured(self, name: str) -> Instance:
        instance = await self.get(name)
        if instance is None or not instance.configured:
            raise ProviderBusyError(f"CloudyPad ended well, but {name} is not set up")
        return instance

    async def _ask(self, argv: list[str]) -> Finished:
        return await self._started(argv, _SILENT, self._short_s, no_progress, None)

    async def _run(self, turn: Turn, argv: list[str], tell: ProgressCallback) -> None:
        """A run that changes the instance: told about, its state stored meanwhile, and failed as what the words
        mean."""
        work = self._attempts(turn.lock, argv, tell)
        finished = await (work if turn.custody is None else turn.custody.during(work))
        if finished.exit_code != 0 or _PROMPTED in finished.stdout:
            raise _failure(argv[0], finished)

    async def _attempts(self, lock: int, argv: list[str], tell: ProgressCallback) -> Finished:
        finished = await self._started(argv, _WARNINGS, self._long_s, tell, lock)
        locked = finished.exit_code != 0 and any(word in finished.stdout for word in _LOCKED)
        if locked and argv != commands.unlocking(argv):
            # We hold the instance's own lock, so whoever locked the stack has died.
            finished = await self._started(commands.unlocking(argv), _WARNINGS, self._long_s, tell, lock)
        return finished

    async def _started(
        self, argv: list[str], level: str, deadline_s: float, tell: ProgressCallback, lock: int | None
    ) -> Finished:
        await asyncio.to_thread(self._prepare_home)
        return await run_to_end(
            [self._command, *argv],
            environment=self._environment(level),
            folder=self._home,
            deadline_s=deadline_s,
            on_line=Storyteller(tell).hear,
            held_fds=() if lock is None else (lock,),
            grace_s=self._grace_s,
        )

    def _environment(self, level: str) -> dict[str, str]:
        passed_on = {name: self._inherited[name] for name in _PASSED_ON if name in self._inherited}
        return {
            "PULUMI_CONFIG_PASSPHRASE": "",
            **passed_on,
            "CLOUDYPAD_HOME": str(self._home),
            "CLOUDYPAD_LOG_LEVEL": level,
            "HOME": str(self._home / "home"),
            **_user_name(self._inherited),
            "ANSIBLE_STDOUT_CALLBACK": "default",  # named tasks, with what every Ansible brings
            "ANSIBLE_NOCOLOR": "true",
            "LANG": "C.UTF-8",  # Ansible starts in no other kind of locale
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

    def _custody(self, store: StateStore, name: str) -> InstanceLease:
        return InstanceLease(store, name, self._files(name))

    @contextlib.contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        file = os.open(self._home / "locks" / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield file
        finally:
            os.close(file)


def _user_name(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name the user: Ansible, and what it starts, fail where a user has no name."""
    name = inherited.get("USER") or inherited.get("LOGNAME") or _USER
    return {"USER": name, "LOGNAME": name}


async def _lock(file: int, name: str, within_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    pause_s = 0.05
    while True:
        if _lock_now(file):
            return
        if asyncio.get_running_loop().time() >= deadline:
            raise ProviderBusyError(f"another run on {name} does not end")
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 1.0)


def _lock_now(file: int) -> bool:
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
