"""A script that becomes a daemon, writes its process id into the inherited lock file, and executes a command.

usage: holder.py LOCK_DESCRIPTOR COMMAND [ARGUMENT ...]

A process that cannot take the lock reads the holder's id from the file. The holder writes it itself, so that the parent
may die at any moment without leaving a child with an unknown id.
"""

import os
import sys


def main() -> None:
    """Become the command, in a new session."""
    lock, command = int(sys.argv[1]), sys.argv[2:]
    named, naming = os.pipe()
    if os.fork():
        os.close(naming)
        os.read(named, 1)  # ends when the child has written its id, or is dead
        os._exit(0)
    os.setsid()
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    os.close(naming)
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
