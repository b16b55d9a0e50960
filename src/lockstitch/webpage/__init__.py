"""Templates: pages of one file, readable on a phone and in print, and scripts for other programs.

A Jinja template stands beside the code that knows its content: `prove/verify.html.j2`.
"""

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["plain", "render"]


@functools.cache
def _environment(*, escape: bool = True) -> "Environment":
    # Loaded by pages alone: it takes a tenth of a second.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1]),
        autoescape=escape,  # noqa: S701 -- off for shell scripts alone, which have no markup
        undefined=StrictUndefined,
        keep_trailing_newline=not escape,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["quote"] = lambda word: shlex.quote(str(word))
    templates.filters["mb"] = lambda size: f"{size / 1e6:.1f} MB"
    templates.filters["amount"] = lambda number, noun: f"{number} {noun}{'s' * (number != 1)}"
    return templates


def render(template: str, **values: object) -> str:
    """Return a template, named by its path in the package, with its values escaped."""
    return _environment().get_template(template).render(values)


def plain(template: str, **values: object) -> str:
    """Return a template without markup; its filter `quote` makes a value one word of a shell."""
    return _environment(escape=False).get_template(template).render(values)
