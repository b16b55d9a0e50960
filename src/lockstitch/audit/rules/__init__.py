"""All rules: each class of a file of a family is one."""

from importlib import import_module
from pkgutil import iter_modules

from lockstitch.audit.pages import FAMILIES
from lockstitch.audit.rule import Rule

__all__ = ["RULES", "by_code", "codes"]

_FAMILIES = [*FAMILIES]


def _rules() -> list[type[Rule]]:
    files = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    values = [(file, value) for file in files for value in vars(file).values()]
    classes = [(file, value) for file, value in values if isinstance(value, type)]
    return [c for file, c in classes if issubclass(c, Rule) and c.__module__ == file.__name__]


# By family and number: the order of files must not show.
RULES: tuple[type[Rule], ...] = tuple(
    sorted(_rules(), key=lambda rule: (_FAMILIES.index(rule.__name__[:3]), rule.__name__))
)


def codes() -> list[str]:
    """Return all codes in order."""
    return [rule.__name__ for rule in RULES]


def by_code(code: str) -> type[Rule]:
    """Return the rule of a code; raises KeyError."""
    return {rule.__name__: rule for rule in RULES}[code]
