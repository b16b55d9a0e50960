"""Runs a module in an environment that a variable describes: `python varied.py MODULE WORD...`.

LOCKSTITCH_VARIED is JSON: `umask`, `uid`, `cpus` (numbers), `backwards` (folders are listed in
reverse order), `clock` (seconds that are added to the time), `count` (processors more), `user` and
`host` (names), `memory` (a share of it), `hidden` (files that cannot be read) and `opened` (a file
that gets the paths of all that is read outside of the folders `inside`). Worker processes read this
file as their main module too, so that they are varied in the same way.
"""

import json
import os
import runpy
import sys
import time


def _backwards() -> None:
    scandir, listdir = os.scandir, os.listdir

    class Listed:
        def __init__(self, path):
            with scandir(path) as entries:
                self._entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __iter__(self):
            return iter(self._entries)

        def __next__(self):
            if not self._entries:
                raise StopIteration
            return self._entries.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *problem):
            return None

        def close(self):
            return None

    os.scandir = lambda path=".": Listed(path)
    os.listdir = lambda path=".": sorted(listdir(path), reverse=True)


def _clock(seconds) -> None:
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + seconds * 1_000_000_000
    for name in ("gmtime", "localtime", "ctime"):
        setattr(time, name, _of_now(getattr(time, name)))
    asctime, strftime = time.asctime, time.strftime
    time.asctime = lambda *parts: asctime(*(parts or (time.localtime(),)))
    time.strftime = lambda form, *parts: strftime(form, *(parts or (time.localtime(),)))

    _datetime()


def _datetime() -> None:
    """Make `datetime.now()` ask `time`, as all else does; it reads the clock itself."""
    import datetime

    real = datetime.datetime

    class Type(type):
        def __instancecheck__(cls, value):
            return isinstance(value, real)

        def __subclasscheck__(cls, other):
            return issubclass(other, real)

    class Other(real, metaclass=Type):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def today(cls):
            return cls.fromtimestamp(time.time())

        @classmethod
        def utcnow(cls):
            return cls.fromtimestamp(time.time(), datetime.timezone.utc).replace(tzinfo=None)  # noqa: UP017 -- 3.10

    # Pickles name it; of two texts that are one object they would write the second as a reference.
    Other.__module__ = "datetime"
    Other.__name__ = Other.__qualname__ = "".join(["date", "time"])  # noqa: FLY002 -- as said
    datetime.datetime = Other


def _of_now(function):
    """Return a function of seconds that takes the varied time where none is given."""
    return lambda seconds=None: function(time.time() if seconds is None else seconds)


def _names(settings) -> None:
    if "host" in settings:
        import _socket

        uname = getattr(os, "uname", None)
        _socket.gethostname = lambda: settings["host"]
        # What was imported at the start of Python, as tools that measure it do, has the old ones.
        if "socket" in sys.modules:
            sys.modules["socket"].gethostname = _socket.gethostname
        if "platform" in sys.modules:
            sys.modules["platform"]._uname_cache = None  # noqa: SLF001 -- no other way
        if uname is not None:
            os.uname = lambda: os.uname_result((uname()[0], settings["host"], *uname()[2:]))
    if "user" in settings:
        os.getlogin = lambda: settings["user"]


def _memory(share) -> None:
    """Say that there is less, and set the limit that a shell's `ulimit -d` would."""
    ask = os.sysconf

    def sysconf(name):
        value = ask(name)
        return int(value * share) if name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES") else value

    os.sysconf = sysconf
    import resource

    limit = int(ask("SC_PHYS_PAGES") * ask("SC_PAGE_SIZE") * share)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    sys.meta_path.insert(0, _Psutil(share))


class _Psutil:
    """Finds psutil, which reads the memory from the kernel, and says that there is less."""

    def __init__(self, share):
        self._share = share

    def find_spec(self, name, path=None, target=None):
        del path, target
        if name != "psutil":
            return None
        import importlib.util

        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module
            spec.loader.exec_module = lambda module: self._less(module, run)
        return spec

    def _less(self, module, run):
        run(module)
        ask = module.virtual_memory

        def virtual_memory():
            known = ask()
            names = ("total", "available", "free")
            return known._replace(**{n: int(getattr(known, n) * self._share) for n in names})

        module.virtual_memory = virtual_memory


# The program's own code, which is not data.
_CODE = (".py", ".pyc", ".pth", ".so", ".egg-link")


def _watch(settings) -> None:
    """Refuse the hidden files, and note those that are read outside of the project."""
    hidden, noted = frozenset(settings.get("hidden", ())), settings.get("opened")
    inside = tuple(settings.get("inside", ()))
    inside += (sys.prefix + os.sep, sys.base_prefix + os.sep)
    seen = set()

    def note(path):
        if path in seen or path.startswith(inside) or path.endswith(_CODE):
            return
        seen.add(path)
        handle = os.open(noted, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, (path + "\n").encode("utf-8", "surrogateescape"))
        os.close(handle)

    def hook(event, values):
        if event != "open" or not isinstance(values[0], (str, bytes)):
            return
        path = os.path.realpath(os.fsdecode(values[0]))
        if path in hidden:
            raise PermissionError(13, "Permission denied", path)
        mode, flags = values[1], values[2]
        reads = (mode is None or "r" in str(mode)) and not (flags or 0) & (os.O_WRONLY | os.O_RDWR)
        if noted and reads and path != noted:
            note(path)
        elif noted:
            seen.add(path)  # what it wrote itself

    sys.addaudithook(hook)


def _apply(settings) -> None:
    if "umask" in settings:
        os.umask(settings["umask"])
    if "cpus" in settings and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: settings["cpus"]])
    if "uid" in settings and os.getuid() == 0:
        os.setgroups([])
        os.setgid(settings["uid"])
        os.setuid(settings["uid"])
    if settings.get("backwards"):
        _backwards()
    if settings.get("clock"):
        _clock(settings["clock"])
    if settings.get("count"):
        count = (os.cpu_count() or 1) + settings["count"]
        os.cpu_count = lambda: count
    _names(settings)
    if settings.get("memory") and hasattr(os, "sysconf"):
        _memory(settings["memory"])
    if settings.get("hidden") or settings.get("opened"):
        _watch(settings)


_apply(json.loads(os.environ.get("LOCKSTITCH_VARIED", "{}")))

if __name__ == "__main__":
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__")
