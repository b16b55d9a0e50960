"""Runs a module in an environment that a variable describes: `python varied.py MODULE WORD...`.

LOCKSTITCH_VARIED is JSON: `umask`, `uid`, `cpus` (numbers), `backwards` (folders are listed in
reverse order) and `clock` (seconds that are added to the time). Worker processes read this file as
their main module too, so that they are varied in the same way.
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


def _of_now(function):
    """Return a function of seconds that takes the varied time where none is given."""
    return lambda seconds=None: function(time.time() if seconds is None else seconds)


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


_apply(json.loads(os.environ.get("LOCKSTITCH_VARIED", "{}")))

if __name__ == "__main__":
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__")
