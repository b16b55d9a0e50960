"""Pages of one file: no script, no address, readable on a phone and in print.

A page is a Jinja template beside the code that knows its content: `prove/verify.html.j2`.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render"]


@functools.cache
def _environment() -> "Environment":
    # Loaded by pages alone: it takes a tenth of a second.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["mb"] = lambda size: f"{size / 1e6:.1f} MB"
    templates.filters["amount"] = lambda number, noun: f"{number} {noun}{'s' * (number != 1)}"
    return templates


def render(template: str, **values: object) -> str:
    """Return a template of this package with its values, each escaped.

    `template` is a path from the package: `report/report.html.j2`.
    """
    return _environment().get_template(template).render(values)
