"""Programs that packages bring: console scripts, and scripts with a `#!python` line."""

import configparser
import re
from collections.abc import Iterator

from lockstitch.errors import LockstitchError
from lockstitch.image.paths import bin_folder

__all__ = ["console_scripts", "with_shebang"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REFERENCE = re.compile(
    r"(?P<module>[A-Za-z_][\w]*(?:\.[A-Za-z_][\w]*)*)\s*:\s*"
    r"(?P<attribute>[A-Za-z_][\w]*(?:\.[A-Za-z_][\w]*)*)\s*(?:\[.*\])?"
)
# A direct line: the `sh` trampoline that installers write is dead in an image with no shell.
_SHEBANG = f"#!/{bin_folder()}/python\n"
_TEMPLATE = """\
{shebang}import sys

from {module} import {top}

if __name__ == "__main__":
    sys.exit({attribute}())
"""


def console_scripts(entry_points: bytes, source: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, text) of the scripts that an entry_points.txt declares, sorted by name."""
    parser = configparser.ConfigParser(
        delimiters=("=",),
        interpolation=None,
        strict=False,
        default_section="\0",  # a section named DEFAULT has no meaning here
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(entry_points.decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        message = f"the entry points of `{source}` cannot be read: {error}"
        raise LockstitchError(message) from error
    found: dict[str, bytes] = {}
    for section in ("console_scripts", "gui_scripts"):
        for name, reference in parser.items(section) if parser.has_section(section) else ():
            found[name] = _script(name, reference, source)
    yield from sorted(found.items())


def _script(name: str, reference: str, source: str) -> bytes:
    match = _REFERENCE.fullmatch(reference.strip())
    if not match or not _NAME.fullmatch(name):
        message = f"`{source}` declares the script `{name:.80} = {reference:.80}`, which is none"
        raise LockstitchError(message)
    return _TEMPLATE.format(
        shebang=_SHEBANG,
        module=match["module"],
        top=match["attribute"].split(".")[0],
        attribute=match["attribute"],
    ).encode()


def with_shebang(script: bytes) -> bytes:
    """Return a wheel's script with the image's Python in place of `#!python`."""
    first, newline, rest = script.partition(b"\n")
    if first.startswith(b"#!python"):
        return _SHEBANG.encode() + rest if newline else _SHEBANG.encode()
    return script
