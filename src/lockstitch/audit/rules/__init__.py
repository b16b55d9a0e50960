"""All rules: one is added to the `RULES` at the end of a file of its family."""

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
RULES: tuple[type[Rule], ...] = tuple(
    sorted(
        (rule for file in _FILES for rule in file.RULES),
        key=lambda rule: (_FAMILIES.index(rule.__name__[:3]), rule.__name__),
    )
)


def codes() -> list[str]:
    """Return all codes in order."""
    return [rule.__name__ for rule in RULES]


def by_code(code: str) -> type[Rule]:
    """Return the rule of a code; raises KeyError."""
    return {rule.__name__: rule for rule in RULES}[code]
