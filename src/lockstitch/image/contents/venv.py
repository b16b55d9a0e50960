"""The environment at /app/.venv: what makes `python` and every console script found."""

from collections.abc import Iterator

from lockstitch.image.paths import APP, VENV, bin_folder, site_packages
from lockstitch.oci.entry import Entry, file, folder, symlink

__all__ = ["entries"]


def entries(python: str, program: str) -> Iterator[Entry]:
    """Yield a virtual environment (PEP 405) of the base's Python.

    `python` is its full version, `program` its absolute path in the image.
    """
    minor = ".".join(python.split(".")[:2])
    home = program.rpartition("/")[0]
    text = f"home = {home}\ninclude-system-site-packages = false\nversion = {python}\n"
    yield folder(APP)
    yield file(f"{VENV}/pyvenv.cfg", text.encode())
    for name in ("python", "python3", f"python{minor}"):
        yield symlink(f"{bin_folder()}/{name}", program)
    yield folder(site_packages(minor))
