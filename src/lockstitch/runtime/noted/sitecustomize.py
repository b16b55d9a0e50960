"""Notes what each process of a recorded run imports: an interpreter imports this when it starts.

LOCKSTITCH_IMPORTED names a file, which gets one line for each module that is looked for: each
process and thread appends to it at once, so that forks, workers that are killed and programs that
end abruptly are seen too. The program's own sitecustomize is run as without this one.
Standard library only.
"""

import importlib
import os
import sys

_ASKING = ("importlib/util.py", "<frozen importlib.util>", "pkgutil.py")
_HERE = os.path.dirname(os.path.abspath(__file__))


class Noting:
    """Finds no module, and writes down which one is looked for."""

    def __init__(self, target):
        self._target = target
        self._known = set()

    def find_spec(self, name, path=None, target=None):
        """Note the module, unless the program only asks whether there is one."""
        del path, target
        if name not in self._known:
            caller = sys._getframe(2).f_code.co_filename  # noqa: SLF001 -- of importlib itself
            if not caller.endswith(_ASKING):
                self._known.add(name)
                self._note(name)

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
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != _HERE]
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
if os.environ.get("LOCKSTITCH_IMPORTED"):
    sys.meta_path.insert(0, Noting(os.environ["LOCKSTITCH_IMPORTED"]))
