"""All rules: each class of a file of a family is one."""

from types import ModuleType
from typing import TypeGuard

from lockstitch.audit.pages import FAMILIES
from lockstitch.audit.rule import Rule
from lockstitch.audit.rules import (
    chk,
    env,
    hok,
    img_base,
    img_copy,
    img_install,
    img_layer,
    img_run,
    img_wheels,
    lck,
    lck_inputs,
    lck_machine,
    lck_stale,
    pkg,
    run,
    sec,
    stk,
    stk_data,
)

__all__ = ["RULES", "by_code", "codes"]

_FILES = (
    *(chk, env, hok, run, sec, stk, stk_data),
    *(img_base, img_copy, img_install, img_layer, img_run, img_wheels),
    *(lck, lck_inputs, lck_machine, lck_stale, pkg),
)
_FAMILIES = [*FAMILIES]


def _is_rule_of(file: ModuleType, value: object) -> TypeGuard[type[Rule]]:
    is_rule = isinstance(value, type) and issubclass(value, Rule)
    return is_rule and value.__module__ == file.__name__


RULES: tuple[type[Rule], ...] = tuple(
    sorted(
        (rule for file in _FILES for rule in vars(file).values() if _is_rule_of(file, rule)),
        key=lambda rule: (_FAMILIES.index(rule.__name__[:3]), rule.__name__),
    )
)


def codes() -> list[str]:
    """Return all codes in order."""
    return [rule.__name__ for rule in RULES]


def by_code(code: str) -> type[Rule]:
    """Return the rule of a code; raises KeyError."""
    return {rule.__name__: rule for rule in RULES}[code]
