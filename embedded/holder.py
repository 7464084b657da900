"""Run as a script: become a daemon, write our process id into the lock file that we inherited, become the command.

usage: holder.py LOCK_DESCRIPTOR COMMAND [ARGUMENT ...]

Whoever cannot take the lock reads here who has it. The id is written by the very process that holds the lock, so
that no moment in which the parent may die leaves a child that nobody can name.
"""

import os
import sys


def main() -> None:
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
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
