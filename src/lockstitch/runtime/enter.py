"""Runs a program inside an unpacked image: `python enter.py FILE`.

FILE is JSON: `root` (the unpacked image), `upper` (a folder that takes writes to the root; "" for
a root that is read-only), `binds` (folders of this machine by their path in the image, writable),
`uid`, `gid`, `cwd`, `env` and `argv`. Needs Linux, and root or unprivileged user namespaces
(namespaces(7), user_namespaces(7)). Exits with the program's code, 128 + N for a signal N, and 125
when the image cannot be entered. Standard library only.
"""

import ctypes
import json
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWIPC = 0x20000, 0x10000000, 0x20000000, 0x8000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    *(1, 2, 4, 32),
    *(4096, 16384, 1 << 18),
)
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
REFUSED = 125

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    """Call a function of libc, or raise OSError."""
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source, target, kind, flags=0, data=""):
    """Mount a file system, or change how one is mounted."""
    texts = [text.encode() if text else None for text in (source, target, kind)]
    call("mount", *texts, ctypes.c_ulong(flags), data.encode() or None)


def bind(source, target, flags=0):
    """Mount a folder or file at a second place; a flag needs a second call."""
    mount(source, target, "", MS_BIND | MS_REC)
    if flags:
        mount("", target, "", MS_BIND | MS_REMOUNT | flags)


def main():
    """Enter, run, and exit as the program did."""
    with open(sys.argv[1], encoding="utf-8") as handle:
        plan = json.load(handle)
    try:
        unshare(plan)
        child = os.fork()
        if child == 0:
            first(plan)
    except OSError as error:
        refuse(error)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.kill(child, signal.SIGTERM))
    os._exit(waited(child))


def refuse(error):
    """Say why the image cannot be entered, and exit with a code of its own."""
    sys.stderr.write(f"enter: {error}\n")
    sys.stderr.flush()
    os._exit(REFUSED)


def unshare(plan):
    """Leave this machine's namespaces; without root, a user namespace lends the rights."""
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC
    call("unshare", flags if uid == 0 else flags | CLONE_NEWUSER)
    if uid != 0:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{plan['uid']} {uid} 1"),
            ("gid_map", f"{plan['gid']} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as handle:
                handle.write(text)


def first(plan):
    """Be the first process of the namespace: mount, start the program, reap what it leaves."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        root = mounted(plan)
        child = os.fork()
        if child == 0:
            become(plan, root)
    except OSError as error:
        refuse(error)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(child, number))
    os._exit(waited(child))


def waited(child):
    """Return the exit code of a child, and reap all others until it ends."""
    while True:
        try:
            pid, status = os.wait()
        except InterruptedError:
            continue
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def mounted(plan):
    """Mount the root and what a container has in it; return where."""
    root, upper = plan["root"], plan["upper"]
    mount("", "/", "", MS_REC | MS_PRIVATE)
    if upper:
        for name in ("files", "work"):
            os.makedirs(os.path.join(upper, name), exist_ok=True)
        options = f"lowerdir={root},upperdir={upper}/files,workdir={upper}/work"
        # Without root, overlayfs keeps its notes in attributes that a user may write.
        options += "" if os.geteuid() == 0 and not in_user_namespace() else ",userxattr"
        mount("overlay", root, "overlay", 0, options)
    else:
        bind(root, root, MS_RDONLY | MS_NOSUID | MS_NODEV)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV)
    mount("tmpfs", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    mount("tmpfs", f"{root}/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name in DEVICES:
        with open(f"{root}/dev/{name}", "wb"):
            pass
        bind(f"/dev/{name}", f"{root}/dev/{name}")
    os.mkdir(f"{root}/dev/shm")
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"{root}/dev/{name}")
    for name in ("resolv.conf", "hosts"):
        if os.path.exists(f"/etc/{name}") and os.path.isfile(f"{root}/etc/{name}"):
            bind(os.path.realpath(f"/etc/{name}"), f"{root}/etc/{name}", MS_RDONLY)
    for target, source in sorted(plan["binds"].items()):
        bind(source, root + target)
    return root


def in_user_namespace():
    """Return whether this process is root of a user namespace only."""
    with open("/proc/self/uid_map", encoding="ascii") as handle:
        return handle.read().split() != ["0", "0", "4294967295"]


def become(plan, root):
    """Become the image's program: its root, folder, user and variables."""
    try:
        os.chroot(root)
        os.chdir(plan["cwd"])
        if os.getuid() == 0 and plan["uid"] != 0:
            os.setgroups([])
            os.setgid(plan["gid"])
            os.setuid(plan["uid"])
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o022)
        os.execve(found(plan["argv"][0], plan["env"]["PATH"]), plan["argv"], plan["env"])
    except OSError as error:
        sys.stderr.write(f"exec `{plan['argv'][0]}`: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def found(program, path):
    """Return where a program is, or raise FileNotFoundError, without an import."""
    if "/" in program:
        return program
    for folder in path.split(":"):
        if os.access(f"{folder}/{program}", os.X_OK):
            return f"{folder}/{program}"
    raise FileNotFoundError(2, "No such file or directory", program)


if __name__ == "__main__":
    main()
