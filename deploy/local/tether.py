"""Run a command that dies with the process that started it, however that one dies.

    python -I -S tether.py PARENT SIGNAL UID GID COMMAND...

The kernel sends SIGNAL when the parent is gone. The order matters: a change of user clears the tether, so
the user comes first (-1 keeps it); a parent that died before the tether was tied shows by its changed id.
Only the standard library, and no import of this project: it runs before every part and must cost nothing.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Change the user, tie the tether, become the command."""
    parent, signal, uid, gid = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(f"the parent {parent} is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606 -- no shell is wanted
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


main(sys.argv[1:])
