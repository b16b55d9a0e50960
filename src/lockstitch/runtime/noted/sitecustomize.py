"""Notes what each process of a recorded run imports and reads: an interpreter starts with this.

LOCKSTITCH_IMPORTED names a file, which gets one line for each module that is looked for (`m`), each
file that is opened to be read (`f`, or `d` where it is a package's own data or a library that is
loaded in the end) and each variable that code outside of packages reads by its
name (`v`): each process and thread appends to it at once, so that forks, workers that are killed
and programs that end abruptly are seen too. The program's own sitecustomize is run as without this
one. Standard library only.
"""

import atexit
import contextlib
import importlib
import os
import sys

_ASKING = ("importlib/util.py", "<frozen importlib.util>", "pkgutil.py")
_HERE = os.path.dirname(os.path.abspath(__file__))
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/", "/run/")
_PACKAGES = os.sep + "site-packages" + os.sep
_BETWEEN = {os.getenv.__code__.co_filename, os.environ.get.__code__.co_filename}
_INSIDE = tuple(
    {os.path.join(folder, "") for folder in (sys.prefix, sys.base_prefix, os.path.dirname(_HERE))}
)


class Noting:
    """Finds no module, and writes down which one is looked for, and what is read."""

    def __init__(self, target):
        self._target = target
        self._known = set()

    def audit(self, event, values):
        """Note a file that is opened to be read; an error here must not reach the program."""
        if event != "open" and event != "cpython.run_file":  # noqa: PLR1714 -- for each event
            return
        with contextlib.suppress(Exception):  # what is not noted is not recorded
            self._open(*values)

    def _open(self, path, mode="r", flags=0):
        if isinstance(path, int) or (mode and set(mode) & set("wax+")):
            return
        if mode is None and flags & (os.O_WRONLY | os.O_RDWR):
            return
        name = os.path.abspath(os.fsdecode(path))
        if _PACKAGES in name:
            # Who lists the packages reads the metadata of all.
            if not name.endswith((".py", ".pyc")) and ".dist-info" not in name:
                self._once("d", name)
        elif name != self._target and not name.startswith(_INSIDE + _SYSTEM):
            self._once("f", name)

    def _once(self, kind, name):
        if (kind, name) not in self._known and "\n" not in name:
            self._known.add((kind, name))
            self._note(kind + " " + name)

    def loaded(self):
        """Note the libraries that no import names: the linker takes them where others need them."""
        with contextlib.suppress(Exception), open("/proc/self/maps") as maps:
            for line in maps:
                if _PACKAGES in line:
                    self._once("d", line.split(maxsplit=5)[5].rstrip("\n"))

    def variable(self, name, frame):
        """Note a variable whose name stands in code that is of no package."""
        while frame and frame.f_code.co_filename in _BETWEEN:
            frame = frame.f_back
        code = frame and frame.f_code
        if code and name in code.co_consts:
            place = os.path.abspath(code.co_filename)
            if not place.startswith(_INSIDE + _SYSTEM) and code.co_filename[:1] != "<":
                self._once("v", name)

    def find_spec(self, name, path=None, target=None):
        """Note the module, unless the program only asks whether there is one."""
        del path, target
        if name not in self._known:
            caller = sys._getframe(2).f_code.co_filename  # noqa: SLF001 -- of importlib itself
            if not caller.endswith(_ASKING):
                self._known.add(name)
                self._note("m " + name)

    def _note(self, name):
        # Opened each time: a program may close a file that it has not opened, and open another.
        try:
            handle = os.open(self._target, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return  # the run that was recorded is over
        try:
            os.write(handle, (name + "\n").encode("utf-8", "replace"))
        finally:
            os.close(handle)


def _others():
    """Run the sitecustomize that would have been imported."""
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != _HERE]
    own = sys.modules.pop("sitecustomize", None)
    try:
        importlib.import_module("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if own is not None:
            sys.modules.setdefault("sitecustomize", own)


_others()


def _begin(target):
    noting = Noting(target)

    class Environ(type(os.environ)):  # type: ignore[misc]  # it has no public name
        """The variables, of which it is noted which are read."""

        def __getitem__(self, key):
            if isinstance(key, str):
                noting.variable(key, sys._getframe(1))  # noqa: SLF001 -- whose code reads it
            return super().__getitem__(key)

    Environ.__name__ = Environ.__qualname__ = "_Environ"
    os.environ.__class__ = Environ
    sys.meta_path.insert(0, noting)
    sys.addaudithook(noting.audit)
    atexit.register(noting.loaded)


if os.environ.get("LOCKSTITCH_IMPORTED"):
    _begin(os.environ["LOCKSTITCH_IMPORTED"])
