"""Builds a wheel with a package's own backend (PEP 517): `python -I backend.py UMASK BACKEND`.

Started in the source's folder; words after BACKEND are folders of it that the backend is in
(`backend-path`). Build requirements lie in `../requires`, the wheel goes to `../out`. Standard
library only.
"""

import functools
import importlib
import os
import site
import sys


def main():
    """Build, and leave by the backend's own error."""
    os.umask(int(sys.argv[1], 8))
    requires = os.path.abspath("../requires")
    sys.path[:0] = [*map(os.path.abspath, sys.argv[3:]), requires]
    site.addsitedir(requires)  # which reads its .pth files
    name, _, inside = sys.argv[2].partition(":")
    module = importlib.import_module(name)
    backend = functools.reduce(getattr, filter(None, inside.split(".")), module)
    backend.build_wheel(os.path.abspath("../out"))


if __name__ == "__main__":
    main()
