"""Becomes a service that does not outlive its supervisor, and that is not root where asked.

Run as a script by lockstitch's own interpreter: guard.py SIGNAL PARENT WHO PROGRAM [WORD ...]
SIGNAL is sent to the program when PARENT ends. WHO is `same`, `namespace` (root becomes nobody
in a user namespace of its own; files stay root's) or `UID:GID`.
"""

import ctypes
import os
import sys
from pathlib import Path

_NOBODY = 65534


def main(words: list[str]) -> None:
    """Become the program, or end with a message."""
    number, parent, who, *program = words
    if who == "namespace":
        _enter_namespace()
    elif who != "same":
        uid, gid = who.split(":")
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        # After the change of user, which clears it; it stays over exec.
        ctypes.CDLL(None).prctl(1, int(number), 0, 0, 0)  # PR_SET_PDEATHSIG of <linux/prctl.h>
        if os.getppid() != int(parent):
            sys.exit("the supervisor has ended")
    os.execvp(program[0], program)  # noqa: S606 -- an argument list, no shell


def _enter_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0:  # CLONE_NEWUSER of <sched.h>
        sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {uid} 1"),
        ("gid_map", f"{_NOBODY} {gid} 1"),
    ):
        Path("/proc/self", name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
